//! Driver `debug_console`: the port that QEMU and Bochs print bytes from.
//!
//! It carries the kernel's own messages, so that the serial line has the program's bytes alone.
//! The device identifies itself: reading its port yields the port's number.

use kiln_kernel::device::{Outcome, Stage};
use kiln_kernel::log::{self, Rank};
use x86_64::instructions::port::Port;

const PORT: u16 = 0xe9;

kiln_kernel::driver!("KILN_DRIVER_DEBUG_CONSOLE", 1, "debug_console", start);

extern "sysv64" fn start(stage: Stage) -> Outcome {
    if stage != Stage::Channel {
        return Outcome::Ready;
    }
    // SAFETY: nothing else of a PC answers at this port.
    if unsafe { Port::<u8>::new(PORT).read() } != PORT as u8 {
        return Outcome::Absent;
    }
    log::register(write, Rank::Own);
    Outcome::Ready
}

fn write(bytes: &[u8]) {
    // SAFETY: the device is there and has only this register. One string instruction instead of a
    // loop: an emulator or hypervisor leaves the machine once, not for each byte.
    unsafe {
        core::arch::asm!(
            "rep outsb",
            inout("rcx") bytes.len() => _,
            inout("rsi") bytes.as_ptr() => _,
            in("dx") PORT,
            options(nostack, preserves_flags, readonly),
        );
    }
}
