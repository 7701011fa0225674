//! The activations of one processor, which alone touches them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use kiln_object::Error;

use super::cpu;
use super::domain::{Class, Domain, Usages, domain, window_end};
use super::remote::{self, RemoteCall};
use super::waiters::Room;
use crate::call::activation::{Activation, State};
use crate::memory::heap;
use crate::process::{Dispatcher, Process};

/// Dispatchers of one processor whose timer is set.
pub type Timers = Vec<&'static Dispatcher>;

/// For how long one runs before another of its class does, in ns.
pub(super) const QUANTUM_NS: u64 = 4_000_000;

/// How long one that was stopped inside a call is kept from running by those that come first, in ns:
/// it may hold a lock of the server that they wait for.
const STARVED_NS: u64 = 100_000_000;

/// For how much processor time a server that has not said that it is ready comes before all others, in
/// ns: those after it want it ready.
const STARTING_NS: u64 = 1_000_000_000;

/// Activations for calls of other processors that are kept.
const SPARE: usize = 4;

/// How long a process goes unnoticed that gave itself a reason to run while it served a call, in ns.
const NOTICE_NS: u64 = 20_000_000;

/// The queue, in the order of turns.
pub struct Queue {
    activations: RefCell<Vec<&'static Activation>>,
    timers: RefCell<Timers>,
    usages: RefCell<Usages>,
    /// When the running one's turn is over (monotonic ns).
    turn_end: Cell<u64>,
    /// Activations for calls of other processors that have none.
    spare: RefCell<Vec<&'static Activation>>,
    /// The running one is on turn although others come first.
    out_of_order: Cell<bool>,
}

/// Who comes first: the least does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// It was stopped inside a call, and kept from running for long.
    Starved,
    /// It is a server that is setting itself up.
    Starting,
    /// By class, calls of other processors before the rest, and what the domain has had.
    Ordinary(Class, bool, u64),
}

