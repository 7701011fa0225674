//! Timers that the program creates (`timer_create`), each with a signal and a value of its own.
//!
//! At most one signal of a timer waits: what runs out meanwhile is counted as its overrun.

use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::setting::Setting;
use super::{TimeSpec, clock};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::process::identity::PROCESS;
use crate::{LINUX, program_memory, signal};

/// Most timers at a time; Linux counts them against the limit of waiting signals.
const MOST: usize = 1024;

/// Largest overrun that is told (`DELAYTIMER_MAX`).
const MOST_OVERRUNS: u64 = i32::MAX as u64;

/// A timer that the program created.
#[derive(Debug)]
pub(super) struct Created {
    setting: Setting,
    clock: u32,
    /// The signal and the value that comes with it; `None` if the program only looks.
    notice: Option<(u32, u64)>,
    /// What `timer_getoverrun` answers.
    overrun: u64,
}

impl Created {
    /// When its signal is due; `u64::MAX` for never.
    pub(super) fn due(&self) -> u64 {
        match self.notice {
            Some(_) => self.setting.due(),
            None => u64::MAX,
        }
    }

    /// Sends its signal if it has run out.
    pub(super) fn expire(&mut self, number: i32, now: u64) {
        let Some((signal, value)) = self.notice else {
            return;
        };
        let times = self.setting.run_out(now);
        if times > 0 {
            self.overrun = signal::send_of_timer(signal, number, value, times).min(MOST_OVERRUNS);
        }
    }

    fn value(&mut self) -> TimerSpec {
        let now = kiln_runtime::time::monotonic_ns();
        if self.notice.is_none() {
            // Nobody else moves it on.
            self.setting.run_out(now);
        }
        TimerSpec {
            interval: TimeSpec::from_ns(self.setting.interval()),
            left: TimeSpec::from_ns(self.setting.left(now)),
        }
    }
}

/// A `struct itimerspec`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct TimerSpec {
    interval: TimeSpec,
    left: TimeSpec,
}

/// A `struct sigevent`, as far as a kernel reads it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Event {
    value: u64,
    signal: u32,
    how: u32,
    thread: i32,
    padding: u32,
}

/// The signal and value of an event; `None` for no signal at all.
fn notice(event: &Event) -> Result<Option<(u32, u64)>, Errno> {
    match event.how {
        abi::SIGEV_NONE => Ok(None),
        abi::SIGEV_THREAD_ID if event.thread != PROCESS as i32 => Err(Errno::EINVAL),
        abi::SIGEV_SIGNAL | abi::SIGEV_THREAD_ID => match event.signal {
            1..=signal::SIGNALS => Ok(Some((event.signal, event.value))),
            _ => Err(Errno::EINVAL),
        },
        // Starting a thread is the C library's part.
        _ => Err(Errno::EINVAL),
    }
}

fn check_clock(clock: u32) -> Result<(), Errno> {
    match clock {
        abi::CLOCK_REALTIME
        | abi::CLOCK_MONOTONIC
        | abi::CLOCK_BOOTTIME
        | abi::CLOCK_REALTIME_ALARM
        | abi::CLOCK_BOOTTIME_ALARM
        | abi::CLOCK_TAI => Ok(()),
        // Timers that count processor time would need the kernel's.
        abi::CLOCK_PROCESS_CPUTIME_ID | abi::CLOCK_THREAD_CPUTIME_ID => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

/// `timer_create(clock, event, number)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`; `EAGAIN` if there are too many; `EOPNOTSUPP` for clocks of processor time.
pub fn timer_create(call: &Call<'_>) -> Answer {
    let clock = call.unsigned(0);
    let event = match call.pointer(1) {
        0 => None,
        address => Some(program_memory::read::<Event>(address)?),
    };
    check_clock(clock)?;
    let notice = event.as_ref().map(notice).transpose()?;
    let mut timers = LINUX.time.timers.lock();
    if timers.created.len() >= MOST {
        return Err(Errno::EAGAIN);
    }
    let number = (0..)
        .find(|number| !timers.created.contains_key(number))
        .ok_or(Errno::EAGAIN)?;
    program_memory::write(call.pointer(2), &number)?;
    let timer = Created {
        setting: Setting::OFF,
        clock,
        notice: notice.unwrap_or(Some((abi::SIGALRM, number as u64))),
        overrun: 0,
    };
    timers.created.insert(number, timer);
    Ok(0)
}

fn with_timer<R>(
    call: &Call<'_>,
    step: impl FnOnce(&mut Created) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let mut timers = LINUX.time.timers.lock();
    let timer = timers
        .created
        .get_mut(&call.integer(0))
        .ok_or(Errno::EINVAL)?;
    let result = step(timer)?;
    timers.note_earliest();
    Ok(result)
}

/// `timer_settime(number, flags, new, old)`. An absolute time of the wall clock is one of the
/// monotonic clock from here on.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn timer_settime(call: &Call<'_>) -> Answer {
    if call.pointer(2) == 0 {
        return Err(Errno::EINVAL);
    }
    let new: TimerSpec = program_memory::read(call.pointer(2))?;
    let (time, interval) = (new.left.to_ns()?, new.interval.to_ns()?);
    let old = with_timer(call, |timer| {
        let old = timer.value();
        let after = if call.unsigned(1) & abi::TIMER_ABSTIME == 0 {
            time
        } else {
            time.saturating_sub(clock::read(timer.clock)?)
        };
        timer.overrun = 0;
        timer.setting = match time {
            0 => Setting::OFF,
            _ => Setting::at(
                kiln_runtime::time::monotonic_ns().saturating_add(after),
                interval,
            ),
        };
        Ok(old)
    })?;
    program_memory::write_if_wanted(call.pointer(3), &old)?;
    Ok(0)
}

/// `timer_gettime(number, value)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn timer_gettime(call: &Call<'_>) -> Answer {
    let value = with_timer(call, |timer| Ok(timer.value()))?;
    program_memory::write(call.pointer(1), &value)?;
    Ok(0)
}

