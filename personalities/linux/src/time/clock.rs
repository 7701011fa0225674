//! Reading clocks.

use kiln_interface::kernel::{Clock as _, Process as _};
use linux_raw_sys::general as abi;

use super::{TimeSpec, TimeValue};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// What the clock says, in ns.
pub(super) fn read(clock: u32) -> Result<u64, Errno> {
    match clock {
        abi::CLOCK_REALTIME
        | abi::CLOCK_REALTIME_COARSE
        | abi::CLOCK_REALTIME_ALARM
        | abi::CLOCK_TAI => Ok(kiln_runtime::time::wall_clock_ns()),
        abi::CLOCK_MONOTONIC
        | abi::CLOCK_MONOTONIC_RAW
        | abi::CLOCK_MONOTONIC_COARSE
        | abi::CLOCK_BOOTTIME
        | abi::CLOCK_BOOTTIME_ALARM => Ok(kiln_runtime::time::monotonic_ns()),
        abi::CLOCK_PROCESS_CPUTIME_ID | abi::CLOCK_THREAD_CPUTIME_ID => {
            Ok(kiln_runtime::process().processor_time()?)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `clock_gettime(clock, time)`.
///
/// # Errors
/// `EINVAL` for an unknown clock; `EFAULT`.
pub fn clock_gettime(call: &Call<'_>) -> Answer {
    let time = TimeSpec::from_ns(read(call.unsigned(0))?);
    program_memory::write(call.pointer(1), &time)?;
    Ok(0)
}

/// `clock_getres(clock, resolution)`.
///
/// # Errors
/// `EINVAL` for an unknown clock; `EFAULT`.
pub fn clock_getres(call: &Call<'_>) -> Answer {
    read(call.unsigned(0))?;
    program_memory::write_if_wanted(call.pointer(1), &TimeSpec::from_ns(1))?;
    Ok(0)
}

/// `clock_settime(clock, time)`: the wall clock of the whole machine.
///
/// # Errors
/// `EINVAL` for another clock or an impossible time; `EFAULT`.
pub fn clock_settime(call: &Call<'_>) -> Answer {
    if call.unsigned(0) != abi::CLOCK_REALTIME {
        return Err(Errno::EINVAL);
    }
    let time: TimeSpec = program_memory::read(call.pointer(1))?;
    kiln_runtime::clock().set_wall_clock(time.to_ns()?)?;
    Ok(0)
}

/// `gettimeofday(time, zone)`.
///
/// # Errors
/// `EFAULT`.
pub fn gettimeofday(call: &Call<'_>) -> Answer {
    let time = TimeValue::from_ns(kiln_runtime::time::wall_clock_ns());
    program_memory::write_if_wanted(call.pointer(0), &time)?;
    program_memory::write_if_wanted(call.pointer(1), &0_u64)?;
    Ok(0)
}

/// `settimeofday(time, zone)`. The kernel keeps no time zone.
///
/// # Errors
/// `EINVAL` for an impossible time; `EFAULT`.
pub fn settimeofday(call: &Call<'_>) -> Answer {
    if call.pointer(0) != 0 {
        let time: TimeValue = program_memory::read(call.pointer(0))?;
        kiln_runtime::clock().set_wall_clock(time.to_ns()?)?;
    }
    Ok(0)
}

/// `time(location)`.
///
/// # Errors
/// `EFAULT`.
pub fn time(call: &Call<'_>) -> Answer {
    let seconds = kiln_runtime::time::wall_clock_ns() / super::NS_PER_SECOND;
    program_memory::write_if_wanted(call.pointer(0), &seconds)?;
    Ok(seconds)
}