/// What is to become of the running activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stops now.
    Stop,
    /// It runs on, at least until then (monotonic ns).
    RunUntil(u64),
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            activations: RefCell::new(Vec::new()),
            timers: RefCell::new(Vec::new()),
            usages: RefCell::new(Usages::new()),
            turn_end: Cell::new(0),
            spare: RefCell::new(Vec::new()),
            out_of_order: Cell::new(false),
        }
    }

    /// Adds one behind all others, unless its process has ended meanwhile.
    pub(super) fn add(&self, activation: &'static Activation) {
        if !activation.is_of_living() {
            activation.set_state(State::Ended);
        }
        self.activations.borrow_mut().push(activation);
    }

    /// Adds one before all others, with the same exception.
    pub(super) fn add_first(&self, activation: &'static Activation) {
        if !activation.is_of_living() {
            activation.set_state(State::Ended);
        }
        self.activations.borrow_mut().insert(0, activation);
    }

    /// Takes process that has ended out of every activation, and its timers.
    pub(super) fn forget(&self, process: &'static Process) {
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
        let mut usages = self.usages.borrow_mut();
        let mut best: Option<(Order, usize, u8, &Domain)> = None;
        for (place, one) in activations.iter().enumerate() {
            if !is_ready(one, now) {
                continue;
            }
            let (number, domain) = (one.domain(), domain_of(one));
            let order = if is_starved(one, now) {
                Order::Starved
            } else if is_starting(one) {
                Order::Starting
            } else {
                if usages.left(number, domain, now) == 0 {
                    continue;
                }
                let (class, pass) = usages.rank(number, domain);
                Order::Ordinary(class, !matches!(one.state(), State::Called { .. }), pass)
            };
            if best.is_none_or(|(least, ..)| order < least) {
                best = Some((order, place, number, domain));
            }
        }
        let (order, place, number, domain) = best?;
        self.out_of_order.set(order == Order::Starved);
        let next = activations.remove(place);
        activations.push(next);
        usages.choose(number, domain);
        self.turn_end.set(now + QUANTUM_NS);
        Some(next)
    }

    /// Counts the time until `now` that `activation` ran: it stops, or runs on from now.
    pub(super) fn account(&self, activation: &Activation, now: u64) {
        let ran = now.saturating_sub(activation.since());
        activation.pause(now);
        let mut usages = self.usages.borrow_mut();
        usages.charge(activation.domain(), domain_of(activation), ran, now);
    }

    /// Whether `running`, which was counted until `now`, stops for another or for its limit.
    pub(super) fn judge(&self, running: &Activation, now: u64) -> Verdict {
        let usages = self.usages.borrow();
        let turn_end = self.turn_end.get();
        let own = domain_of(running);
        let mut until = u64::MAX;
        let mut stop = false;
        if is_starting(running) {
            return Verdict::RunUntil(now + STARTING_NS);
        }
        let left = usages.left(running.domain(), own, now);
        if left != u64::MAX {
            let end = turn_end.max(now.saturating_add(left));
            stop |= end <= now;
            until = end;
        }
        for other in self.activations.borrow().iter() {
            if !is_ready(other, now) {
                if let State::Waiting { deadline, .. } = other.state()
                    && domain_of(other).class <= own.class
                {
                    until = until.min(deadline).min(now + NOTICE_NS);
                } else if let State::Faulted { .. } = other.state() {
                    until = until.min(other.page_deadline());
                }
                continue;
            }
            let domain = domain_of(other);
            let comes_first = domain.class < own.class;
            let from = match other.state() {
                _ if is_starting(other) => now,
                _ if is_starved(other, now) => turn_end,
                _ if usages.left(other.domain(), domain, now) == 0 => window_end(now),
                _ if comes_first && !self.out_of_order.get() => now,
                // Who called waits, and called into another's time.
                State::Called { .. } if domain.class == own.class && !self.out_of_order.get() => {
                    now
                }
                _ if domain.class <= own.class => turn_end,
                State::Preempted { .. } if other.depth() > 0 => other.since() + STARVED_NS,
                _ => continue,
            };
            stop |= from <= now;
            until = until.min(from);
        }
        if stop {
            Verdict::Stop
        } else {
            Verdict::RunUntil(until)
        }
    }

    /// When `dispatcher`'s own activation, which has just been given a reason to run, does so while
    /// `running` does (monotonic ns).
    pub(super) fn turn_of(&self, woken: &Dispatcher, running: &Activation, now: u64) -> u64 {
        let woken = domain(woken.process().domain());
        if woken.class < domain_of(running).class && !self.out_of_order.get() {
            now
        } else {
            self.turn_end.get().max(now)
        }
    }

    /// Does something with each activation, the running one included.
    pub(super) fn for_each(&self, action: impl Fn(&'static Activation)) {
        self.activations
            .borrow()
            .iter()
            .for_each(|activation| action(activation));
    }

    /// Gives back what has ended.
    fn bury(&self) {
        self.activations.borrow_mut().retain(|activation| {
            let ended = activation.has_ended();
            if ended {
                self.give_back(activation);
            }
            !ended
        });
    }

    #[cold]
    fn give_back(&self, activation: &'static Activation) {
        remote::fail(activation, activation.take_reason());
        crate::call::forget_activation(activation);
        let mut spare = self.spare.borrow_mut();
        if activation.is_for_calls() && spare.len() < SPARE {
            spare.push(activation);
        } else {
            // SAFETY: activations are made in a box and put into one queue; nothing names one that has
            // ended but this queue, which no longer does.
            drop(unsafe { Box::from_raw(core::ptr::from_ref(activation).cast_mut()) });
        }
    }

    /// Has `call` served in `callee`, in the resource domain of that number, before all others.
    ///
    /// # Errors
    /// `Exhausted` without memory for an activation.
    pub(super) fn serve(
        &self,
        callee: &'static Dispatcher,
        call: &'static RemoteCall,
        domain: u8,
    ) -> Result<(), Error> {
        let spare = self.spare.borrow_mut().pop();
        let activation = match spare {
            Some(activation) => activation,
            None => {
                heap::ensure_room(false)?;
                Box::leak(Activation::for_calls(callee))
            }
        };
        activation.begin_call(callee, call, domain);
        self.add(activation);
        Ok(())
    }

    /// When the first of those that wait for a time goes on, or for their limit's next window.
    pub(super) fn earliest_deadline(&self, now: u64) -> u64 {
        let activations = self.activations.borrow();
        let times = activations.iter().map(|one| match one.state() {
            _ if is_ready(one, now) => window_end(now),
            State::Waiting { deadline, .. } => deadline,
            State::Calling { .. } | State::Called { .. } => one.give_up(),
            State::Faulted { .. } => one.page_deadline(),
            _ => u64::MAX,
        });
        times.min().unwrap_or(u64::MAX)
    }
}

fn domain_of(activation: &Activation) -> &'static Domain {
    domain(activation.domain())
}

/// Whether its process is a server that is setting itself up.
fn is_starting(activation: &Activation) -> bool {
    let process = activation.home().process();
    process.is_starting() && !process.is_program() && activation.busy_so_far() < STARTING_NS
}

/// Whether it was stopped inside a call, long ago.
fn is_starved(activation: &Activation, now: u64) -> bool {
    matches!(activation.state(), State::Preempted { .. })
        && activation.depth() > 0
        && now.saturating_sub(activation.since()) >= STARVED_NS
}

fn is_ready(activation: &Activation, now: u64) -> bool {
    match activation.state() {
        State::Stranded { ended } => !ended.is_ending(),
        State::New { .. } | State::Preempted { .. } => true,
        State::Called { room, .. } => room.is_none_or(Room::may_be) || activation.give_up() <= now,
        State::Waiting {
            dispatcher,
            deadline,
            ..
        } => deadline <= now || dispatcher.page().attention().pending() != 0,
        State::Calling { until, .. } => until.is_over() || activation.give_up() <= now,
        State::Faulted { .. } => activation.page_deadline() <= now,
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
