//! The order in which the kernel comes up.

use crate::boot::Protocol;

/// First Rust code on the boot processor; called once by the entry stub.
pub(crate) extern "sysv64" fn boot_entry(protocol: u32, information: u64, moved_by: i64) -> ! {
    let _ = (Protocol::from_number(protocol), information, moved_by);
    for byte in b"hello from Rust\n" {
        // SAFETY: port 0xe9 is the debug console's or nobody's.
        unsafe { x86_64::instructions::port::Port::<u8>::new(0xe9).write(*byte) };
    }
    loop {
        x86_64::instructions::hlt();
    }
}
