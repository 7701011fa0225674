//! Calls that are over in a few instructions: no stack, no vector register, no Rust.
//!
//! The flags stay as they are, too: no instruction used here changes them. The table says for each number where the entry jumps; what is not listed here goes the full way.
//! While system calls are traced everything does.

use core::sync::atomic::{AtomicU64, Ordering};

/// Numbers below this are looked up in the table.
pub const DIRECT_NUMBERS: usize = 512;

/// Where each call goes, by number.
pub static DIRECT: [AtomicU64; DIRECT_NUMBERS] = [const { AtomicU64::new(0) }; DIRECT_NUMBERS];

/// Where the call of that number goes.
#[must_use]
pub fn target(number: u64) -> u64 {
    usize::try_from(number)
        .ok()
        .and_then(|number| DIRECT.get(number))
        .map_or_else(full, |target| target.load(Ordering::Relaxed))
}

/// Where a call of any number may go, `rax` holding the number.
#[must_use]
pub fn any_target() -> u64 {
    #[cfg(kiln_freestanding)]
    return super::gate::called as *const () as u64;
    #[cfg(not(kiln_freestanding))]
    return full();
}

/// Fills the table; `tracing` sends every call the full way.
pub fn initialise(tracing: bool) {
    for target in &DIRECT {
        target.store(full(), Ordering::Relaxed);
    }
    #[cfg(kiln_freestanding)]
    if !tracing {
        for (number, function) in functions::ALL {
            if let Some(target) = DIRECT.get(number as usize) {
                target.store(function as *const () as u64, Ordering::Relaxed);
            }
        }
    }
    #[cfg(not(kiln_freestanding))]
    let _ = tracing;
}

#[cfg(kiln_freestanding)]
fn full() -> u64 {
    super::gate::full as *const () as u64
}

#[cfg(not(kiln_freestanding))]
fn full() -> u64 {
    0
}

#[cfg(kiln_freestanding)]
mod functions {
    use core::arch::naked_asm;

    use linux_raw_sys::general as abi;

    use crate::process::identity::{GROUP, PARENT, PROCESS, USER};

    type Direct = extern "sysv64" fn();

    macro_rules! answers {
        ($($name:ident = $value:expr;)*) => {$(
            #[unsafe(naked)]
            extern "sysv64" fn $name() {
                naked_asm!("mov eax, {value}", "jmp rcx", value = const $value)
            }
        )*};
    }

    answers! {
        process = PROCESS;
        parent = PARENT;
        user = USER;
        group = GROUP;
        nothing = 0;
    }

    pub(super) const ALL: [(u32, Direct); 9] = [
        (abi::__NR_getpid, process),
        (abi::__NR_gettid, process),
        (abi::__NR_getpgrp, process),
        (abi::__NR_getppid, parent),
        (abi::__NR_getuid, user),
        (abi::__NR_geteuid, user),
        (abi::__NR_getgid, group),
        (abi::__NR_getegid, group),
        (abi::__NR_sched_yield, nothing),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_place_go_the_full_way() {
        initialise(false);
        assert_eq!(target(u64::MAX), full());
        assert_eq!(target(DIRECT_NUMBERS as u64), full());
    }
}
