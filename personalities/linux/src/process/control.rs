//! The end of the process, and the settings of `prctl` and `arch_prctl`.

use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::Process as _;
use kiln_object::layout::USER_END;
use linux_raw_sys::{general as abi, prctl as code};

use super::identity::PROCESS;
use crate::call::Call;
use crate::entry::TRACING;
use crate::errno::{Answer, Errno};
use crate::files::files;
use crate::{LINUX, program_memory, strace};

/// `arch_prctl` codes (`asm/prctl.h`).
const ARCH_SET_GS: u32 = 0x1001;
const ARCH_SET_FS: u32 = 0x1002;
const ARCH_GET_FS: u32 = 0x1003;
const ARCH_GET_GS: u32 = 0x1004;
const ARCH_GET_CPUID: u32 = 0x1011;

/// Bytes of a thread's name, with its NUL (`TASK_COMM_LEN`).
const NAME_BYTES: usize = 16;

/// Size of `struct robust_list_head`.
const ROBUST_LIST_BYTES: u64 = 24;

pub(super) const PRCTL_NAMES: &[(u64, &str)] = &[
    (code::PR_SET_PDEATHSIG as u64, "PR_SET_PDEATHSIG"),
    (code::PR_GET_PDEATHSIG as u64, "PR_GET_PDEATHSIG"),
    (code::PR_GET_DUMPABLE as u64, "PR_GET_DUMPABLE"),
    (code::PR_SET_DUMPABLE as u64, "PR_SET_DUMPABLE"),
    (code::PR_GET_KEEPCAPS as u64, "PR_GET_KEEPCAPS"),
    (code::PR_SET_KEEPCAPS as u64, "PR_SET_KEEPCAPS"),
    (code::PR_SET_NAME as u64, "PR_SET_NAME"),
    (code::PR_GET_NAME as u64, "PR_GET_NAME"),
    (code::PR_GET_SECCOMP as u64, "PR_GET_SECCOMP"),
    (code::PR_SET_SECCOMP as u64, "PR_SET_SECCOMP"),
    (code::PR_CAPBSET_READ as u64, "PR_CAPBSET_READ"),
    (code::PR_CAPBSET_DROP as u64, "PR_CAPBSET_DROP"),
    (code::PR_SET_TIMERSLACK as u64, "PR_SET_TIMERSLACK"),
    (code::PR_GET_TIMERSLACK as u64, "PR_GET_TIMERSLACK"),
    (code::PR_SET_MM as u64, "PR_SET_MM"),
    (code::PR_SET_PTRACER as u64, "PR_SET_PTRACER"),
    (
        code::PR_SET_CHILD_SUBREAPER as u64,
        "PR_SET_CHILD_SUBREAPER",
    ),
    (
        code::PR_GET_CHILD_SUBREAPER as u64,
        "PR_GET_CHILD_SUBREAPER",
    ),
    (code::PR_SET_NO_NEW_PRIVS as u64, "PR_SET_NO_NEW_PRIVS"),
    (code::PR_GET_NO_NEW_PRIVS as u64, "PR_GET_NO_NEW_PRIVS"),
    (code::PR_SET_THP_DISABLE as u64, "PR_SET_THP_DISABLE"),
    (code::PR_GET_THP_DISABLE as u64, "PR_GET_THP_DISABLE"),
    (code::PR_CAP_AMBIENT as u64, "PR_CAP_AMBIENT"),
    (code::PR_SET_VMA as u64, "PR_SET_VMA"),
];

/// What `prctl` was told and answers again.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    dumpable: u8,
    death_signal: u8,
    keeps_capabilities: bool,
    subreaper: bool,
    no_new_privileges: bool,
    huge_pages_disabled: bool,
    timer_slack: u64,
}

impl Settings {
    /// What a process starts with.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            dumpable: 1,
            death_signal: 0,
            keeps_capabilities: false,
            subreaper: false,
            no_new_privileges: false,
            huge_pages_disabled: false,
            timer_slack: DEFAULT_TIMER_SLACK,
        }
    }
}

/// Nanoseconds.
const DEFAULT_TIMER_SLACK: u64 = 50_000;

/// Ends the process, and the image with it; `status` as a shell sees it.
pub fn exit_image(status: u32) -> ! {
    kiln_runtime::entry::exit(status)
}

