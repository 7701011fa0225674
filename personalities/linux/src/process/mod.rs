//! The process: identity, limits, what it was started with, and its end.
//!
//! The image has one program and one process. Its numbers are those of the first process of a
//! container, its user is root.

mod control;
pub mod identity;
mod limits;
mod machine;
mod priority;
mod scheduling;

use kiln_runtime::SpinMutex;
use linux_raw_sys::general as abi;

pub use control::{
    arch_prctl, exit, exit_group, exit_image, has_fsgsbase, membarrier, personality, prctl,
    reset_for_execution, rseq, set_robust_list, set_tid_address, wait4, waitid,
};
pub use identity::{
    capget, capset, getegid, geteuid, getgid, getgroups, getpgid, getpgrp, getpid, getppid,
    getresgid, getresuid, getsid, gettid, getuid, setfsgid, setfsuid, setgid, setgroups, setpgid,
    setregid, setresgid, setresuid, setreuid, setsid, setuid,
};
pub use limits::{Limits, STACK_BYTES, getrlimit, getrusage, prlimit64, setrlimit, times};
pub use machine::{
    UtsField, getcpu, getrandom, random_bytes, sethostname, sysinfo, uname, uts_field,
};
pub use priority::{Priorities, getpriority, ioprio_get, ioprio_set, setpriority};
pub use scheduling::{
    sched_get_priority_max, sched_get_priority_min, sched_getaffinity, sched_getparam,
    sched_getscheduler, sched_setaffinity, sched_setparam, sched_setscheduler, sched_yield,
};

use crate::load::{execve, execveat};
use crate::table::{Argument, SystemCall};

/// This family's state.
#[derive(Debug)]
pub struct Process {
    /// Resource limits.
    pub limits: SpinMutex<Limits>,
    /// Priorities.
    pub priorities: Priorities,
    /// Whether `prctl(PR_SET_DUMPABLE)` and the like were asked for; remembered, without effect.
    pub settings: SpinMutex<control::Settings>,
}

