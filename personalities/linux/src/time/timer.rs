//! When timers are due, and the interval timer of real time, which is also the alarm.
//!
//! All timers are set under one lock. The earliest of their times is kept beside it, so that a
//! system call that ends looks at one number; the kernel's timer is set to the same time.

use alloc::collections::BTreeMap;
use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::created::Created;
use super::setting::Setting;
use super::{NS_PER_SECOND, TimeValue};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{LINUX, program_memory, signal};

/// All timers of the process.
#[derive(Debug)]
pub(super) struct Timers {
    /// The interval timer of real time.
    real: Setting,
    /// Those that the program created, by number.
    pub(super) created: BTreeMap<i32, Created>,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self {
            real: Setting::OFF,
            created: BTreeMap::new(),
        }
    }

    /// Keeps when the next timer is due, and tells the kernel if that has changed.
    pub(super) fn note_earliest(&self) {
        let due = self
            .created
            .values()
            .map(Created::due)
            .fold(self.real.due(), u64::min);
        if LINUX.time.due.swap(due, Relaxed) != due {
            tell(due);
        }
    }
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct TimerValue {
    interval: TimeValue,
    left: TimeValue,
}

/// Whether a timer has run out since somebody looked.
#[must_use]
#[inline]
pub fn is_due() -> bool {
    let due = LINUX.time.due.load(Relaxed);
    due != u64::MAX && kiln_runtime::time::monotonic_ns() >= due
}

/// Sends the signals of timers that have run out, and sets those again that are periodic.
pub fn expire() {
    if !is_due() {
        return;
    }
    let mut timers = LINUX.time.timers.lock();
    let now = kiln_runtime::time::monotonic_ns();
    if timers.real.run_out(now) > 0 {
        signal::send(abi::SIGALRM, signal::Information::kernel(abi::SIGALRM));
    }
    for (number, timer) in &mut timers.created {
        timer.expire(*number, now);
    }
    timers.note_earliest();
}

/// Sets the kernel's timer to when the next one is due, if one is set.
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

/// The earlier of the time at which a timer is due and `deadline`.
#[must_use]
pub fn earliest(deadline: Option<u64>) -> Option<u64> {
    match LINUX.time.due.load(Relaxed) {
        u64::MAX => deadline,
        due => Some(deadline.map_or(due, |deadline| deadline.min(due))),
    }
}

/// Forgets the timers that the program created: another one is executed. The interval timer stays.
pub fn reset_for_execution() {
    let mut timers = LINUX.time.timers.lock();
    timers.created.clear();
    timers.note_earliest();
}

fn left() -> u64 {
    let now = kiln_runtime::time::monotonic_ns();
    match LINUX.time.timers.lock().real.left(now) {
        0 => 0,
        // In µs, too, a timer that is set never has zero left.
        left => left.max(1000),
    }
}

fn set(after: u64, every: u64) {
    let mut timers = LINUX.time.timers.lock();
    timers.real = match after {
        0 => Setting::OFF,
        after => Setting::at(
            kiln_runtime::time::monotonic_ns().saturating_add(after),
            every,
        ),
    };
    timers.note_earliest();
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
    // The lock is given back before `left` takes it.
    let interval = LINUX.time.timers.lock().real.interval();
    TimerValue {
        interval: TimeValue::from_ns(interval),
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
