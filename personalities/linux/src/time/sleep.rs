//! Sleeping.

use linux_raw_sys::general as abi;

use super::{TimeSpec, clock};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{files, program_memory};

/// Waits until the monotonic time `deadline`.
fn sleep_until(deadline: u64) -> Result<(), Errno> {
    while kiln_runtime::time::monotonic_ns() < deadline {
        files::pause(Some(deadline))?;
    }
    Ok(())
}

fn sleep_for(duration: u64, remaining: u64) -> Answer {
    let deadline = kiln_runtime::time::monotonic_ns().saturating_add(duration);
    match sleep_until(deadline) {
        Err(Errno::EINTR) => {
            let left = deadline.saturating_sub(kiln_runtime::time::monotonic_ns());
            program_memory::write_if_wanted(remaining, &TimeSpec::from_ns(left))?;
            Err(Errno::EINTR)
        }
        other => other.map(|()| 0),
    }
}

/// `nanosleep(duration, remaining)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`; `EINTR` with what remains.
pub fn nanosleep(call: &Call<'_>) -> Answer {
    let duration: TimeSpec = program_memory::read(call.pointer(0))?;
    sleep_for(duration.to_ns()?, call.pointer(1))
}

/// `clock_nanosleep(clock, flags, time, remaining)`.
///
/// # Errors
/// `EINVAL` for unknown clocks and flags; `EOPNOTSUPP` for the processor time clocks; as
/// [`nanosleep`].
pub fn clock_nanosleep(call: &Call<'_>) -> Answer {
    let clock = call.unsigned(0);
    let flags = call.unsigned(1);
    if clock == abi::CLOCK_THREAD_CPUTIME_ID || flags & !abi::TIMER_ABSTIME != 0 {
        return Err(Errno::EINVAL);
    }
    if clock == abi::CLOCK_PROCESS_CPUTIME_ID {
        return Err(Errno::EOPNOTSUPP);
    }
    let now = clock::read(clock)?;
    let time: TimeSpec = program_memory::read(call.pointer(2))?;
    let time = time.to_ns()?;
    if flags & abi::TIMER_ABSTIME == 0 {
        return sleep_for(time, call.pointer(3));
    }
    let left = time.saturating_sub(now);
    sleep_until(kiln_runtime::time::monotonic_ns().saturating_add(left))?;
    Ok(0)
}
