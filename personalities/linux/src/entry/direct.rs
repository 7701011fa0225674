//! Calls that are over in a few instructions: no stack, no vector register, no Rust.
//!
//! The flags stay as they are, too: no instruction used here changes them. The table says for each number where the entry jumps; what is not listed here goes the full way.
//! While system calls are traced everything does.

use core::sync::atomic::{AtomicPtr, Ordering};

/// Numbers below this are looked up in the table.
pub const DIRECT_NUMBERS: usize = 512;

/// Where each call goes, by number. It is ready in the image.
pub static DIRECT: [AtomicPtr<()>; DIRECT_NUMBERS] = {
    let mut table = [const { AtomicPtr::new(FULL) }; DIRECT_NUMBERS];
    let mut index = 0;
    while index < functions::ALL.len() {
        let (number, function) = functions::ALL[index];
        table[number as usize] = AtomicPtr::new(function as *mut ());
        index += 1;
    }
    table
};

/// Where the call of that number goes.
#[must_use]
pub fn target(number: u64) -> u64 {
    usize::try_from(number)
        .ok()
        .and_then(|number| DIRECT.get(number))
        .map_or(FULL, |target| target.load(Ordering::Relaxed))
        .addr() as u64
}

/// Where a call of any number may go, `rax` holding the number.
#[must_use]
pub fn any_target() -> u64 {
    #[cfg(kiln_freestanding)]
    return super::gate::called as *const () as u64;
    #[cfg(not(kiln_freestanding))]
    return FULL.addr() as u64;
}

/// Sends every call the full way, where somebody sees it.
pub fn observe_all() {
    for target in &DIRECT {
        target.store(FULL, Ordering::Relaxed);
    }
}

#[cfg(kiln_freestanding)]
const FULL: *mut () = super::gate::full as *mut ();

#[cfg(not(kiln_freestanding))]
const FULL: *mut () = core::ptr::null_mut();

#[cfg(not(kiln_freestanding))]
mod functions {
    pub(super) const ALL: [(u32, fn()); 0] = [];
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
        let full = FULL.addr() as u64;
        assert_eq!(target(u64::MAX), full);
        assert_eq!(target(DIRECT_NUMBERS as u64), full);
    }
}
