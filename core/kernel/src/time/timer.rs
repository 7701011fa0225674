//! Each processor's timer: the earliest of a few deadlines, on the processor that set them.
//!
//! There is one deadline for each [`User`]; setting it again replaces it. The hardware is set to
//! the earliest one and may fire early; a deadline's hook is called only when it has passed.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use x86_64::registers::model_specific::Msr;

use super::comparison::{PRECISE, Pair};
use crate::interrupt::{InterruptFrame, local_apic, table};
use crate::processor::{Features, PerCpu, features};

/// IA32_TSC_DEADLINE.
const TSC_DEADLINE: u32 = 0x6e0;

/// Number of [`User`]s.
pub const USERS: usize = 6;

/// Who waits for a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The scheduler: [`arm`] and [`on_expiry`].
    Scheduler = 0,
    /// Starting the other processors.
    Starting = 1,
    /// A console device that cannot interrupt.
    Console = 2,
    /// The timers of processes.
    Process = 3,
    /// A soft interrupt that could not be delivered yet.
    SoftInterrupt = 4,
    /// Ends that the command line asks for.
    Drill = 5,
}

static HOOKS: [AtomicPtr<()>; USERS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; USERS];

/// Counts for each nanosecond, 32.32, of the counter that the hardware compares with.
static RATE: AtomicU64 = AtomicU64::new(0);

/// How long the timer's own rate is measured where it is not the time stamp counter's.
const MEASURED_NS: u64 = 20_000;

/// A rate in counts for each nanosecond, 32.32.
fn rate(counts: u64, ns: u64) -> u64 {
    u64::try_from((u128::from(counts) << 32) / u128::from(ns.max(1))).unwrap_or(u64::MAX)
}

fn counts(ns: u64, rate: u64) -> u64 {
    u64::try_from((u128::from(ns) * u128::from(rate)) >> 32).unwrap_or(u64::MAX)
}

/// Prepares the running processor's timer.
pub(crate) fn initialise() {
    local_apic::prepare_timer(if features().contains(Features::TSC_DEADLINE) {
        local_apic::TimerMode::Deadline
    } else {
        local_apic::TimerMode::OneShot
    });
    table::register(table::TIMER, expired);
}

/// The timer's rate, found out when it is first set: many a program never waits. All processors' timers
/// run alike, so it does not matter which finds it out, or whether two do.
fn timer_rate() -> u64 {
    let known = RATE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let found = find_rate();
    RATE.store(found, Ordering::Relaxed);
    found
}

#[cold]
#[inline(never)]
fn find_rate() -> u64 {
    if features().contains(Features::TSC_DEADLINE) {
        let multiplier = u128::from(super::information().multiplier.max(1));
        u64::try_from((1_u128 << 64) / multiplier).unwrap_or(u64::MAX)
    } else {
        measure()
    }
}

/// The timer next to the machine's clock.
struct ByTheClock;

impl Pair for ByTheClock {
    fn clock(&mut self) -> u64 {
        u64::from(u32::MAX - local_apic::timer_count())
    }

    fn timer(&mut self) -> u64 {
        super::monotonic_ns()
    }
}

/// Compares the timer with the clock; the timer is stopped afterwards.
fn measure() -> u64 {
    local_apic::set_timer_count(u32::MAX);
    let pair: &mut dyn Pair = &mut ByTheClock;
    let compared = pair.compare(MEASURED_NS, PRECISE);
    local_apic::set_timer_count(0);
    let (counts, ns) = compared.unwrap_or((1, 1));
    rate(counts, ns).max(1)
}

/// Sets the scheduler's deadline on the running processor, in monotonic nanoseconds; `u64::MAX`
/// sets none. One that has passed fires at once.
pub fn arm(deadline_ns: u64) {
    arm_for(User::Scheduler, deadline_ns);
}

/// Calls `hook` in interrupt context when the scheduler's deadline has passed.
pub fn on_expiry(hook: fn()) {
    on_expiry_for(User::Scheduler, hook);
}

/// As [`arm`], for any user.
pub fn arm_for(user: User, deadline_ns: u64) {
    let here = PerCpu::here();
    let deadlines = &here.deadlines;
    let before = deadlines.iter().map(core::cell::Cell::get).min();
    deadlines[user as usize].set(deadline_ns);
    let earliest = deadlines.iter().map(core::cell::Cell::get).min();
    if earliest != before {
        set(earliest.unwrap_or(u64::MAX));
    }
}

/// As [`on_expiry`], for any user.
pub fn on_expiry_for(user: User, hook: fn()) {
    HOOKS[user as usize].store(hook as *mut (), Ordering::Release);
}

/// Sets the hardware to a deadline.
fn set(deadline_ns: u64) {
    let never = deadline_ns == u64::MAX;
    let wait = match never {
        true => 0,
        false => {
            let rate = timer_rate();
            counts(deadline_ns.saturating_sub(super::monotonic_ns()), rate)
        }
    };
    if features().contains(Features::TSC_DEADLINE) {
        let deadline = if never {
            0
        } else {
            super::counter().saturating_add(wait).max(1)
        };
        // SAFETY: the register exists with the feature, and the timer is in its mode.
        unsafe { Msr::new(TSC_DEADLINE).write(deadline) };
    } else {
        let count = u32::try_from(wait).unwrap_or(u32::MAX);
        local_apic::set_timer_count(if never { 0 } else { count.max(1) });
    }
}

fn expired(_: &mut InterruptFrame) {
    let here = PerCpu::here();
    let now = super::monotonic_ns();
    let mut passed = [false; USERS];
    for (deadline, passed) in here.deadlines.iter().zip(&mut passed) {
        if deadline.get() <= now {
            deadline.set(u64::MAX);
            *passed = true;
        }
    }
    // Hooks may arm again, and must find the hardware set for what is left.
    set(here
        .deadlines
        .iter()
        .map(core::cell::Cell::get)
        .min()
        .unwrap_or(u64::MAX));
    for (hook, _) in HOOKS
        .iter()
        .rev()
        .zip(passed.iter().rev())
        .filter(|(_, passed)| **passed)
    {
        let hook = hook.load(Ordering::Acquire);
        if !hook.is_null() {
            // SAFETY: only `on_expiry_for` stores here, and only function pointers of this type.
            unsafe { core::mem::transmute::<*mut (), fn()>(hook)() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_turn_back_into_counts() {
        let rate = rate(62_500, 1_000_000);
        assert_eq!(counts(1_000_000, rate), 62_500);
        assert_eq!(counts(0, rate), 0);
        assert_eq!(counts(u64::MAX, u64::MAX), u64::MAX);
    }
}
