//! Scheduling calls: one thread under the ordinary policy, on the CPU where it runs.

use alloc::vec;
use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general as abi;

use super::identity::this_process;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// `sched_yield()`: nobody else wants the processor.
///
/// # Errors
/// None.
pub fn sched_yield(_call: &Call<'_>) -> Answer {
    Ok(0)
}

/// CPUs that the program may count on.
fn cpus() -> usize {
    let online = kiln_runtime::kernel_information().cpus_online.load(Relaxed);
    online.clamp(1, 1024) as usize
}

/// `sched_getaffinity(process, bytes, mask)`: answers the bytes stored.
///
/// # Errors
/// `EINVAL` if the mask is too short; `ESRCH`; `EFAULT`.
pub fn sched_getaffinity(call: &Call<'_>) -> Answer {
    this_process(call.integer(0))?;
    let room = call.unsigned(1) as usize;
    let words = cpus().div_ceil(64);
    if room < words * 8 || !room.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    let mut mask = vec![0_u8; words * 8];
    for cpu in 0..cpus() {
        if let Some(byte) = mask.get_mut(cpu / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }
    program_memory::copy_out(call.pointer(2), &mask)?;
    Ok(mask.len() as u64)
}

/// `sched_setaffinity(process, bytes, mask)`: a mask with a CPU that exists is accepted.
///
/// # Errors
/// `EINVAL` without one; `ESRCH`; `EFAULT`.
pub fn sched_setaffinity(call: &Call<'_>) -> Answer {
    this_process(call.integer(0))?;
    let length = (call.unsigned(1) as usize).min(cpus().div_ceil(8));
    let mut mask = vec![0_u8; length];
    program_memory::copy_in(call.pointer(2), &mut mask)?;
    let wanted = (0..cpus()).any(|cpu| {
        mask.get(cpu / 8)
            .is_some_and(|byte| byte & (1 << (cpu % 8)) != 0)
    });
    if wanted { Ok(0) } else { Err(Errno::EINVAL) }
}

/// `sched_getscheduler(process)`.
///
/// # Errors
/// `ESRCH`, `EINVAL`.
pub fn sched_getscheduler(call: &Call<'_>) -> Answer {
    this(call)?;
    Ok(u64::from(abi::SCHED_NORMAL))
}

/// `sched_setscheduler(process, policy, parameters)`: only the ordinary policies.
///
/// # Errors
/// `EPERM` for real-time policies; `EINVAL`, `ESRCH`, `EFAULT`.
pub fn sched_setscheduler(call: &Call<'_>) -> Answer {
    this(call)?;
    let priority: u32 = program_memory::read(call.pointer(2))?;
    match call.unsigned(1) & !abi::SCHED_RESET_ON_FORK {
        abi::SCHED_NORMAL | abi::SCHED_BATCH | abi::SCHED_IDLE if priority == 0 => Ok(0),
        abi::SCHED_FIFO | abi::SCHED_RR if (1..=99).contains(&priority) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_getparam(process, parameters)`.
///
/// # Errors
/// `ESRCH`, `EINVAL`, `EFAULT`.
pub fn sched_getparam(call: &Call<'_>) -> Answer {
    this(call)?;
    program_memory::write(call.pointer(1), &0_u32)?;
    Ok(0)
}

/// `sched_setparam(process, parameters)`: only priority zero.
///
/// # Errors
/// `ESRCH`, `EINVAL`, `EFAULT`.
pub fn sched_setparam(call: &Call<'_>) -> Answer {
    this(call)?;
    match program_memory::read::<u32>(call.pointer(1))? {
        0 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_get_priority_max(policy)`.
///
/// # Errors
/// `EINVAL` for unknown policies.
pub fn sched_get_priority_max(call: &Call<'_>) -> Answer {
    priority(call, 99)
}

/// `sched_get_priority_min(policy)`.
///
/// # Errors
/// `EINVAL` for unknown policies.
pub fn sched_get_priority_min(call: &Call<'_>) -> Answer {
    priority(call, 1)
}

fn priority(call: &Call<'_>, real_time: u64) -> Answer {
    match call.unsigned(0) {
        abi::SCHED_FIFO | abi::SCHED_RR => Ok(real_time),
        abi::SCHED_NORMAL | abi::SCHED_BATCH | abi::SCHED_IDLE | abi::SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

fn this(call: &Call<'_>) -> Result<(), Errno> {
    if call.integer(0) < 0 {
        return Err(Errno::EINVAL);
    }
    this_process(call.integer(0))
}
