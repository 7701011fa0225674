//! Clocks, sleeping, timers.
//!
//! All clocks are read from the page that the kernel shares; only waiting enters the kernel, and
//! setting timers: the kernel's timer interrupts the program when the next one is due.

mod clock;
mod created;
mod setting;
mod sleep;
mod timer;

use core::sync::atomic::AtomicU64;

use kiln_runtime::SpinMutex;
use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use clock::{clock_getres, clock_gettime, clock_settime, gettimeofday, settimeofday, time};
pub use created::{timer_create, timer_delete, timer_getoverrun, timer_gettime, timer_settime};
pub use sleep::{clock_nanosleep, nanosleep};
pub use timer::{alarm, arm, earliest, expire, getitimer, is_due, reset_for_execution, setitimer};

use crate::errno::Errno;
use crate::table::{Argument, SystemCall};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Clock ticks per second, as `sysconf(_SC_CLK_TCK)` says.
pub use kiln_linux_start::TICKS_PER_SECOND;

/// A `struct timespec`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TimeSpec {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, in ns.
    pub nanoseconds: i64,
}

impl TimeSpec {
    /// As many nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self {
            seconds: (ns / NS_PER_SECOND) as i64,
            nanoseconds: (ns % NS_PER_SECOND) as i64,
        }
    }

    /// The same in nanoseconds; what is longer than 500 years is cut to that.
    ///
    /// # Errors
    /// `EINVAL` if it is negative or its nanoseconds are a second or more.
    pub fn to_ns(self) -> Result<u64, Errno> {
        let seconds = u64::try_from(self.seconds).map_err(|_| Errno::EINVAL)?;
        match u64::try_from(self.nanoseconds) {
            Ok(rest) if rest < NS_PER_SECOND => {
                Ok(seconds.saturating_mul(NS_PER_SECOND).saturating_add(rest))
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

/// A `struct timeval`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TimeValue {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, in µs.
    pub microseconds: i64,
}

impl TimeValue {
    /// As many nanoseconds, rounded down.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self {
            seconds: (ns / NS_PER_SECOND) as i64,
            microseconds: (ns % NS_PER_SECOND / 1000) as i64,
        }
    }

    /// The same in nanoseconds.
    ///
    /// # Errors
    /// `EINVAL` if it is negative or its microseconds are a second or more.
    pub fn to_ns(self) -> Result<u64, Errno> {
        if !(0..1_000_000).contains(&self.microseconds) {
            return Err(Errno::EINVAL);
        }
        TimeSpec {
            seconds: self.seconds,
            nanoseconds: self.microseconds * 1000,
        }
        .to_ns()
    }
}

/// Nanoseconds as clock ticks.
#[must_use]
pub const fn clock_ticks(ns: u64) -> u64 {
    ns / (NS_PER_SECOND / TICKS_PER_SECOND)
}

/// This family's state.
#[derive(Debug)]
pub struct Time {
    /// When the next timer is due, monotonic ns; `u64::MAX` for never.
    due: AtomicU64,
    timers: SpinMutex<timer::Timers>,
}

impl Time {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            due: AtomicU64::new(u64::MAX),
            timers: SpinMutex::new(timer::Timers::new()),
        }
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::new()
    }
}

const CLOCK_NAMES: &[(u64, &str)] = &[
    (abi::CLOCK_REALTIME as u64, "CLOCK_REALTIME"),
    (abi::CLOCK_MONOTONIC as u64, "CLOCK_MONOTONIC"),
    (
        abi::CLOCK_PROCESS_CPUTIME_ID as u64,
        "CLOCK_PROCESS_CPUTIME_ID",
    ),
    (
        abi::CLOCK_THREAD_CPUTIME_ID as u64,
        "CLOCK_THREAD_CPUTIME_ID",
    ),
    (abi::CLOCK_MONOTONIC_RAW as u64, "CLOCK_MONOTONIC_RAW"),
    (abi::CLOCK_REALTIME_COARSE as u64, "CLOCK_REALTIME_COARSE"),
    (abi::CLOCK_MONOTONIC_COARSE as u64, "CLOCK_MONOTONIC_COARSE"),
    (abi::CLOCK_BOOTTIME as u64, "CLOCK_BOOTTIME"),
    (abi::CLOCK_TAI as u64, "CLOCK_TAI"),
];

