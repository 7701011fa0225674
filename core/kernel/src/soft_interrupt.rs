//! Soft interrupts: what the kernel tells a dispatcher, and the timers that tell it the time.
//!
//! A soft interrupt is a bit in the dispatcher's page. It ends a wait. A program that computes is
//! told at its trap entry when an interrupt has stopped it outside the system's range of addresses:
//! inside is the library, which must not be entered again and looks at the bits itself when a call
//! ends. An interrupt that finds it there may come after that look, so the processor's timer is set
//! to try again, ever later, until the bits are gone.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use alloc::vec::Vec;
use kiln_object::Error;
use kiln_object::dispatcher::soft_interrupt::{CONSOLE, TIMER};
use kiln_object::layout::{SYSTEM_END, SYSTEM_START};
use spin::Mutex;

use crate::call::current_dispatcher;
use crate::fault;
use crate::interrupt::InterruptFrame;
use crate::process::{self, Dispatcher, Process};
use crate::time;
use crate::time::timer::{User, arm_for, on_expiry_for};

/// What a program is stopped for.
const STOPS: u64 = CONSOLE | TIMER;

/// Until the first further try, in ns, and between later ones at most.
const FIRST_DELAY_NS: u64 = 500_000;
const LONGEST_DELAY_NS: u64 = 64_000_000;

/// The dispatcher of a program that was told something last; null if it has seen all of it.
static TOLD: AtomicPtr<Dispatcher> = AtomicPtr::new(core::ptr::null_mut());

/// Until the next further try, in ns.
static DELAY: AtomicU64 = AtomicU64::new(FIRST_DELAY_NS);

struct Timer {
    process: &'static Process,
    cpu: u32,
    deadline: u64,
}

/// Timers that are set: one for each dispatcher at most.
static TIMERS: Mutex<Vec<Timer>> = Mutex::new(Vec::new());

/// Sets `bits` for `dispatcher`.
pub fn raise(dispatcher: &'static Dispatcher, bits: u64) {
    crate::event!(Raise, 0, dispatcher.process().id().raw(), bits);
    dispatcher.page().pending.fetch_or(bits, Ordering::AcqRel);
    // Only a process with foreign code has any outside the system's range.
    if bits & STOPS != 0 && dispatcher.process().entries.reflected() != 0 {
        DELAY.store(FIRST_DELAY_NS, Ordering::Relaxed);
        TOLD.store(
            core::ptr::from_ref(dispatcher).cast_mut(),
            Ordering::Release,
        );
    }
}

/// Raises `TIMER` for the process's dispatcher on `cpu`, the running one, at the monotonic time
/// `deadline` (ns; `u64::MAX` for never), in place of what was set before.
///
/// # Errors
/// `Exhausted` without memory.
pub fn set_timer(process: &'static Process, cpu: u32, deadline: u64) -> Result<(), Error> {
    let mut timers = TIMERS.lock();
    timers.retain(|timer| {
        lives(timer) && !(core::ptr::eq(timer.process, process) && timer.cpu == cpu)
    });
    if deadline != u64::MAX {
        timers.try_reserve(1).map_err(|_| Error::Exhausted)?;
        timers.push(Timer {
            process,
            cpu,
            deadline,
        });
    }
    on_expiry_for(User::Process, expired);
    arm_for(User::Process, earliest(&timers));
    Ok(())
}

fn lives(timer: &Timer) -> bool {
    process::find(timer.process.id()).is_some()
}

fn earliest(timers: &[Timer]) -> u64 {
    timers
        .iter()
        .map(|timer| timer.deadline)
        .min()
        .unwrap_or(u64::MAX)
}

/// Tells those whose time has come; called in interrupt context.
fn expired() {
    let now = time::monotonic_ns();
    let mut timers = TIMERS.lock();
    timers.retain(|timer| {
        if timer.deadline > now {
            return true;
        }
        if lives(timer)
            && let Ok(dispatcher) = timer.process.dispatcher(timer.cpu)
        {
            raise(dispatcher, TIMER);
        }
        false
    });
    arm_for(User::Process, earliest(&timers));
}

/// After an interrupt that came from user mode: lets it go on at the trap entry if the program is to
/// be told something and can be.
pub fn after_interrupt(frame: &mut InterruptFrame) {
    let Some(dispatcher) = current_dispatcher() else {
        return;
    };
    let is_told = !(SYSTEM_START..SYSTEM_END).contains(&frame.rip)
        && dispatcher.page().pending.load(Ordering::Acquire) & STOPS != 0
        && dispatcher.page().disabled.load(Ordering::Acquire) == 0
        && fault::deliver_soft_interrupt(frame, dispatcher);
    if is_told {
        return;
    }
    // SAFETY: only `raise` stores there, from a reference that is valid for good.
    let Some(told) = (unsafe { TOLD.load(Ordering::Acquire).as_ref() }) else {
        return;
    };
    if told.page().pending.load(Ordering::Acquire) & STOPS == 0 {
        TOLD.store(core::ptr::null_mut(), Ordering::Release);
        return;
    }
    let delay = DELAY.load(Ordering::Relaxed);
    DELAY.store((2 * delay).min(LONGEST_DELAY_NS), Ordering::Relaxed);
    arm_for(
        User::SoftInterrupt,
        time::monotonic_ns().saturating_add(delay),
    );
}
