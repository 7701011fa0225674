//! The interrupt descriptor table, one for all processors.
//!
//! Every gate turns interrupts off: the kernel runs without them.

use core::arch::asm;
use core::cell::UnsafeCell;

use crate::processor::segments::{KERNEL_CODE, SeparateStack};

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written by the boot processor before any other runs, read by hardware afterwards.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

/// Bytes from one vector's stub to the next.
const STUB_BYTES: u64 = 8;

/// A 64-bit interrupt gate (AMD64 manual volume 2, section 4.8.4).
fn gate(handler: u64, stack: u8, user: bool) -> [u64; 2] {
    let privilege = if user { 3 } else { 0 };
    let low = handler & 0xffff
        | u64::from(KERNEL_CODE) << 16
        | u64::from(stack & 7) << 32
        | (0x8e | privilege << 5) << 40
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

fn stack(vector: usize) -> u8 {
    match vector {
        2 => SeparateStack::NonMaskable as u8,
        8 => SeparateStack::DoubleFault as u8,
        18 => SeparateStack::MachineCheck as u8,
        _ => 0,
    }
}

/// Whether user mode may raise the vector by an instruction: breakpoint and overflow.
fn user(vector: usize) -> bool {
    matches!(vector, 3 | 4)
}

/// Fills the table, `stubs` being the address of vector 0's stub.
///
/// # Safety
/// On the boot processor, before the others run.
pub(crate) unsafe fn fill(stubs: u64) {
    // SAFETY: nobody else reads or writes the table now.
    let table = unsafe { &mut *TABLE.0.get() };
    for (vector, entry) in table.iter_mut().enumerate() {
        let handler = stubs + vector as u64 * STUB_BYTES;
        *entry = gate(handler, stack(vector), user(vector));
    }
}

/// Makes the running processor use the table.
///
/// # Safety
/// The table must have been filled.
pub(crate) unsafe fn load() {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer {
        limit: 256 * 16 - 1,
        base: TABLE.0.get() as u64,
    };
    // SAFETY: the table is static and, the caller says, filled.
    unsafe { asm!("lidt [{}]", in(reg) &pointer, options(nostack, readonly, preserves_flags)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_carries_the_whole_handler_address() {
        let [low, high] = gate(0xffff_ffff_8123_4567, 2, true);
        assert_eq!(low & 0xffff, 0x4567);
        assert_eq!(low >> 48, 0x8123);
        assert_eq!(high, 0xffff_ffff);
        assert_eq!(low >> 40 & 0xff, 0xee);
        assert_eq!(low >> 32 & 0xff, 2);
        assert_eq!(low >> 16 & 0xffff, 0x08);
    }

    #[test]
    fn only_breakpoints_are_open_to_user_mode() {
        assert_eq!((0..256).filter(|&vector| user(vector)).count(), 2);
        assert_eq!(gate(0, 0, false)[0] >> 40 & 0xff, 0x8e);
    }
}