/// `exit(status)`: the only thread ends, and the process with it.
///
/// # Errors
/// It does not come back.
pub fn exit(call: &Call<'_>) -> Answer {
    exit_group(call)
}

/// `exit_group(status)`.
///
/// # Errors
/// It does not come back.
pub fn exit_group(call: &Call<'_>) -> Answer {
    let status = call.unsigned(0) & 0xff;
    if TRACING.load(Relaxed) {
        strace::write_end(status, None);
    }
    exit_image(status)
}

/// `wait4(process, status, options, usage)`: there are no children.
///
/// # Errors
/// `ECHILD`; `EINVAL` for unknown options.
pub fn wait4(call: &Call<'_>) -> Answer {
    let known = abi::WNOHANG | abi::WUNTRACED | abi::WCONTINUED | abi::__WCLONE | abi::__WALL;
    if call.unsigned(2) & !(known | abi::__WNOTHREAD) != 0 {
        return Err(Errno::EINVAL);
    }
    Err(Errno::ECHILD)
}

/// `waitid(kind, process, information, options, usage)`: there are no children.
///
/// # Errors
/// `ECHILD` always.
pub fn waitid(_call: &Call<'_>) -> Answer {
    Err(Errno::ECHILD)
}

/// Puts back what a new program finds.
pub fn reset_for_execution() {
    let mut settings = LINUX.process.settings.lock();
    *settings = Settings {
        death_signal: settings.death_signal,
        no_new_privileges: settings.no_new_privileges,
        subreaper: settings.subreaper,
        timer_slack: settings.timer_slack,
        ..Settings::new()
    };
    // The kernel takes any address below the end of user memory.
    let _ = set_thread_pointer(0);
}

/// `set_tid_address(address)`: the address matters when a thread ends before its process.
///
/// # Errors
/// None.
pub fn set_tid_address(_call: &Call<'_>) -> Answer {
    Ok(u64::from(PROCESS))
}