const TIMER_NAMES: &[(u64, &str)] = &[
    (abi::ITIMER_REAL as u64, "ITIMER_REAL"),
    (abi::ITIMER_VIRTUAL as u64, "ITIMER_VIRTUAL"),
    (abi::ITIMER_PROF as u64, "ITIMER_PROF"),
];

const SLEEP_NAMES: &[(u64, &str)] = &[(0, "0"), (abi::TIMER_ABSTIME as u64, "TIMER_ABSTIME")];

/// The calls of this family.
pub const CALLS: &[SystemCall] = {
    use Argument::{Choice, Flags, Pointer, Signed, Unsigned};
    &[
        SystemCall::new(
            abi::__NR_clock_gettime,
            "clock_gettime",
            clock_gettime,
            &[Choice(CLOCK_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_clock_getres,
            "clock_getres",
            clock_getres,
            &[Choice(CLOCK_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_clock_settime,
            "clock_settime",
            clock_settime,
            &[Choice(CLOCK_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_clock_nanosleep,
            "clock_nanosleep",
            clock_nanosleep,
            &[Choice(CLOCK_NAMES), Flags(SLEEP_NAMES), Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_nanosleep,
            "nanosleep",
            nanosleep,
            &[Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_gettimeofday,
            "gettimeofday",
            gettimeofday,
            &[Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_settimeofday,
            "settimeofday",
            settimeofday,
            &[Pointer, Pointer],
        ),
        SystemCall::new(abi::__NR_time, "time", time, &[Pointer]),
        SystemCall::new(abi::__NR_alarm, "alarm", alarm, &[Unsigned]),
        SystemCall::new(
            abi::__NR_getitimer,
            "getitimer",
            getitimer,
            &[Choice(TIMER_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_setitimer,
            "setitimer",
            setitimer,
            &[Choice(TIMER_NAMES), Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_timer_create,
            "timer_create",
            timer_create,
            &[Choice(CLOCK_NAMES), Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_timer_settime,
            "timer_settime",
            timer_settime,
            &[Signed, Flags(SLEEP_NAMES), Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_timer_gettime,
            "timer_gettime",
            timer_gettime,
            &[Signed, Pointer],
        ),
        SystemCall::new(
            abi::__NR_timer_getoverrun,
            "timer_getoverrun",
            timer_getoverrun,
            &[Signed],
        ),
        SystemCall::new(
            abi::__NR_timer_delete,
            "timer_delete",
            timer_delete,
            &[Signed],
        ),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_convert_both_ways() {
        let time = TimeSpec::from_ns(3_000_000_007);
        assert_eq!((time.seconds, time.nanoseconds), (3, 7));
        assert_eq!(time.to_ns(), Ok(3_000_000_007));
        let time = TimeValue::from_ns(3_000_007_999);
        assert_eq!((time.seconds, time.microseconds), (3, 7));
        assert_eq!(time.to_ns(), Ok(3_000_007_000));
        assert_eq!(clock_ticks(1_990_000_000), 199);
    }

    #[test]
    fn impossible_times_are_refused_and_long_ones_cut() {
        let time = |seconds, nanoseconds| {
            TimeSpec {
                seconds,
                nanoseconds,
            }
            .to_ns()
        };
        assert_eq!(time(-1, 0), Err(Errno::EINVAL));
        assert_eq!(time(0, -1), Err(Errno::EINVAL));
        assert_eq!(time(0, 1_000_000_000), Err(Errno::EINVAL));
        assert_eq!(time(i64::MAX, 0), Ok(u64::MAX));
        let value = TimeValue {
            seconds: 0,
            microseconds: 1_000_000,
        };
        assert_eq!(value.to_ns(), Err(Errno::EINVAL));
    }
}
