//! Activations: what runs on a CPU, with the calls it is in.
//!
//! An activation starts in its home dispatcher; each call it makes to another process pushes a
//! record and each return pops one, so that the callee runs on the caller's time. It belongs to one
//! CPU, which alone touches it, with interrupts off.

use core::cell::Cell;
use core::mem::offset_of;
use core::ptr;

use kiln_object::Error;

use super::entry::CallFrame;
use super::extended_state::{self, Saved};
use crate::process::{Dispatcher, Process};

/// How deep calls may nest: program, memory file system, image root, and room for more.
pub const DEPTH: usize = 8;

/// What is needed to go back to a caller.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Record {
    /// Who called; `None` once its process has ended.
    pub caller: Option<&'static Dispatcher>,
    /// Where the caller goes on.
    pub rip: u64,
    /// With which stack.
    pub rsp: u64,
    /// With which thread pointer.
    pub thread_pointer: u64,
    /// Where the caller wants the bytes out.
    pub output: u64,
    /// Its vector state.
    pub extended: Saved,
    /// How many bytes it takes.
    pub output_bytes: u16,
    /// The bit of the callee's call slot; none if the slot is nobody's any more.
    pub slot: u16,
}

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

/// One place of the stack of calls: a cache line.
#[derive(Default)]
#[repr(C, align(64))]
struct Place {
    record: Cell<Record>,
    /// Memory for the vector state of the caller at this depth; zero until the first use.
    room: Cell<u64>,
}

/// Bytes of the stack of calls that each call takes.
pub const PLACE_BYTES: usize = size_of::<Place>();

const _: () = assert!(PLACE_BYTES == 64);

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
    /// It waits for a server that was called and is not ready yet.
    Calling {
        /// Who calls.
        dispatcher: &'static Dispatcher,
        /// Who is called.
        target: &'static Process,
        /// The caller's thread pointer.
        thread_pointer: u64,
        /// The caller's vector state.
        extended: Saved,
    },
    /// The process that it waited in has ended: its innermost caller that lives is told.
    Stranded,
    /// No process that it was in lives.
    Ended,
}

/// One activation.
pub struct Activation {
    home: &'static Dispatcher,
    /// Bytes of `places` in use: what the straight line adds to its address.
    used: Cell<usize>,
    /// The last place is for a wait in the innermost call, which leaves no record.
    places: [Place; DEPTH + 1],
    state: Cell<State>,
    /// The registers of the call that it makes again, in [`State::Calling`].
    call: Cell<CallFrame>,
    busy_ns: Cell<u64>,
    since_ns: Cell<u64>,
}

/// Offsets in an [`Activation`] for the straight line; those of records are of the first.
pub mod offset {
    use super::{Activation, Place, Record, Saved, offset_of};

    /// Bytes of the stack of calls in use.
    pub const USED: usize = offset_of!(Activation, used);
    /// The first place.
    pub const PLACES: usize = offset_of!(Activation, places);
    /// Memory for vector state.
    pub const ROOM: usize = PLACES + offset_of!(Place, room);
    /// [`Record::caller`].
    pub const CALLER: usize = PLACES + offset_of!(Record, caller);
    /// [`Record::rip`].
    pub const RIP: usize = PLACES + offset_of!(Record, rip);
    /// [`Record::rsp`].
    pub const RSP: usize = PLACES + offset_of!(Record, rsp);
    /// [`Record::thread_pointer`].
    pub const THREAD_POINTER: usize = PLACES + offset_of!(Record, thread_pointer);
    /// [`Record::output`].
    pub const OUTPUT: usize = PLACES + offset_of!(Record, output);
    /// [`Saved::area`].
    pub const AREA: usize = PLACES + offset_of!(Record, extended) + offset_of!(Saved, area);
    /// [`Saved::mxcsr`].
    pub const MXCSR: usize = PLACES + offset_of!(Record, extended) + offset_of!(Saved, mxcsr);
    /// [`Record::output_bytes`].
    pub const OUTPUT_BYTES: usize = PLACES + offset_of!(Record, output_bytes);
    /// [`Record::slot`].
    pub const SLOT: usize = PLACES + offset_of!(Record, slot);

