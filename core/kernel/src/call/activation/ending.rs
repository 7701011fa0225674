//! What becomes of an activation when a process that is in it ends, or a call takes too long.

use core::ptr;

use kiln_object::Error;

use super::{Activation, Record, State, Watched};
use crate::process::{Dispatcher, Process};

impl Activation {
    /// Whether `process` began it or serves one of its calls, the innermost, which `running` serves,
    /// included.
    #[must_use]
    pub fn is_in(&self, process: &Process, running: &Dispatcher) -> bool {
        let is_its = |dispatcher: &Dispatcher| ptr::eq(dispatcher.process(), process);
        is_its(running)
            || (0..self.depth())
                .filter_map(|depth| self.caller(depth))
                .any(is_its)
    }

    /// Says that the innermost caller is to be told that the time was over.
    pub fn time_out(&self) {
        self.timed_out.set(true);
    }

    /// Why the innermost caller gets no answer.
    #[must_use]
    pub fn take_reason(&self) -> Error {
        if self.timed_out.take() {
            Error::TimedOut
        } else {
            Error::ServerDied
        }
    }

    /// Takes every caller out that is `process`, which has ended: nothing may go back there. So
    /// that the common return need not ask, this is done when a process ends.
    pub fn forget(&self, process: &'static Process) {
        let places = self.places.iter().zip(&self.watched);
        for (depth, (place, watched)) in places.enumerate().take(self.depth()) {
            let caller = self.caller(depth);
            if caller.is_some_and(|caller| ptr::eq(caller.process(), process)) {
                let record = place.record.get();
                place.record.set(Record {
                    caller: None,
                    ..record
                });
                watched.set(Watched::default());
            }
        }
        match self.state.get() {
            State::New { .. } | State::Called { .. }
                if ptr::eq(self.home.get().process(), process) =>
            {
                self.state.set(State::Ended);
            }
            State::Waiting { dispatcher, .. }
            | State::Calling { dispatcher, .. }
            | State::Preempted { dispatcher }
            | State::Faulted { dispatcher, .. }
                if ptr::eq(dispatcher.process(), process) =>
            {
                self.strand(process);
            }
            _ => {}
        }
    }

    /// Says that `process`, in which it was, has ended: somebody is to be told, or nobody is there.
    pub fn strand(&self, process: &'static Process) {
        self.page_wait.set(None);
        self.answer.set(None);
        if self.depth() == 0 {
            self.state.set(State::Ended);
        } else {
            process.await_end();
            self.state.set(State::Stranded { ended: process });
        }
    }
}
