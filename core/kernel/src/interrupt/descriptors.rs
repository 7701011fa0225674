//! The interrupt descriptor table, one for all processors.
//!
//! Every gate turns interrupts off: the kernel runs without them.

use core::arch::asm;
use core::cell::UnsafeCell;

use crate::processor::segments::{KERNEL_CODE, SeparateStack};
use crate::rolled::{one_pass, rolled};

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written by the boot processor before any other runs, read by hardware afterwards.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

/// Bytes from one vector's stub to the next.
const STUB_BYTES: u64 = 8;

/// A 64-bit interrupt gate that only the kernel may raise (AMD64 manual volume 2, section 4.8.4).
fn gate(handler: u64) -> [u64; 2] {
    let low = handler & 0xffff
        | u64::from(KERNEL_CODE) << 16
        | 0x8e << 40
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

/// A gate's bits that have the processor change to a separate stack.
const fn on(stack: SeparateStack) -> u64 {
    (stack as u64) << 32
}

/// A gate's bits that let user mode raise the vector by an instruction.
const USER: u64 = 3 << 45;

/// What some vectors' gates have besides. Breakpoint and overflow are user mode's to raise.
static SPECIAL: [(u8, u64); 5] = [
    (2, on(SeparateStack::NonMaskable)),
    (8, on(SeparateStack::DoubleFault)),
    (18, on(SeparateStack::MachineCheck)),
    (3, USER),
    (4, USER),
];

/// Fills the table, `stubs` being the address of vector 0's stub.
///
/// # Safety
/// On the boot processor, before the others run.
pub(crate) unsafe fn fill(stubs: u64) {
    // SAFETY: nobody else reads or writes the table now.
    write(unsafe { &mut *TABLE.0.get() }, stubs);
}

fn write(table: &mut [[u64; 2]; 256], stubs: u64) {
    let mut handler = stubs;
    for entry in &mut *table {
        one_pass();
        *entry = gate(handler);
        handler += STUB_BYTES;
    }
    for (vector, bits) in rolled(&SPECIAL) {
        let [low, _] = &mut table[usize::from(*vector)];
        *low |= bits;
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
        let [low, high] = gate(0xffff_ffff_8123_4567);
        assert_eq!(low & 0xffff, 0x4567);
        assert_eq!(low >> 48, 0x8123);
        assert_eq!(high, 0xffff_ffff);
        assert_eq!(low >> 40 & 0xff, 0x8e);
        assert_eq!(low >> 32 & 0xff, 0);
        assert_eq!(low >> 16 & 0xffff, 0x08);
    }

    #[test]
    fn some_vectors_have_a_stack_of_their_own_and_only_breakpoints_are_open_to_user_mode() {
        let mut table = [[0; 2]; 256];
        write(&mut table, 0xffff_ffff_8000_0000);
        for (vector, [low, _]) in (0..).zip(table) {
            let stack = match vector {
                2 => 1,
                8 => 2,
                18 => 3,
                _ => 0,
            };
            let privilege = if [3, 4].contains(&vector) { 3 } else { 0 };
            assert_eq!(low >> 32 & 0xff, stack, "vector {vector}");
            assert_eq!(low >> 40 & 0xff, 0x8e | privilege << 5, "vector {vector}");
            assert_eq!(low & 0xffff, vector * 8);
        }
    }
}
