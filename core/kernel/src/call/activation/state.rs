//! What an activation does while it does not run, and how it goes on.

use kiln_object::ProcessId;
use kiln_object::trace::Reason;

use super::super::extended_state::Saved;
use super::super::local::take_thread_pointer;
use crate::interrupt::{self, InterruptFrame};
use crate::process::{Dispatcher, Process};
use crate::processor;
use crate::schedule::remote::RemoteCall;
use crate::schedule::waiters::Room;

/// How an activation begins in its home process.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The first instruction.
    pub address: u64,
    /// The stack pointer.
    pub stack: u64,
    /// What `rdi` holds.
    pub argument: u64,
}

/// What a call waits for before it is made again.
#[derive(Clone, Copy)]
pub enum Until {
    /// That process, which was called, is ready or has ended for good.
    Ready(&'static Process, ProcessId),
    /// There may be room for it in that process.
    Room(Room, &'static Process),
    /// The call for another processor has its answer, which is collected.
    Done(&'static RemoteCall),
}

impl Until {
    /// Whether it has waited long enough.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            // Another life's start is another wait: who is told of the end makes that call itself.
            Self::Ready(process, life) => process.id() != life || !process.is_changing(),
            Self::Room(room, _) => room.may_be(),
            Self::Done(call) => call.is_done(),
        }
    }

    /// Why it waits, for whoever reads a trace.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Ready(..) => Reason::Start,
            Self::Room(_, _) => Reason::Room,
            Self::Done(_) => Reason::Answer,
        }
    }

    /// The process for which it waits.
    #[must_use]
    pub fn whom(self) -> ProcessId {
        match self {
            Self::Ready(process, _) | Self::Room(_, process) => process.id(),
            Self::Done(call) => call.target(),
        }
    }
}

/// What an activation is doing while it does not run.
#[derive(Clone, Copy)]
pub enum State {
    /// It has not run yet: its home process is entered so.
    New {
        /// Where and with what.
        entry: Entry,
    },
    /// It runs.
    Running,
    /// It waits for a soft interrupt or a time.
    Waiting {
        /// Which dispatcher waits: the innermost of its calls.
        dispatcher: &'static Dispatcher,
        /// Monotonic ns; `u64::MAX` for never.
        deadline: u64,
        /// Where it goes on.
        rip: u64,
        /// With which stack.
        rsp: u64,
        /// With which thread pointer.
        thread_pointer: u64,
        /// Its vector state.
        extended: Saved,
    },
    /// It is to make its call once more.
    Calling {
        /// Who calls.
        dispatcher: &'static Dispatcher,
        /// When.
        until: Until,
        /// The caller's thread pointer.
        thread_pointer: u64,
        /// The caller's vector state.
        extended: Saved,
    },
    /// It is to serve a call for another processor.
    Called {
        /// The call.
        call: &'static RemoteCall,
        /// Where there was no room for it, if it was tried before.
        room: Option<Room>,
    },
    /// It was stopped in user mode, with the context that `Activation::context` keeps.
    Preempted {
        /// In which dispatcher.
        dispatcher: &'static Dispatcher,
    },
    /// It waits for a page that a server brings.
    Faulted {
        /// In which dispatcher.
        dispatcher: &'static Dispatcher,
        /// How it goes on.
        then: Then,
    },
    /// The process that it was in has ended: its innermost caller that lives is told.
    Stranded {
        /// That process.
        ended: &'static Process,
    },
    /// No process that it was in lives.
    Ended,
}

/// How an activation goes on when a page has come, or will not.
#[derive(Clone, Copy)]
pub enum Then {
    /// With the instruction that touched it, in the context that `Activation::context` keeps.
    Touch,
    /// In the kernel, with the registers that `Activation::call` keeps.
    Enter {
        /// With the instruction that entered it, once more; else with the answer that is kept.
        again: bool,
        /// The thread pointer.
        thread_pointer: u64,
        /// The vector state.
        extended: Saved,
    },
}

/// Everything that user code was stopped with, but for the state that `extended` says.
#[derive(Clone, Copy, Default)]
#[repr(C, align(16))]
pub struct Context {
    /// The low halves of the vector registers.
    pub vector: [[u64; 2]; 16],
    /// All other registers.
    pub frame: InterruptFrame,
    /// The rest of the vector state.
    pub extended: Saved,
    /// FS base.
    pub thread_pointer: u64,
    /// GS base.
    pub user_gs: u64,
}

impl Context {
    /// What the running processor was stopped with at `frame`; the rest of its vector state is `extended`
    /// already. The thread pointer is taken along.
    #[must_use]
    pub fn of(frame: &InterruptFrame, extended: Saved) -> Self {
        Self {
            vector: interrupt::saved_vector(frame),
            frame: *frame,
            extended,
            thread_pointer: take_thread_pointer(),
            user_gs: processor::user_gs(),
        }
    }
}