/// `timer_getoverrun(number)`.
///
/// # Errors
/// `EINVAL`.
pub fn timer_getoverrun(call: &Call<'_>) -> Answer {
    with_timer(call, |timer| Ok(timer.overrun))
}

/// `timer_delete(number)`.
///
/// # Errors
/// `EINVAL`.
pub fn timer_delete(call: &Call<'_>) -> Answer {
    let mut timers = LINUX.time.timers.lock();
    timers
        .created
        .remove(&call.integer(0))
        .ok_or(Errno::EINVAL)?;
    timers.note_earliest();
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::SavedRegisters;

    fn run(number: u32, arguments: &[u64]) -> Answer {
        let registers = SavedRegisters::default();
        registers.rax.set(number.into());
        let places = [
            &registers.rdi,
            &registers.rsi,
            &registers.rdx,
            &registers.r10,
        ];
        for (place, argument) in places.into_iter().zip(arguments) {
            place.set(*argument);
        }
        crate::table::run(&Call::new(&registers))
    }

    #[test]
    fn timers_are_created_looked_at_and_deleted() {
        // Only a look: signals are the whole process's, which other tests share.
        let event: [u64; 8] = [7, u64::from(abi::SIGEV_NONE) << 32, 0, 0, 0, 0, 0, 0];
        let mut number = -1_i32;
        let create = |clock: u32, event: &[u64; 8], number: &mut i32| {
            run(
                abi::__NR_timer_create,
                &[clock.into(), event.as_ptr() as u64, &raw mut *number as u64],
            )
        };
        assert_eq!(create(abi::CLOCK_MONOTONIC, &event, &mut number), Ok(0));
        let own = number as u64;
        let mut value = [1_u64; 4];
        let get =
            |value: &mut [u64; 4]| run(abi::__NR_timer_gettime, &[own, value.as_mut_ptr() as u64]);
        assert_eq!(get(&mut value), Ok(0));
        assert_eq!(value, [0; 4]);
        let set = |flags: u32, new: &[u64; 4]| {
            run(
                abi::__NR_timer_settime,
                &[own, flags.into(), new.as_ptr() as u64, 0],
            )
        };
        assert_eq!(set(0, &[0, 0, 0, 1_000_000_000]), Err(Errno::EINVAL));
        assert_eq!(set(0, &[3, 5, 1000, 0]), Ok(0));
        assert_eq!(get(&mut value), Ok(0));
        assert_eq!(value[..2], [3, 5]);
        assert!((990..=1000).contains(&value[2]));
        // Long ago: periods that have passed are skipped, and one is always left.
        assert_eq!(set(abi::TIMER_ABSTIME, &[3, 0, 0, 1]), Ok(0));
        assert_eq!(get(&mut value), Ok(0));
        assert!(value[2] < 3 && (value[2], value[3]) != (0, 0));
        assert_eq!(run(abi::__NR_timer_getoverrun, &[own]), Ok(0));
        assert_eq!(run(abi::__NR_timer_delete, &[own]), Ok(0));
        assert_eq!(run(abi::__NR_timer_delete, &[own]), Err(Errno::EINVAL));
        assert_eq!(get(&mut value), Err(Errno::EINVAL));
        let bad_signal: [u64; 8] = [7, 65, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            create(abi::CLOCK_MONOTONIC, &bad_signal, &mut number),
            Err(Errno::EINVAL)
        );
        assert_eq!(create(77, &event, &mut number), Err(Errno::EINVAL));
        assert_eq!(
            create(abi::CLOCK_THREAD_CPUTIME_ID, &event, &mut number),
            Err(Errno::EOPNOTSUPP)
        );
    }
}