    const _: () = assert!(offset_of!(Place, record) == 0);
}

// SAFETY: an activation is used by its own CPU alone, inside the kernel, which is not interrupted.
unsafe impl Sync for Activation {}
// SAFETY: as above.
unsafe impl Send for Activation {}

impl Drop for Activation {
    fn drop(&mut self) {
        for place in &self.places {
            extended_state::give_back(&place.room);
        }
    }
}

impl Activation {
    /// An activation that will enter `home` at `entry`.
    #[must_use]
    pub fn new(home: &'static Dispatcher, entry: Entry) -> Self {
        Self {
            home,
            used: Cell::new(0),
            places: Default::default(),
            state: Cell::new(State::New { entry }),
            call: Cell::new(CallFrame::default()),
            busy_ns: Cell::new(0),
            since_ns: Cell::new(0),
        }
    }

    /// The dispatcher it started in.
    #[must_use]
    pub fn home(&self) -> &'static Dispatcher {
        self.home
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Says what it is doing.
    pub fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// The registers of the call that it makes again.
    #[must_use]
    pub fn call(&self) -> CallFrame {
        self.call.get()
    }

    /// Notes the registers of the call that it makes again.
    pub fn set_call(&self, call: CallFrame) {
        self.call.set(call);
    }

    /// Counts time from `now` (monotonic ns) on: it runs.
    pub fn begin(&self, now: u64) {
        self.since_ns.set(now);
    }

    /// Counts time until `now`: it runs no longer.
    pub fn pause(&self, now: u64) {
        self.busy_ns.set(self.busy(now));
    }

    /// Nanoseconds that it ran until `now`, the calls that it made included; it runs.
    #[must_use]
    pub fn busy(&self, now: u64) -> u64 {
        self.busy_ns.get() + now.saturating_sub(self.since_ns.get())
    }

    /// How many calls it is in.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.used.get() / PLACE_BYTES
    }

    /// Whether another call still fits.
    #[inline(always)]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.used.get() < DEPTH * PLACE_BYTES
    }

    /// Hides the running process's vector state from the call that is about to be pushed, or from
    /// whatever runs while this one waits.
    ///
    /// # Errors
    /// `Exhausted` without memory to keep it.
    #[inline(always)]
    pub fn hide_extended_state(&self) -> Result<Saved, Error> {
        let place = self.places.get(self.depth()).ok_or(Error::TooDeep)?;
        extended_state::hide(&place.room)
    }

    /// Notes a call; the caller asked [`Activation::has_room`].
    #[inline(always)]
    pub fn push(&self, record: Record) {
        if let Some(place) = self.places.get(self.depth()) {
            place.record.set(record);
            self.used.set(self.used.get() + PLACE_BYTES);
        }
    }

    /// Takes the last call back; `None` if it is in none. The record's caller may have ended.
    #[inline(always)]
    pub fn pop(&self) -> Option<Record> {
        let used = self.used.get().checked_sub(PLACE_BYTES)?;
        self.used.set(used);
        self.places
            .get(self.depth())
            .map(|place| place.record.get())
    }

    /// Takes every caller out that is `process`, which has ended: nothing may go back there. So
    /// that the common return need not ask, this is done when a process ends.
    pub fn forget(&self, process: &Process) {
        for place in self.places.iter().take(self.depth()) {
            let mut record = place.record.get();
            if record
                .caller
                .is_some_and(|caller| ptr::eq(caller.process(), process))
            {
                record.caller = None;
                place.record.set(record);
            }
        }
        match self.state.get() {
            State::New { .. } if ptr::eq(self.home.process(), process) => {
                self.state.set(State::Ended);
            }
            State::Waiting { dispatcher, .. } | State::Calling { dispatcher, .. }
                if ptr::eq(dispatcher.process(), process) =>
            {
                self.strand();
            }
            _ => {}
        }
    }

    /// Says that the process in which it was has ended: somebody is to be told, or nobody is there.
    pub fn strand(&self) {
        self.state.set(if self.depth() == 0 {
            State::Ended
        } else {
            State::Stranded
        });
    }
}
