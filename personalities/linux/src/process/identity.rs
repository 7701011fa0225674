//! Process, user and group numbers: one process, which is root's.
//!
//! A change to the identity that the process has anyway succeeds; any other is refused, as there
//! is no one else to be.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// The process, its only thread, its group and its session.
pub const PROCESS: u32 = 1;

/// The parent: outside, as for the first process of a container.
pub const PARENT: u32 = 0;

pub use kiln_linux_start::{GROUP, USER};

/// Leaves a user or group number as it is, in the calls that set several.
const UNCHANGED: u32 = u32::MAX;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $value:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// None.
        pub fn $name(_call: &Call<'_>) -> Answer {
            Ok(u64::from($value))
        }
    )*};
}

numbers! {
    /// `getpid()`.
    getpid = PROCESS;
    /// `gettid()`.
    gettid = PROCESS;
    /// `getppid()`.
    getppid = PARENT;
    /// `getpgrp()`.
    getpgrp = PROCESS;
    /// `getuid()`.
    getuid = USER;
    /// `geteuid()`.
    geteuid = USER;
    /// `getgid()`.
    getgid = GROUP;
    /// `getegid()`.
    getegid = GROUP;
}

/// Succeeds if `process` is this one, by number or as zero.
pub(super) fn this_process(process: i32) -> Result<(), Errno> {
    if process == 0 || process == PROCESS as i32 {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

/// `getpgid(process)`.
///
/// # Errors
/// `ESRCH` for another process.
pub fn getpgid(call: &Call<'_>) -> Answer {
    this_process(call.integer(0))?;
    Ok(u64::from(PROCESS))
}

/// `getsid(process)`.
///
/// # Errors
/// `ESRCH` for another process.
pub fn getsid(call: &Call<'_>) -> Answer {
    getpgid(call)
}

/// `setpgid(process, group)`: a session leader's group cannot change.
///
/// # Errors
/// `EPERM`; `EINVAL` for a negative group; `ESRCH` for another process.
pub fn setpgid(call: &Call<'_>) -> Answer {
    if call.integer(1) < 0 {
        return Err(Errno::EINVAL);
    }
    this_process(call.integer(0))?;
    Err(Errno::EPERM)
}

/// `setsid()`: the process leads its group already.
///
/// # Errors
/// `EPERM` always.
pub fn setsid(_call: &Call<'_>) -> Answer {
    Err(Errno::EPERM)
}

fn keep(call: &Call<'_>, count: usize, own: u32) -> Answer {
    for n in 0..count {
        let wanted = call.unsigned(n);
        if wanted != own && !(count > 1 && wanted == UNCHANGED) {
            return Err(Errno::EPERM);
        }
    }
    Ok(0)
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident = $count:literal, $own:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// `EPERM` for another identity than the process has.
        pub fn $name(call: &Call<'_>) -> Answer {
            keep(call, $count, $own)
        }
    )*};
}

setters! {
    /// `setuid(user)`.
    setuid = 1, USER;
    /// `setgid(group)`.
    setgid = 1, GROUP;
    /// `setreuid(real, effective)`.
    setreuid = 2, USER;
    /// `setregid(real, effective)`.
    setregid = 2, GROUP;
    /// `setresuid(real, effective, saved)`.
    setresuid = 3, USER;
    /// `setresgid(real, effective, saved)`.
    setresgid = 3, GROUP;
}

/// `setfsuid(user)`: answers the previous one, which stays.
///
/// # Errors
/// None.
pub fn setfsuid(_call: &Call<'_>) -> Answer {
    Ok(u64::from(USER))
}

/// `setfsgid(group)`: answers the previous one, which stays.
///
/// # Errors
/// None.
pub fn setfsgid(_call: &Call<'_>) -> Answer {
    Ok(u64::from(GROUP))
}

fn write_three(call: &Call<'_>, own: u32) -> Answer {
    for n in 0..3 {
        program_memory::write(call.pointer(n), &own)?;
    }
    Ok(0)
}

/// `getresuid(&real, &effective, &saved)`.
///
/// # Errors
/// `EFAULT`.
pub fn getresuid(call: &Call<'_>) -> Answer {
    write_three(call, USER)
}

/// `getresgid(&real, &effective, &saved)`.
///
/// # Errors
/// `EFAULT`.
pub fn getresgid(call: &Call<'_>) -> Answer {
    write_three(call, GROUP)
}

/// `getgroups(size, list)`: there are no supplementary groups.
///
/// # Errors
/// `EINVAL` for a negative size.
pub fn getgroups(call: &Call<'_>) -> Answer {
    if call.integer(0) < 0 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// `setgroups(size, list)`: only the empty list, or the own group alone.
///
/// # Errors
/// `EPERM` for anything else; `EFAULT`.
pub fn setgroups(call: &Call<'_>) -> Answer {
    match call.integer(0) {
        0 => Ok(0),
        1 if program_memory::read::<u32>(call.pointer(1))? == GROUP => Ok(0),
        _ => Err(Errno::EPERM),
    }
}

/// Capabilities that Linux 6.1 knows: all bits up to the last.
const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

/// The structure of version 3 with two halves, and the one of version 1 with one.
const VERSION_1: u32 = 0x1998_0330;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_3: u32 = 0x2008_0522;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: i32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn capability_halves(address: u64) -> Result<(usize, CapabilityHeader), Errno> {
    let header: CapabilityHeader = program_memory::read(address)?;
    match header.version {
        VERSION_1 => Ok((1, header)),
        VERSION_2 | VERSION_3 => Ok((2, header)),
        _ => {
            let version = VERSION_3;
            program_memory::write(address, &version)?;
            Err(Errno::EINVAL)
        }
    }
}

/// `capget(header, data)`: root has them all.
///
/// # Errors
/// `EINVAL` for an unknown version (the known one is stored); `ESRCH`; `EFAULT`.
pub fn capget(call: &Call<'_>) -> Answer {
    let (halves, header) = match capability_halves(call.pointer(0)) {
        // A probe for the version has no room for data.
        Err(Errno::EINVAL) if call.pointer(1) == 0 => return Ok(0),
        other => other?,
    };
    this_process(header.process)?;
    for half in 0..halves {
        let bits = (ALL_CAPABILITIES >> (32 * half)) as u32;
        let data = CapabilityHalf {
            effective: bits,
            permitted: bits,
            inheritable: 0,
        };
        program_memory::write(
            call.pointer(1) + (half * size_of::<CapabilityHalf>()) as u64,
            &data,
        )?;
    }
    Ok(0)
}

/// `capset(header, data)`: giving up capabilities is accepted and has no effect, since none is ever
/// asked for.
///
/// # Errors
/// `EINVAL` for an unknown version; `EPERM` for another process; `EFAULT`.
pub fn capset(call: &Call<'_>) -> Answer {
    let (halves, header) = capability_halves(call.pointer(0))?;
    this_process(header.process).map_err(|_| Errno::EPERM)?;
    program_memory::read_array::<CapabilityHalf>(call.pointer(1), halves)?;
    Ok(0)
}
