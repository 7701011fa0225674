//! The registers behind SYSCALL and SYSRET.

use x86_64::registers::model_specific::Msr;

use super::segments::{KERNEL_CODE, USER_CODE_32};

const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;

/// Flags that a system call clears: trap, interrupt, direction, nested task, alignment check
/// (which is SMAP's override in the kernel).
const CLEARED_FLAGS: u64 = 1 << 8 | 1 << 9 | 1 << 10 | 1 << 14 | 1 << 18;

/// Lets user mode enter the running processor's kernel at `entry` by SYSCALL.
///
/// # Safety
/// `entry` must be code that treats every register as the user's and starts on the user's stack
/// and GS.
pub unsafe fn initialise(entry: u64) {
    // SAFETY: these registers exist on every 64-bit processor; the selectors are those of our
    // descriptor table, in the order that SYSRET adds to (section 6.1.1).
    unsafe {
        Msr::new(STAR).write(u64::from(USER_CODE_32) << 48 | u64::from(KERNEL_CODE) << 32);
        Msr::new(LSTAR).write(entry);
        Msr::new(FMASK).write(CLEARED_FLAGS);
        let mut enable = Msr::new(EFER);
        enable.write(enable.read() | 1);
    }
}