/// `set_robust_list(head, length)`: the list matters when a thread ends before its process.
///
/// # Errors
/// `EINVAL` for another length than the structure's.
pub fn set_robust_list(call: &Call<'_>) -> Answer {
    if call.long(1) != ROBUST_LIST_BYTES {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// `rseq(...)`: C libraries do without it.
///
/// # Errors
/// `ENOSYS` always.
pub fn rseq(_call: &Call<'_>) -> Answer {
    Err(Errno::ENOSYS)
}

/// `membarrier(command, flags, cpu)`: no other thread runs, so memory is in order.
///
/// # Errors
/// `EINVAL` for unknown commands and flags.
pub fn membarrier(call: &Call<'_>) -> Answer {
    /// `QUERY` is 0; the commands are single bits up to `REGISTER_PRIVATE_EXPEDITED_SYNC_CORE`.
    const COMMANDS: i32 = 0x7f;
    match call.integer(0) {
        _ if call.unsigned(1) != 0 => Err(Errno::EINVAL),
        0 => Ok(COMMANDS as u64),
        command if command & !COMMANDS == 0 && command.count_ones() == 1 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `personality(persona)`: Linux, with address space randomization.
///
/// # Errors
/// `EINVAL` for any other personality.
pub fn personality(call: &Call<'_>) -> Answer {
    match call.unsigned(0) {
        0 | u32::MAX => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether user mode may execute `wrfsbase` (bit 0 of the kernel's feature word).
#[must_use]
pub fn has_fsgsbase() -> bool {
    kiln_runtime::kernel_information().features.load(Relaxed) & 1 != 0
}

/// `arch_prctl(code, address)`: the thread pointer. GS is the system's.
///
/// # Errors
/// `EPERM` for an address above user memory, and for GS; `EINVAL` for unknown codes.
pub fn arch_prctl(call: &Call<'_>) -> Answer {
    let address = call.pointer(1);
    match call.unsigned(0) {
        ARCH_SET_FS => {
            if address >= USER_END {
                return Err(Errno::EPERM);
            }
            set_thread_pointer(address)?;
            Ok(0)
        }
        ARCH_GET_FS => {
            program_memory::write(address, &thread_pointer())?;
            Ok(0)
        }
        ARCH_SET_GS => Err(Errno::EPERM),
        ARCH_GET_GS => {
            program_memory::write(address, &0_u64)?;
            Ok(0)
        }
        ARCH_GET_CPUID => Ok(1),
        _ => Err(Errno::EINVAL),
    }
}

fn set_thread_pointer(address: u64) -> Result<(), Errno> {
    LINUX.signal.thread_pointer.store(address, Relaxed);
    #[cfg(kiln_freestanding)]
    if has_fsgsbase() {
        // SAFETY: the kernel says that user mode may execute the instruction. FS is the program's:
        // nothing of the library is addressed through it.
        unsafe {
            core::arch::asm!("wrfsbase {}", in(reg) address, options(nomem, nostack, preserves_flags));
        }
        return Ok(());
    }
    Ok(kiln_runtime::process().set_thread_pointer(address)?)
}

fn thread_pointer() -> u64 {
    #[cfg(kiln_freestanding)]
    if has_fsgsbase() {
        let address: u64;
        // SAFETY: as in `set_thread_pointer`.
        unsafe {
            core::arch::asm!("rdfsbase {}", out(reg) address, options(nomem, nostack, preserves_flags));
        }
        return address;
    }
    LINUX.signal.thread_pointer.load(Relaxed)
}

/// `prctl(option, ...)`.
///
/// # Errors
/// As the manual page; `EINVAL` for options that Kiln does not have.
pub fn prctl(call: &Call<'_>) -> Answer {
    let argument = call.long(1);
    let mut settings = LINUX.process.settings.lock();
    match call.unsigned(0) {
        code::PR_SET_NAME => {
            let name = program_memory::c_string_prefix(argument, NAME_BYTES - 1)?;
            files().program.lock().set_name(&name);
            Ok(0)
        }
        code::PR_GET_NAME => {
            let mut name = [0; NAME_BYTES];
            for (byte, own) in name.iter_mut().zip(files().program.lock().name()) {
                *byte = *own;
            }
            program_memory::copy_out(argument, &name)?;
            Ok(0)
        }
        code::PR_SET_PDEATHSIG => {
            if argument >= u64::from(abi::_NSIG) {
                return Err(Errno::EINVAL);
            }
            settings.death_signal = argument as u8;
            Ok(0)
        }
        code::PR_GET_PDEATHSIG => {
            program_memory::write(argument, &u32::from(settings.death_signal))?;
            Ok(0)
        }
        code::PR_SET_DUMPABLE => {
            if argument > 1 {
                return Err(Errno::EINVAL);
            }
            settings.dumpable = argument as u8;
            Ok(0)
        }
        code::PR_GET_DUMPABLE => Ok(u64::from(settings.dumpable)),
        code::PR_SET_KEEPCAPS => flag(argument, &mut settings.keeps_capabilities),
        code::PR_GET_KEEPCAPS => Ok(u64::from(settings.keeps_capabilities)),
        code::PR_SET_CHILD_SUBREAPER => {
            settings.subreaper = argument != 0;
            Ok(0)
        }
        code::PR_GET_CHILD_SUBREAPER => {
            program_memory::write(argument, &u32::from(settings.subreaper))?;
            Ok(0)
        }
        code::PR_SET_NO_NEW_PRIVS => {
            if argument != 1 {
                return Err(Errno::EINVAL);
            }
            settings.no_new_privileges = true;
            Ok(0)
        }
        code::PR_GET_NO_NEW_PRIVS => Ok(u64::from(settings.no_new_privileges)),
        code::PR_SET_THP_DISABLE => {
            settings.huge_pages_disabled = argument != 0;
            Ok(0)
        }
        code::PR_GET_THP_DISABLE => Ok(u64::from(settings.huge_pages_disabled)),
        code::PR_SET_TIMERSLACK => {
            settings.timer_slack = if argument == 0 {
                DEFAULT_TIMER_SLACK
            } else {
                argument
            };
            Ok(0)
        }
        code::PR_GET_TIMERSLACK => Ok(settings.timer_slack),
        code::PR_GET_SECCOMP => Ok(0),
        code::PR_CAPBSET_READ if argument <= 40 => Ok(1),
        code::PR_CAPBSET_DROP if argument <= 40 => Ok(0),
        code::PR_SET_PTRACER => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

fn flag(argument: u64, setting: &mut bool) -> Answer {
    if argument > 1 {
        return Err(Errno::EINVAL);
    }
    *setting = argument == 1;
    Ok(0)
}
