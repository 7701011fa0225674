//! The interval timer of real time, which is also the alarm.

use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{NS_PER_SECOND, TimeValue};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{LINUX, program_memory, signal};

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct TimerValue {
    interval: TimeValue,
    left: TimeValue,
}

/// Whether the timer has run out since somebody looked.
#[must_use]
#[inline]
pub fn is_due() -> bool {
    let due = LINUX.time.due.load(Relaxed);
    due != u64::MAX && kiln_runtime::time::monotonic_ns() >= due
}

/// Sends the timer's signal if it has run out, and sets it again if it is periodic.
pub fn expire() {
    if !is_due() {
        return;
    }
    let interval = LINUX.time.interval.lock();
    let next = match *interval {
        0 => u64::MAX,
        // Periods that nobody looked at count as one.
        interval => kiln_runtime::time::monotonic_ns().saturating_add(interval),
    };
    LINUX.time.due.store(next, Relaxed);
    drop(interval);
    arm();
    signal::send(abi::SIGALRM, signal::Information::kernel(abi::SIGALRM));
}

/// Sets the kernel's timer to when this one is due, if it is set.
pub fn arm() {
    let due = LINUX.time.due.load(Relaxed);
    if due != u64::MAX {
        tell(due);
    }
}

#[cfg(kiln_freestanding)]
fn tell(due: u64) {
    use kiln_interface::kernel::Process as _;
    // Without the kernel's timer this one is looked at when calls end and wait.
    let _ = kiln_runtime::process().set_timer(due);
}

#[cfg(not(kiln_freestanding))]
fn tell(_due: u64) {}

/// The earlier of the time at which the timer is due and `deadline`.
#[must_use]
pub fn earliest(deadline: Option<u64>) -> Option<u64> {
    match LINUX.time.due.load(Relaxed) {
        u64::MAX => deadline,
        due => Some(deadline.map_or(due, |deadline| deadline.min(due))),
    }
}

fn left() -> u64 {
    match LINUX.time.due.load(Relaxed) {
        u64::MAX => 0,
        // A timer that is set never has zero left.
        due => due
            .saturating_sub(kiln_runtime::time::monotonic_ns())
            .max(1000),
    }
}

fn set(after: u64, every: u64) {
    let mut interval = LINUX.time.interval.lock();
    *interval = every;
    let was_set = LINUX.time.due.load(Relaxed) != u64::MAX;
    let due = match after {
        0 => u64::MAX,
        after => kiln_runtime::time::monotonic_ns().saturating_add(after),
    };
    LINUX.time.due.store(due, Relaxed);
    if was_set || due != u64::MAX {
        tell(due);
    }
}

/// `alarm(seconds)`: answers the seconds that the previous alarm had left.
///
/// # Errors
/// None.
pub fn alarm(call: &Call<'_>) -> Answer {
    let before = left().div_ceil(NS_PER_SECOND);
    set(u64::from(call.unsigned(0)) * NS_PER_SECOND, 0);
    Ok(before)
}

fn only_real(which: u32) -> Result<(), Errno> {
    match which {
        abi::ITIMER_REAL => Ok(()),
        // Timers that count processor time would need the kernel's.
        abi::ITIMER_VIRTUAL | abi::ITIMER_PROF => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

fn value() -> TimerValue {
    TimerValue {
        interval: TimeValue::from_ns(*LINUX.time.interval.lock()),
        left: TimeValue::from_ns(left()),
    }
}

/// `getitimer(which, value)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`; `EOPNOTSUPP` for the timers of processor time.
pub fn getitimer(call: &Call<'_>) -> Answer {
    only_real(call.unsigned(0))?;
    program_memory::write(call.pointer(1), &value())?;
    Ok(0)
}

/// `setitimer(which, new, old)`.
///
/// # Errors
/// As [`getitimer`].
pub fn setitimer(call: &Call<'_>) -> Answer {
    only_real(call.unsigned(0))?;
    let old = value();
    let new = match call.pointer(1) {
        0 => TimerValue::default(),
        address => program_memory::read::<TimerValue>(address)?,
    };
    let (after, every) = (new.left.to_ns()?, new.interval.to_ns()?);
    program_memory::write_if_wanted(call.pointer(2), &old)?;
    set(after, every);
    Ok(0)
}
