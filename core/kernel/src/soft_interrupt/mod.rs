//! Soft interrupts: what the kernel tells a dispatcher, and the timers that tell it the time.
//!
//! A soft interrupt is a bit in the dispatcher's page. It ends a wait. A dispatcher that computes, on
//! its own activation and not for a caller, is told at its trap entry when an interrupt has stopped
//! it where it may be stopped: everywhere if it says that it is preemptible, else only outside the
//! system's range of addresses. Inside is a library that must not be entered again and looks at the
//! bits itself when a call ends. An interrupt that finds it there may come after that look, so the
//! processor's timer is set to try again, ever later, until the bits are gone.

mod way_out;

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_object::Error;
use kiln_object::dispatcher::soft_interrupt::{CONSOLE, TIMER};
use kiln_object::layout::{SYSTEM_END, SYSTEM_START};

use crate::call::current_dispatcher;
use crate::call::local::current_activation;
use crate::fault;
use crate::interrupt::InterruptFrame;
use crate::process::{Dispatcher, Process};
use crate::processor::PerCpu;
use crate::schedule::{self, Request, Timers};
use crate::time;
use crate::time::timer::{User, arm_for, on_expiry_for};
use way_out::{Processor, on_way_out};

/// What a program is stopped for if it is not preemptible.
const STOPS: u64 = CONSOLE | TIMER;

/// Until the first further try, in ns, and between later ones at most.
const FIRST_DELAY_NS: u64 = 500_000;
const LONGEST_DELAY_NS: u64 = 64_000_000;

/// Until the next further try, in ns; by processor.
static DELAYS: [AtomicU64; crate::process::CPUS] =
    [const { AtomicU64::new(FIRST_DELAY_NS) }; crate::process::CPUS];

/// Prepares the timers of processes, once.
pub fn initialise() {
    on_expiry_for(User::Process, expired);
}

/// Sets `bits` for `dispatcher`, which may be another processor's.
pub fn raise(dispatcher: &Dispatcher, bits: u64) {
    crate::event!(Raise, 0, dispatcher.process().id().raw(), bits);
    dispatcher.page().attention().raise(bits, || {
        if dispatcher.cpu() == PerCpu::number() {
            told_something();
            schedule::woken(dispatcher);
        } else {
            schedule::ask(dispatcher.cpu(), Request::Raised);
        }
    });
}

/// A dispatcher of this processor has new soft interrupts.
pub fn told_something() {
    schedule::set_told(true);
    if let Some(delay) = DELAYS.get(PerCpu::number() as usize) {
        delay.store(FIRST_DELAY_NS, Ordering::Relaxed);
    }
}

/// Raises `TIMER` for the process's dispatcher on the running processor at the monotonic time
/// `deadline` (ns; `u64::MAX` for never), in place of what was set before.
///
/// # Errors
/// `Exhausted` without memory.
pub fn set_timer(process: &'static Process, deadline: u64) -> Result<(), Error> {
    let dispatcher = process.dispatcher(PerCpu::number())?;
    schedule::with_timers(|timers| {
        let is_set = dispatcher.timer.replace(deadline) != u64::MAX;
        if deadline == u64::MAX {
            timers.retain(|other| !core::ptr::eq(*other, dispatcher));
        } else if !is_set {
            if timers.try_reserve(1).is_err() {
                dispatcher.timer.set(u64::MAX);
                return Err(Error::Exhausted);
            }
            timers.push(dispatcher);
        }
        arm_for(User::Process, earliest(timers));
        Ok(())
    })
    .unwrap_or(Err(Error::Unsupported))
}

fn earliest(timers: &Timers) -> u64 {
    timers
        .iter()
        .map(|dispatcher| dispatcher.timer.get())
        .min()
        .unwrap_or(u64::MAX)
}

/// Tells those whose time has come; called in interrupt context.
fn expired() {
    let now = time::monotonic_ns();
    schedule::with_timers(|timers| {
        timers.retain(|dispatcher| {
            let waits = dispatcher.timer.get() > now;
            if !waits {
                dispatcher.timer.set(u64::MAX);
                raise(dispatcher, TIMER);
            }
            waits
        });
        arm_for(User::Process, earliest(timers));
    });
}

/// Whether an interrupt that finds the dispatcher at the right place lets it be told.
fn is_to_be_told(dispatcher: &Dispatcher) -> bool {
    // Only a process with foreign code has any outside the system's range.
    let has_foreign_code = dispatcher.process().entries.reflected() != 0;
    let foreign = if has_foreign_code { STOPS } else { 0 };
    dispatcher.page().attention().is_to_be_told(foreign)
}

/// Whether `dispatcher` may be stopped at `rip`.
pub(crate) fn may_be_stopped(dispatcher: &Dispatcher, rip: u64) -> bool {
    let in_system = (SYSTEM_START..SYSTEM_END).contains(&rip);
    let itself = current_activation().is_some_and(|activation| {
        activation.depth() == 0 && core::ptr::eq(activation.home(), dispatcher)
    });
    itself && dispatcher.page().attention().may_be_stopped(in_system)
}

/// After an interrupt that came from user mode: lets it go on at the trap entry if the program is to
/// be told something and can be.
pub fn after_interrupt(frame: &mut InterruptFrame) {
    on_way_out(&mut Here(frame));
}

/// The running processor, with what was stopped.
struct Here<'a>(&'a mut InterruptFrame);

impl Processor for Here<'_> {
    #[inline(always)]
    fn is_told(&self) -> bool {
        schedule::is_told()
    }

    #[inline(always)]
    fn forget(&mut self) {
        schedule::set_told(false);
    }

    #[inline(always)]
    fn deliver(&mut self) -> bool {
        current_dispatcher().is_some_and(|dispatcher| {
            is_to_be_told(dispatcher)
                && may_be_stopped(dispatcher, self.0.rip)
                && fault::deliver_soft_interrupt(self.0, dispatcher)
        })
    }

    #[inline(always)]
    fn is_anybody_to_be_told(&self) -> bool {
        schedule::with_home_dispatchers(is_to_be_told)
    }

    #[inline(always)]
    fn try_again(&mut self) {
        let Some(delay) = DELAYS.get(PerCpu::number() as usize) else {
            return;
        };
        let wait = delay.load(Ordering::Relaxed);
        delay.store((2 * wait).min(LONGEST_DELAY_NS), Ordering::Relaxed);
        arm_for(
            User::SoftInterrupt,
            time::monotonic_ns().saturating_add(wait),
        );
    }
}
