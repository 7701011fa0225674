//! Activations: what runs on a CPU, with the calls it is in.
//!
//! An activation starts in its home dispatcher; each call it makes to another process pushes a
//! record and each return pops one, so that the callee runs on the caller's time. It belongs to one
//! CPU, which alone touches it, with interrupts off.

use core::cell::{Cell, UnsafeCell};
use core::ptr;

use kiln_object::Error;

use super::extended_state::{Areas, Saved};
use crate::process::{Dispatcher, Process};

/// How deep calls may nest: program, memory file system, image root, and room for more.
pub const DEPTH: usize = 8;

/// What is needed to go back to a caller.
#[derive(Clone, Copy)]
pub struct Record {
    /// Who called.
    pub caller: &'static Dispatcher,
    /// Where the caller goes on.
    pub rip: u64,
    /// With which stack.
    pub rsp: u64,
    /// With which thread pointer.
    pub thread_pointer: u64,
    /// Where the caller wants the bytes out.
    pub output: u64,
    /// How many it takes.
    pub output_bytes: u16,
    /// Its vector state.
    pub extended: Saved,
    /// The call slot of the callee.
    pub slot: u8,
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
    /// The process that it waited in has ended: its innermost caller that lives is told.
    Stranded,
    /// No process that it was in lives.
    Ended,
}

/// One activation.
pub struct Activation {
    home: &'static Dispatcher,
    depth: Cell<usize>,
    records: UnsafeCell<[Option<Record>; DEPTH]>,
    /// Where a record was removed because its caller has ended: the call slot of its callee.
    orphans: [Cell<Option<u8>>; DEPTH],
    state: Cell<State>,
    areas: Areas,
    busy_ns: Cell<u64>,
    since_ns: Cell<u64>,
}

// SAFETY: an activation is used by its own CPU alone, inside the kernel, which is not interrupted.
unsafe impl Sync for Activation {}
// SAFETY: as above.
unsafe impl Send for Activation {}

impl Activation {
    /// An activation that will enter `home` at `entry`.
    #[must_use]
    pub const fn new(home: &'static Dispatcher, entry: Entry) -> Self {
        Self {
            home,
            depth: Cell::new(0),
            records: UnsafeCell::new([None; DEPTH]),
            orphans: [const { Cell::new(None) }; DEPTH],
            state: Cell::new(State::New { entry }),
            areas: Areas::new(),
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
        self.depth.get()
    }

    /// Whether another call still fits.
    #[inline(always)]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.depth.get() < DEPTH
    }

    /// Hides the running process's vector state from the call that is about to be pushed, or from
    /// whatever runs while this one waits.
    ///
    /// # Errors
    /// `Exhausted` without memory to keep it.
    #[inline(always)]
    pub fn hide_extended_state(&self) -> Result<Saved, Error> {
        self.areas.hide(self.depth.get())
    }

    /// Notes a call; the caller asked [`Activation::has_room`].
    #[inline(always)]
    pub fn push(&self, record: Record) {
        let depth = self.depth.get();
        // SAFETY: this CPU alone uses the activation and no other reference to the array is live.
        if let Some(place) = unsafe { &mut *self.records.get() }.get_mut(depth) {
            *place = Some(record);
            self.depth.set(depth + 1);
        }
    }

    /// Takes the last call back; `None` if it is in none, or if its caller has ended: then
    /// [`Activation::take_orphan`] tells.
    #[inline(always)]
    pub fn pop(&self) -> Option<Record> {
        let depth = self.depth.get().checked_sub(1)?;
        self.depth.set(depth);
        // SAFETY: as in `push`.
        unsafe { &*self.records.get() }
            .get(depth)
            .copied()
            .flatten()
    }

    /// The call slot of the callee, if the call that [`Activation::pop`] just failed to answer has lost
    /// its caller.
    pub fn take_orphan(&self) -> Option<u8> {
        self.orphans.get(self.depth.get())?.take()
    }

    /// Takes every caller out that is `process`, which has ended: nothing may go back there. So
    /// that the common return need not ask, this is done when a process ends.
    pub fn forget(&self, process: &Process) {
        // SAFETY: as in `push`.
        let records = unsafe { &mut *self.records.get() };
        for (record, orphan) in records.iter_mut().zip(&self.orphans).take(self.depth.get()) {
            if let Some(lost) = record.take_if(|record| ptr::eq(record.caller.process(), process)) {
                orphan.set(Some(lost.slot));
            }
        }
        match self.state.get() {
            State::New { .. } if ptr::eq(self.home.process(), process) => {
                self.state.set(State::Ended);
            }
            State::Waiting { dispatcher, .. } if ptr::eq(dispatcher.process(), process) => {
                self.state.set(State::Stranded);
            }
            _ => {}
        }
    }
}
