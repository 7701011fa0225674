//! Priorities for the processor and for input and output: remembered, without effect.
//!
//! There is nobody to give way to, but programs look whether what they asked for has been done.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicU32};

use super::identity::this_process;
use crate::LINUX;
use crate::call::Call;
use crate::errno::{Answer, Errno};

/// What was asked for last.
#[derive(Debug)]
pub struct Priorities {
    /// -20 to 19.
    nice: AtomicI32,
    /// A class above bit 13, a level below.
    transfer: AtomicU32,
}

impl Priorities {
    /// What a process starts with.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            nice: AtomicI32::new(0),
            transfer: AtomicU32::new(0),
        }
    }
}

impl Default for Priorities {
    fn default() -> Self {
        Self::new()
    }
}

/// `getpriority(which, who)`: answers 20 minus the nice value.
///
/// # Errors
/// `EINVAL` for unknown `which`; `ESRCH`.
pub fn getpriority(call: &Call<'_>) -> Answer {
    check_whose(call, call.unsigned(0))?;
    Ok((20 - LINUX.process.priorities.nice.load(Relaxed)) as u64)
}

/// `setpriority(which, who, priority)`: what is out of range is cut.
///
/// # Errors
/// As [`getpriority`].
pub fn setpriority(call: &Call<'_>) -> Answer {
    check_whose(call, call.unsigned(0))?;
    let nice = call.integer(2).clamp(-20, 19);
    LINUX.process.priorities.nice.store(nice, Relaxed);
    Ok(0)
}

/// `ioprio_get(which, who)`.
///
/// # Errors
/// As [`getpriority`].
pub fn ioprio_get(call: &Call<'_>) -> Answer {
    check_whose(call, call.unsigned(0).wrapping_sub(1))?;
    Ok(LINUX.process.priorities.transfer.load(Relaxed).into())
}

/// `ioprio_set(which, who, priority)`.
///
/// # Errors
/// `EINVAL` for an unknown class, or a level where the class has none or not that; as
/// [`getpriority`].
pub fn ioprio_set(call: &Call<'_>) -> Answer {
    const LEVELS: u32 = 8;
    let priority = call.unsigned(2);
    match (priority >> 13, priority & 0x1fff) {
        // None, real time, best effort, idle.
        (0, 0) | (1 | 2, ..LEVELS) | (3, _) => {}
        _ => return Err(Errno::EINVAL),
    }
    check_whose(call, call.unsigned(0).wrapping_sub(1))?;
    LINUX.process.priorities.transfer.store(priority, Relaxed);
    Ok(0)
}

/// Whether the second argument is this process, its group or its user, as `which` says.
fn check_whose(call: &Call<'_>, which: u32) -> Result<(), Errno> {
    const PRIO_PROCESS: u32 = 0;
    const PRIO_USER: u32 = 2;
    match which {
        PRIO_USER if call.integer(1) == 0 => Ok(()),
        which if which > PRIO_USER => Err(Errno::EINVAL),
        PRIO_PROCESS.. => this_process(call.integer(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::SavedRegisters;
    use linux_raw_sys::general as abi;

    fn run(number: u32, which: u64, who: u64, value: u64) -> Answer {
        let registers = SavedRegisters::default();
        registers.rax.set(number.into());
        registers.rdi.set(which);
        registers.rsi.set(who);
        registers.rdx.set(value);
        crate::table::run(&Call::new(&registers))
    }

    #[test]
    fn priorities_are_remembered() {
        assert_eq!(run(abi::__NR_getpriority, 0, 0, 0), Ok(20));
        assert_eq!(run(abi::__NR_setpriority, 0, 0, 5), Ok(0));
        assert_eq!(run(abi::__NR_getpriority, 2, 0, 0), Ok(15));
        assert_eq!(run(abi::__NR_setpriority, 1, 0, -90_i64 as u64), Ok(0));
        assert_eq!(run(abi::__NR_getpriority, 0, 0, 0), Ok(40));
        assert_eq!(run(abi::__NR_getpriority, 3, 0, 0), Err(Errno::EINVAL));
        assert_eq!(run(abi::__NR_getpriority, 0, 77, 0), Err(Errno::ESRCH));
        assert_eq!(run(abi::__NR_ioprio_get, 1, 0, 0), Ok(0));
        assert_eq!(run(abi::__NR_ioprio_set, 1, 0, 2 << 13 | 7), Ok(0));
        assert_eq!(run(abi::__NR_ioprio_get, 3, 0, 0), Ok(2 << 13 | 7));
        for (which, wrong) in [(1, 2 << 13 | 8), (1, 4 << 13), (1, 1), (0, 0), (4, 0)] {
            assert_eq!(
                run(abi::__NR_ioprio_set, which, 0, wrong),
                Err(Errno::EINVAL)
            );
        }
    }
}
