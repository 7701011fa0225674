//! The kernel: boot, memory, processes, object calls

#![no_std]

#[cfg(test)]
extern crate std;

pub mod boot;
#[cfg(kiln_freestanding)]
mod bytes;
mod start;
#[cfg(kiln_freestanding)]
mod unwinding;

#[cfg(kiln_freestanding)]
#[panic_handler]
fn panic_handler(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
