//! Resource limits, priorities, and how much the process has used.
//!
//! Of the limits only that of descriptors has an effect, which is the files' matter; the others are
//! remembered.

use kiln_interface::kernel::Process as _;
use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::identity::this_process;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::time::{TimeValue, clock_ticks};
use crate::{LINUX, program_memory};

/// Bytes of the program's stack.
pub const STACK_BYTES: u64 = 8 << 20;

const LIMITS: usize = 16;
const INFINITY: u64 = u64::MAX;

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// Up to where the soft limit may be raised.
    pub hard: u64,
}

/// All limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits([Limit; LIMITS]);

impl Limits {
    /// What a process starts with.
    #[must_use]
    pub const fn new() -> Self {
        const fn both(value: u64) -> Limit {
            Limit {
                soft: value,
                hard: value,
            }
        }
        let mut limits = [both(INFINITY); LIMITS];
        limits[abi::RLIMIT_STACK as usize] = Limit {
            soft: STACK_BYTES,
            hard: INFINITY,
        };
        limits[abi::RLIMIT_CORE as usize] = Limit {
            soft: 0,
            hard: INFINITY,
        };
        limits[abi::RLIMIT_NOFILE as usize] = Limit {
            soft: 1024,
            hard: 1 << 20,
        };
        limits[abi::RLIMIT_MEMLOCK as usize] = both(8 << 20);
        limits[abi::RLIMIT_MSGQUEUE as usize] = both(819_200);
        limits[abi::RLIMIT_NICE as usize] = both(0);
        limits[abi::RLIMIT_RTPRIO as usize] = both(0);
        Self(limits)
    }

    /// A limit (`RLIMIT_*`); `None` for an unknown one.
    #[must_use]
    pub fn get(&self, resource: u32) -> Option<Limit> {
        self.0.get(resource as usize).copied()
    }

    /// All limits by number.
    #[must_use]
    pub fn all(&self) -> &[Limit] {
        &self.0
    }

    fn set(&mut self, resource: u32, limit: Limit) -> Result<(), Errno> {
        let old = self.0.get_mut(resource as usize).ok_or(Errno::EINVAL)?;
        if limit.soft > limit.hard {
            return Err(Errno::EINVAL);
        }
        if resource == abi::RLIMIT_NOFILE && limit.hard > 1 << 20 {
            return Err(Errno::EPERM);
        }
        *old = limit;
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// `prlimit64(process, resource, new, old)`.
///
/// # Errors
/// As the manual page; `ESRCH` for another process.
pub fn prlimit64(call: &Call<'_>) -> Answer {
    this_process(call.integer(0))?;
    let resource = call.unsigned(1);
    let mut limits = LINUX.process.limits.lock();
    let old = limits.get(resource).ok_or(Errno::EINVAL)?;
    if call.pointer(2) != 0 {
        limits.set(resource, program_memory::read(call.pointer(2))?)?;
    }
    program_memory::write_if_wanted(call.pointer(3), &old)?;
    Ok(0)
}

/// `getrlimit(resource, limit)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn getrlimit(call: &Call<'_>) -> Answer {
    let limits = LINUX.process.limits.lock();
    let limit = limits.get(call.unsigned(0)).ok_or(Errno::EINVAL)?;
    program_memory::write(call.pointer(1), &limit)?;
    Ok(0)
}

/// `setrlimit(resource, limit)`.
///
/// # Errors
/// As the manual page.
pub fn setrlimit(call: &Call<'_>) -> Answer {
    let limit = program_memory::read(call.pointer(1))?;
    LINUX.process.limits.lock().set(call.unsigned(0), limit)?;
    Ok(0)
}

/// Processor time of the process in ns; zero if the kernel does not say.
fn processor_time() -> u64 {
    kiln_runtime::process().processor_time().unwrap_or(0)
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Usage {
    user: TimeValue,
    system: TimeValue,
    // maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
    // nsignals, nvcsw, nivcsw
    counts: [u64; 14],
}

/// `getrusage(who, usage)`: all time is user time, since Linux is in the process.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn getrusage(call: &Call<'_>) -> Answer {
    let mut usage = Usage::default();
    match call.integer(0) {
        0 | 1 => usage.user = TimeValue::from_ns(processor_time()),
        -1 => {}
        _ => return Err(Errno::EINVAL),
    }
    program_memory::write(call.pointer(1), &usage)?;
    Ok(0)
}

/// `times(buffer)`: answers the clock ticks since the machine started.
///
/// # Errors
/// `EFAULT`.
pub fn times(call: &Call<'_>) -> Answer {
    let times = [clock_ticks(processor_time()), 0, 0, 0];
    program_memory::write_if_wanted(call.pointer(0), &times)?;
    Ok(clock_ticks(kiln_runtime::time::monotonic_ns()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_in_order() {
        let mut limits = Limits::new();
        let small = Limit { soft: 10, hard: 20 };
        assert_eq!(limits.set(abi::RLIMIT_CORE, small), Ok(()));
        assert_eq!(limits.get(abi::RLIMIT_CORE), Some(small));
        let wrong = Limit { soft: 30, hard: 20 };
        assert_eq!(limits.set(abi::RLIMIT_CORE, wrong), Err(Errno::EINVAL));
        assert_eq!(limits.set(16, small), Err(Errno::EINVAL));
        assert_eq!(limits.get(16), None);
        assert_eq!(limits.get(abi::RLIMIT_STACK).unwrap().soft, STACK_BYTES);
    }
}
