//! Who waits for room: in a server, in a ring of messages, in a mailbox, among places for calls.
//!
//! Whoever finds no room is noted, and then looks once more; whoever makes room then looks whether
//! somebody is noted (see `Wanted`). So one of the two sees the other, and no wake-up is lost. Noted are processes
//! and processors, not threads, so there is always room for one more, one that has ended costs
//! nothing, and some are woken for nothing.

use core::sync::atomic::Ordering;

use kiln_object::Error;
use kiln_object::call::{CallWord, ReturnWord};
use kiln_object::dispatcher::soft_interrupt::RETRY;
use kiln_object::trace::Reason;

use super::flush::bits;
use super::wanted::Wanted;
use crate::call::activation::{Activation, Until};
use crate::call::entry::CallFrame;
use crate::process::{self, Dispatcher, PROCESSES, Process};
use crate::processor::PerCpu;
use crate::soft_interrupt;

/// Those that wait for room in one place.
pub struct Waiters(Wanted<Noted>);

/// Processes by their place in the table, and processors.
#[derive(Clone, Copy)]
struct Noted {
    processes: [u64; PROCESSES / 64],
    /// Processors on which their dispatchers are told.
    told: u64,
    /// Processors with activations that were stopped.
    stopped: u64,
}

const NOBODY: Noted = Noted {
    processes: [0; PROCESSES / 64],
    told: 0,
    stopped: 0,
};

/// A place where there was no room.
#[derive(Clone, Copy)]
pub struct Room {
    waiters: &'static Waiters,
    wakes: u64,
}

impl Room {
    /// Whether there may be room now.
    pub fn may_be(self) -> bool {
        self.waiters.0.wakes() != self.wakes
    }
}

/// How somebody waits.
#[derive(Clone, Copy)]
pub enum Noticed {
    /// Its runtime parks the thread until `RETRY`, of this dispatcher.
    Told(&'static Dispatcher),
    /// Its activation is stopped: it serves a call, and has no thread to park.
    Stopped(Room),
}

impl Default for Waiters {
    fn default() -> Self {
        Self::new()
    }
}

impl Waiters {
    /// With nobody.
    pub fn new() -> Self {
        Self(Wanted::new(NOBODY))
    }

    fn note(&'static self, change: impl FnOnce(&mut Noted)) -> Room {
        Room {
            waiters: self,
            wakes: self.0.note(change),
        }
    }

    /// Notes an activation of the running processor, which will be stopped.
    pub(super) fn note_stopped(&'static self) -> Room {
        let bit = 1 << PerCpu::number();
        self.note(|noted| noted.stopped |= bit)
    }

    /// Notes `caller`, which runs and finds no room for its call `word`, which goes to `target`. Afterwards it
    /// is to look once more, and if there still is none to [`wait`].
    ///
    /// # Errors
    /// `Busy` if the target cannot make room before this call is over, or the caller does not wait for it.
    pub fn note_caller(
        &'static self,
        caller: &'static Dispatcher,
        activation: &Activation,
        target: &Process,
        word: CallWord,
    ) -> Result<Noticed, Error> {
        if activation.depth() != 0 {
            if word.is_at_once() || activation.is_in(target, caller) {
                return Err(Error::Busy);
            }
            return Ok(Noticed::Stopped(self.note_stopped()));
        }
        let index = caller.process().id().index() as usize;
        self.note(|noted| {
            if let Some(word) = noted.processes.get_mut(index / 64) {
                *word |= 1 << (index % 64);
            }
            noted.told |= 1 << caller.cpu();
        });
        Ok(Noticed::Told(caller))
    }

    /// Tells all who are noted that there may be room. What made it was stored before, in the one order
    /// of all such accesses.
    #[inline(always)]
    pub fn wake(&self) {
        if self.0.is_anybody() {
            self.wake_all();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_all(&self) {
        let noted = self.0.take(NOBODY);
        for (place, word) in noted.processes.iter().enumerate() {
            for bit in bits(*word) {
                let Some(process) = process::at(place * 64 + bit as usize) else {
                    continue;
                };
                for number in bits(noted.told) {
                    if let Some(dispatcher) = process.made_dispatcher(number) {
                        soft_interrupt::raise(dispatcher, RETRY);
                    }
                }
            }
        }
        super::run::wake_stopped(noted.stopped);
    }
}

/// Lets the caller wait as [`Waiters::note_caller`] found for what goes to `target`, which has no room or, as
/// `reason` says, is not ready; `frame` is its call as it came.
///
/// # Errors
/// `Exhausted` without memory for its vector state.
pub fn wait(
    frame: &mut CallFrame,
    noticed: Noticed,
    target: &'static Process,
    reason: Reason,
) -> Result<(), Error> {
    match noticed {
        Noticed::Told(caller) => {
            crate::event!(Park, reason as u32, target.id().raw());
            // A start has a limit of its own.
            let limit = match reason {
                Reason::Room => target.answer_limit(),
                _ => 0,
            };
            caller.page().room_limit.store(limit, Ordering::Relaxed);
            frame.rax = ReturnWord::no_room(CallWord(frame.rax));
            Ok(())
        }
        Noticed::Stopped(room) => super::run::call_later(frame, Until::Room(room, target)),
    }
}
