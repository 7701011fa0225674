//! Reading and writing memory that may not be there.

use core::sync::atomic::Ordering;

use kiln_object::dispatcher::TrapFrame;

/// Lets [`read`] and [`write`] come back from a fault; any other trap ends the process.
pub fn prepare() {
    kiln_runtime::trap::set_handler(trapped);
}

fn trapped(trap: &TrapFrame) {
    let rip = &trap.registers.rip;
    let at = rip.load(Ordering::Relaxed);
    if at == site(0) || at == site(1) {
        rip.store(site(2), Ordering::Relaxed);
    } else {
        kiln_runtime::trap::end_process(trap);
    }
}

#[cfg(kiln_freestanding)]
mod freestanding {
    core::arch::global_asm!(
        ".section .text.kiln_touch, \"ax\", @progbits",
        ".globl kiln_touch_read, kiln_touch_read_site, kiln_touch_write, kiln_touch_write_site",
        ".globl kiln_touch_back",
        "kiln_touch_read:",
        "kiln_touch_read_site:",
        "mov rax, [rdi]",
        "mov [rsi], rax",
        "mov eax, 1",
        "ret",
        "kiln_touch_write:",
        "kiln_touch_write_site:",
        "mov [rdi], rsi",
        "mov eax, 1",
        "ret",
        "kiln_touch_back:",
        "xor eax, eax",
        "ret",
        ".text",
    );

    unsafe extern "sysv64" {
        fn kiln_touch_read(address: u64, to: *mut u64) -> u64;
        fn kiln_touch_write(address: u64, value: u64) -> u64;
        safe static kiln_touch_read_site: u8;
        safe static kiln_touch_write_site: u8;
        safe static kiln_touch_back: u8;
    }

    pub fn site(number: usize) -> u64 {
        [
            &raw const kiln_touch_read_site,
            &raw const kiln_touch_write_site,
            &raw const kiln_touch_back,
        ][number] as u64
    }

    pub fn read(address: u64) -> Option<u64> {
        let mut value = 0;
        // SAFETY: the address is one of the test's own mappings or nothing; a fault comes back.
        (unsafe { kiln_touch_read(address, &mut value) } != 0).then_some(value)
    }

    pub fn write(address: u64, value: u64) -> bool {
        // SAFETY: as above.
        unsafe { kiln_touch_write(address, value) != 0 }
    }
}

#[cfg(kiln_freestanding)]
use freestanding::site;
#[cfg(kiln_freestanding)]
pub use freestanding::{read, write};

#[cfg(not(kiln_freestanding))]
fn site(_number: usize) -> u64 {
    0
}

/// The word at `address`, if it can be read.
#[cfg(not(kiln_freestanding))]
pub fn read(_address: u64) -> Option<u64> {
    None
}

/// Stores a word at `address`; false if it cannot be written.
#[cfg(not(kiln_freestanding))]
pub fn write(_address: u64, _value: u64) -> bool {
    false
}
