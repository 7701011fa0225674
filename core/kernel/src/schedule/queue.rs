//! The activations of one processor, which alone touches them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::Ordering;

use super::cpu;
use crate::call::activation::{Activation, State};
use crate::process::{Dispatcher, Process};

/// Dispatchers of one processor whose timer is set.
pub type Timers = Vec<&'static Dispatcher>;

/// The queue, in the order of turns.
pub struct Queue {
    activations: RefCell<Vec<&'static Activation>>,
    timers: RefCell<Timers>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            activations: RefCell::new(Vec::new()),
            timers: RefCell::new(Vec::new()),
        }
    }

    /// Adds one behind all others, unless its process has ended meanwhile.
    pub(super) fn add(&self, activation: &'static Activation) {
        if activation.home().process().has_ended() {
            activation.set_state(State::Ended);
        }
        self.activations.borrow_mut().push(activation);
    }

    /// Adds one before all others, with the same exception.
    pub(super) fn add_first(&self, activation: &'static Activation) {
        if activation.home().process().has_ended() {
            activation.set_state(State::Ended);
        }
        self.activations.borrow_mut().insert(0, activation);
    }

    /// Takes process that has ended out of every activation, and its timers.
    pub(super) fn forget(&self, process: &Process) {
        for activation in self.activations.borrow().iter() {
            activation.forget(process);
        }
        self.timers
            .borrow_mut()
            .retain(|dispatcher| !core::ptr::eq(dispatcher.process(), process));
    }

    /// The next activation that can go on, which then comes last in the order.
    pub(super) fn take_turn(&self, now: u64) -> Option<&'static Activation> {
        self.bury();
        let mut activations = self.activations.borrow_mut();
        let place = activations.iter().position(|one| is_ready(one, now))?;
        let next = activations.remove(place);
        activations.push(next);
        Some(next)
    }

    /// Gives back what has ended.
    fn bury(&self) {
        self.activations.borrow_mut().retain(|activation| {
            let ended = matches!(activation.state(), State::Ended);
            if ended {
                crate::call::forget_activation(activation);
                // SAFETY: activations are made in a box and put into one queue; nothing names one
                // that has ended but this queue, which no longer does.
                drop(unsafe { Box::from_raw(core::ptr::from_ref(*activation).cast_mut()) });
            }
            !ended
        });
    }

    /// When the first of those that wait for a time goes on.
    pub(super) fn earliest_deadline(&self) -> Option<u64> {
        self.activations
            .borrow()
            .iter()
            .filter_map(|activation| match activation.state() {
                State::Waiting { deadline, .. } if deadline != u64::MAX => Some(deadline),
                _ => None,
            })
            .min()
    }
}

fn is_ready(activation: &Activation, now: u64) -> bool {
    match activation.state() {
        State::New { .. } | State::Stranded => true,
        State::Waiting {
            dispatcher,
            deadline,
            ..
        } => deadline <= now || dispatcher.page().pending.load(Ordering::Acquire) != 0,
        State::Calling { target, .. } => !target.is_coming(),
        State::Running | State::Ended => false,
    }
}

/// Does something with the running processor's timers.
pub fn with_timers<R>(action: impl FnOnce(&mut Timers) -> R) -> Option<R> {
    let here = cpu::here()?;
    Some(action(&mut here.queue().timers.borrow_mut()))
}

/// Whether `question` is answered with yes for the home dispatcher of one of the running processor's
/// activations.
pub fn with_home_dispatchers(question: impl Fn(&'static Dispatcher) -> bool) -> bool {
    cpu::here().is_some_and(|here| {
        here.queue()
            .activations
            .borrow()
            .iter()
            .any(|activation| question(activation.home()))
    })
}