impl Process {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            limits: SpinMutex::new(Limits::new()),
            priorities: Priorities::new(),
            settings: SpinMutex::new(control::Settings::new()),
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

const ARCH_PRCTL_NAMES: &[(u64, &str)] = &[
    (0x1001, "ARCH_SET_GS"),
    (0x1002, "ARCH_SET_FS"),
    (0x1003, "ARCH_GET_FS"),
    (0x1004, "ARCH_GET_GS"),
    (0x1011, "ARCH_GET_CPUID"),
    (0x1012, "ARCH_SET_CPUID"),
    (0x3001, "ARCH_CET_STATUS"),
];

const RESOURCE_NAMES: &[(u64, &str)] = &[
    (abi::RLIMIT_CPU as u64, "RLIMIT_CPU"),
    (abi::RLIMIT_FSIZE as u64, "RLIMIT_FSIZE"),
    (abi::RLIMIT_DATA as u64, "RLIMIT_DATA"),
    (abi::RLIMIT_STACK as u64, "RLIMIT_STACK"),
    (abi::RLIMIT_CORE as u64, "RLIMIT_CORE"),
    (abi::RLIMIT_RSS as u64, "RLIMIT_RSS"),
    (abi::RLIMIT_NPROC as u64, "RLIMIT_NPROC"),
    (abi::RLIMIT_NOFILE as u64, "RLIMIT_NOFILE"),
    (abi::RLIMIT_MEMLOCK as u64, "RLIMIT_MEMLOCK"),
    (abi::RLIMIT_AS as u64, "RLIMIT_AS"),
    (abi::RLIMIT_LOCKS as u64, "RLIMIT_LOCKS"),
    (abi::RLIMIT_SIGPENDING as u64, "RLIMIT_SIGPENDING"),
    (abi::RLIMIT_MSGQUEUE as u64, "RLIMIT_MSGQUEUE"),
    (abi::RLIMIT_NICE as u64, "RLIMIT_NICE"),
    (abi::RLIMIT_RTPRIO as u64, "RLIMIT_RTPRIO"),
    (abi::RLIMIT_RTTIME as u64, "RLIMIT_RTTIME"),
];

const RANDOM_NAMES: &[(u64, &str)] = &[
    (0, "0"),
    (abi::GRND_NONBLOCK as u64, "GRND_NONBLOCK"),
    (abi::GRND_RANDOM as u64, "GRND_RANDOM"),
    (abi::GRND_INSECURE as u64, "GRND_INSECURE"),
];

/// The calls of this family.
pub const CALLS: &[SystemCall] = {
    use Argument::{Choice, Flags, Hexadecimal, Pointer, Signed, TextOut, Unsigned};
    &[
        SystemCall::new(abi::__NR_exit, "exit", exit, &[Signed]),
        SystemCall::new(abi::__NR_exit_group, "exit_group", exit_group, &[Signed]),
        SystemCall::new(
            abi::__NR_wait4,
            "wait4",
            wait4,
            &[Signed, Pointer, Hexadecimal, Pointer],
        ),
        SystemCall::new(
            abi::__NR_waitid,
            "waitid",
            waitid,
            &[Signed, Signed, Pointer, Hexadecimal, Pointer],
        ),
        SystemCall::new(
            abi::__NR_execve,
            "execve",
            execve,
            &[Argument::Text, Argument::Strings, Pointer],
        ),
        SystemCall::new(
            abi::__NR_execveat,
            "execveat",
            execveat,
            &[
                Argument::Directory,
                Argument::Text,
                Argument::Strings,
                Pointer,
                Hexadecimal,
            ],
        ),
        SystemCall::new(abi::__NR_getpid, "getpid", getpid, &[]),
        SystemCall::new(abi::__NR_gettid, "gettid", gettid, &[]),
        SystemCall::new(abi::__NR_getppid, "getppid", getppid, &[]),
        SystemCall::new(abi::__NR_getuid, "getuid", getuid, &[]),
        SystemCall::new(abi::__NR_getgid, "getgid", getgid, &[]),
        SystemCall::new(abi::__NR_geteuid, "geteuid", geteuid, &[]),
        SystemCall::new(abi::__NR_getegid, "getegid", getegid, &[]),
        SystemCall::new(
            abi::__NR_getgroups,
            "getgroups",
            getgroups,
            &[Signed, Pointer],
        ),
        SystemCall::new(
            abi::__NR_setgroups,
            "setgroups",
            setgroups,
            &[Signed, Pointer],
        ),
        SystemCall::new(abi::__NR_setuid, "setuid", setuid, &[Signed]),
        SystemCall::new(abi::__NR_setgid, "setgid", setgid, &[Signed]),
        SystemCall::new(abi::__NR_setreuid, "setreuid", setreuid, &[Signed, Signed]),
        SystemCall::new(abi::__NR_setregid, "setregid", setregid, &[Signed, Signed]),
        SystemCall::new(
            abi::__NR_setresuid,
            "setresuid",
            setresuid,
            &[Signed, Signed, Signed],
        ),
        SystemCall::new(
            abi::__NR_setresgid,
            "setresgid",
            setresgid,
            &[Signed, Signed, Signed],
        ),
        SystemCall::new(
            abi::__NR_getresuid,
            "getresuid",
            getresuid,
            &[Pointer, Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_getresgid,
            "getresgid",
            getresgid,
            &[Pointer, Pointer, Pointer],
        ),
        SystemCall::new(abi::__NR_setfsuid, "setfsuid", setfsuid, &[Signed]),
        SystemCall::new(abi::__NR_setfsgid, "setfsgid", setfsgid, &[Signed]),
        SystemCall::new(abi::__NR_getpgrp, "getpgrp", getpgrp, &[]),
        SystemCall::new(abi::__NR_getpgid, "getpgid", getpgid, &[Signed]),
        SystemCall::new(abi::__NR_setpgid, "setpgid", setpgid, &[Signed, Signed]),
        SystemCall::new(abi::__NR_getsid, "getsid", getsid, &[Signed]),
        SystemCall::new(abi::__NR_setsid, "setsid", setsid, &[]),
        SystemCall::new(abi::__NR_capget, "capget", capget, &[Pointer, Pointer]),
        SystemCall::new(abi::__NR_capset, "capset", capset, &[Pointer, Pointer]),
        SystemCall::new(
            abi::__NR_set_tid_address,
            "set_tid_address",
            set_tid_address,
            &[Pointer],
        ),
        SystemCall::new(
            abi::__NR_set_robust_list,
            "set_robust_list",
            set_robust_list,
            &[Pointer, Unsigned],
        ),
        SystemCall::new(
            abi::__NR_rseq,
            "rseq",
            rseq,
            &[Pointer, Unsigned, Hexadecimal, Hexadecimal],
        ),
        SystemCall::new(
            abi::__NR_arch_prctl,
            "arch_prctl",
            arch_prctl,
            &[Choice(ARCH_PRCTL_NAMES), Hexadecimal],
        ),
        SystemCall::new(
            abi::__NR_prctl,
            "prctl",
            prctl,
            &[
                Choice(control::PRCTL_NAMES),
                Hexadecimal,
                Hexadecimal,
                Hexadecimal,
                Hexadecimal,
            ],
        ),
        SystemCall::new(
            abi::__NR_personality,
            "personality",
            personality,
            &[Hexadecimal],
        ),
        SystemCall::new(
            abi::__NR_membarrier,
            "membarrier",
            membarrier,
            &[Signed, Hexadecimal, Signed],
        ),
        SystemCall::new(
            abi::__NR_prlimit64,
            "prlimit64",
            prlimit64,
            &[Signed, Choice(RESOURCE_NAMES), Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_getrlimit,
            "getrlimit",
            getrlimit,
            &[Choice(RESOURCE_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_setrlimit,
            "setrlimit",
            setrlimit,
            &[Choice(RESOURCE_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_getrusage,
            "getrusage",
            getrusage,
            &[Signed, Pointer],
        ),
        SystemCall::new(abi::__NR_times, "times", times, &[Pointer]),
        SystemCall::new(
            abi::__NR_getpriority,
            "getpriority",
            getpriority,
            &[Signed, Signed],
        ),
        SystemCall::new(
            abi::__NR_setpriority,
            "setpriority",
            setpriority,
            &[Signed, Signed, Signed],
        ),
        SystemCall::new(
            abi::__NR_ioprio_get,
            "ioprio_get",
            ioprio_get,
            &[Signed, Signed],
        ),
        SystemCall::new(
            abi::__NR_ioprio_set,
            "ioprio_set",
            ioprio_set,
            &[Signed, Signed, Hexadecimal],
        ),
        SystemCall::new(abi::__NR_uname, "uname", uname, &[Pointer]),
        SystemCall::new(
            abi::__NR_sethostname,
            "sethostname",
            sethostname,
            &[Pointer, Unsigned],
        ),
        SystemCall::new(abi::__NR_sysinfo, "sysinfo", sysinfo, &[Pointer]),
        SystemCall::new(
            abi::__NR_getcpu,
            "getcpu",
            getcpu,
            &[Pointer, Pointer, Pointer],
        ),
        SystemCall::new(
            abi::__NR_getrandom,
            "getrandom",
            getrandom,
            &[TextOut, Unsigned, Flags(RANDOM_NAMES)],
        ),
        SystemCall::new(abi::__NR_sched_yield, "sched_yield", sched_yield, &[]),
        SystemCall::new(
            abi::__NR_sched_getaffinity,
            "sched_getaffinity",
            sched_getaffinity,
            &[Signed, Unsigned, Pointer],
        ),
        SystemCall::new(
            abi::__NR_sched_setaffinity,
            "sched_setaffinity",
            sched_setaffinity,
            &[Signed, Unsigned, Pointer],
        ),
        SystemCall::new(
            abi::__NR_sched_getscheduler,
            "sched_getscheduler",
            sched_getscheduler,
            &[Signed],
        ),
        SystemCall::new(
            abi::__NR_sched_setscheduler,
            "sched_setscheduler",
            sched_setscheduler,
            &[Signed, Signed, Pointer],
        ),
        SystemCall::new(
            abi::__NR_sched_getparam,
            "sched_getparam",
            sched_getparam,
            &[Signed, Pointer],
        ),
        SystemCall::new(
            abi::__NR_sched_setparam,
            "sched_setparam",
            sched_setparam,
            &[Signed, Pointer],
        ),
        SystemCall::new(
            abi::__NR_sched_get_priority_max,
            "sched_get_priority_max",
            sched_get_priority_max,
            &[Signed],
        ),
        SystemCall::new(
            abi::__NR_sched_get_priority_min,
            "sched_get_priority_min",
            sched_get_priority_min,
            &[Signed],
        ),
    ]
};
