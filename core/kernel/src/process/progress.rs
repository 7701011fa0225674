//! A process from stage to stage: it becomes ready, waits for a call, ends, and begins anew.
//!
//! The word that decides is [`Life`](super::life::Life)'s; what goes with a stage is done here.

use core::sync::atomic::{Ordering, fence};

use kiln_object::{Error, ProcessId};

use super::life::Stage;
use super::{Process, initial, roster};
use crate::memory::address_space::AddressSpace;
use crate::processor::PerCpu;
use crate::schedule;

impl Process {
    /// Says that it takes calls; of one that has ended it changes nothing.
    #[inline]
    pub fn mark_ready(&self) {
        if !self.life.is(Stage::Ready) {
            self.become_ready();
        }
    }

    /// The same by that incarnation of it.
    ///
    /// # Errors
    /// `ServerDied` if that has ended.
    #[inline]
    pub fn mark_ready_as(&self, id: ProcessId) -> Result<(), Error> {
        if self.id() != id {
            return Err(Error::ServerDied);
        }
        if !self.life.is(Stage::Ready) {
            if self.life.has_ended() {
                return Err(Error::ServerDied);
            }
            self.become_ready();
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn become_ready(&self) {
        self.was_ready.store(true, Ordering::Relaxed);
        if self.life.advance(Stage::Starting, Stage::Ready) {
            return;
        }
        if self.life.is(Stage::Called) {
            self.entries.admit();
            if self.life.advance(Stage::Called, Stage::Ready) {
                self.wake_callers();
            }
        }
    }

    /// Leaves it empty until somebody calls it.
    pub(super) fn put_on_call(&self) {
        self.life.advance(Stage::Starting, Stage::OnCall);
    }

    /// Whether it was called and is not ready yet, or it is not settled yet what comes after its end.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.life.is_changing()
    }

    /// Starts it if it waits for a call; false if there is nothing to wait for, else the running CPU is
    /// woken when there is not any more.
    ///
    /// # Errors
    /// Why it could not be started, which ends it.
    pub fn call_up(&'static self) -> Result<bool, Error> {
        if self.life.advance(Stage::OnCall, Stage::Called)
            && let Err(error) = initial::start_again(self)
        {
            crate::error!("{} could not be started: {error}", self.name());
            schedule::end_later(self, 0);
            return Err(error);
        }
        Ok(self.is_changing() && self.life.wait_on(PerCpu::number()))
    }

    /// Sets where the kernel enters it; calls only when it is ready, if somebody waits for that.
    ///
    /// # Errors
    /// As `Entries::set`.
    pub fn set_entries(&self, call: u64, reflected: u64, trap: u64) -> Result<(), Error> {
        if self.life.is(Stage::Called) {
            return self.entries.set_and_hold(call, reflected, trap);
        }
        self.entries.set(call, reflected, trap)?;
        // With the one in `Waiters::note_caller`: whoever called too early sees the entry, or is seen.
        fence(Ordering::SeqCst);
        for dispatcher in self.made_dispatchers() {
            dispatcher.waiters().wake();
        }
        Ok(())
    }

    /// Ends it: nobody finds it any more. False if it had ended before.
    pub fn mark_ended(&self, status: u32) -> bool {
        if !self.life.end() {
            return false;
        }
        crate::event!(ProcessEnd, status, self.id().raw());
        for dispatcher in self.made_dispatchers() {
            dispatcher.account().set_ended();
        }
        crate::info!("{} ended with status {status}", self.name());
        roster::leave(self);
        true
    }

    /// Whether it has ended, and whoever is to be told has to wait until what comes after is settled.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.life.is(Stage::Ending)
    }

    /// Has the running CPU woken when that is settled; false if it is.
    pub fn await_end(&self) -> bool {
        self.life.wait_on(PerCpu::number())
    }

    /// Has all look again who wait for something of it.
    fn wake_callers(&self) {
        schedule::wake(self.life.waiting());
    }

    /// Says that nothing comes after its end.
    pub(super) fn stay_ended(&self) {
        self.life.advance(Stage::Ending, Stage::Ended);
        self.wake_callers();
    }

    /// Says that its next incarnation waits for a call.
    pub(super) fn await_call(&self) {
        self.life.advance(Stage::Ending, Stage::OnCall);
        self.wake_callers();
    }

    /// Whether it has begun to run and not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.life.is(Stage::Starting) || self.life.is(Stage::Ready)
    }

    /// Whether it has neither said that it takes calls nor ended.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.life.is(Stage::Starting)
    }

    /// Whether it has ended. What is begun in the kernel after the answer no may still be done: its
    /// memory stays until every CPU has left the kernel once.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.life.has_ended()
    }

    /// Gives its memory and objects back. No CPU runs in it any more, and none has a reference to it
    /// that it would use without asking whether it has ended.
    pub fn release(&self) {
        self.objects.clear();
        let unmapped = {
            let mut space = self.space.lock();
            space.destroy();
            space.take_unmapped()
        };
        drop(unmapped);
        for dispatcher in self.made_dispatchers() {
            dispatcher.release();
        }
    }

    /// Makes its next incarnation, which has empty memory and has not run. Its last one was
    /// released, and still is ending.
    pub(super) fn renew(&'static self) -> Result<(), Error> {
        let id = roster::next_incarnation(self.id().index() as usize)?;
        let space = AddressSpace::new(self.program)?;
        {
            let mut place = self.space.lock();
            self.root.store(space.root(), Ordering::Relaxed);
            self.id.store(id.raw(), Ordering::Release);
            *place = space;
        }
        self.entries.set(0, 0, 0)?;
        self.started.store(0, Ordering::Release);
        self.watches.store(false, Ordering::Release);
        self.was_ready.store(false, Ordering::Relaxed);
        for dispatcher in self.made_dispatchers() {
            dispatcher.renew()?;
        }
        roster::enter(self);
        crate::event!(ProcessStart, 0, id.raw());
        Ok(())
    }
}
