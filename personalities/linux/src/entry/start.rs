//! The library's own start, which ends in the program's.

use core::sync::atomic::Ordering;

use kiln_object::layout::MAIN_STACK_TOP;

use super::{OBSERVED, STACK_WORD, TRACING, direct};
use crate::load;

/// Sets the library up and starts the program.
fn start() -> ! {
    let first = load::First::read();
    let traced = first.is_traced();
    TRACING.store(traced, Ordering::Relaxed);
    let observed = traced || kiln_runtime::trace::is_on();
    OBSERVED.store(observed, Ordering::Relaxed);
    if observed {
        direct::observe_all();
    }
    // The main stack is this function's until the program starts, and each system call's afterwards.
    kiln_runtime::dispatcher::word(STACK_WORD).store(MAIN_STACK_TOP, Ordering::Relaxed);
    first.start()
}

/// Lets the program begin; the library's stack is empty from here on.
#[cfg_attr(not(kiln_freestanding), allow(unused_variables))]
pub fn start_program(entry: u64, stack: u64) -> ! {
    #[cfg(kiln_freestanding)]
    // SAFETY: the loader has mapped the program and its stack, and this never comes back.
    unsafe {
        super::gate::start_program(entry, stack)
    }
    #[cfg(not(kiln_freestanding))]
    crate::process::exit_image(70)
}

#[cfg(kiln_freestanding)]
mod symbol {
    extern "sysv64" fn run() -> ! {
        super::start()
    }

    /// Where the kernel starts the process, on the main stack.
    // SAFETY: a component has one entry, so no other definition is linked with this one.
    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    extern "sysv64" fn component_entry() -> ! {
        core::arch::naked_asm!("xor ebp, ebp", "and rsp, -16", "call {run}", "ud2", run = sym run)
    }
}

/// The host has no program to start; the tests call the parts.
#[cfg(not(kiln_freestanding))]
const _: fn() -> ! = start;
