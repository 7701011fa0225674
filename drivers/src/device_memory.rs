//! Mapping device registers, wherever in physical memory they are.
//!
//! The direct map ends at 4 GiB or with the last memory, and caches; devices may lie above, and
//! their registers must not be cached. So registers get pages of a window of their own, which are
//! never given back: drivers live as long as the machine.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_kernel::memory::page_table::{GLOBAL, NO_EXECUTE, PRESENT, PageTable, UNCACHED, WRITABLE};
use kiln_kernel::memory::{Frame, PAGE_BYTES, kernel_space};

/// Where the window lies: above the kernel's stacks, below its image.
const WINDOW: u64 = 0xffff_e000_0000_0000;
/// Bytes of the window.
const WINDOW_BYTES: u64 = 1 << 30;
/// Most bytes that are mapped at once; a device that wants more is not one of ours.
pub const LARGEST: u64 = 1 << 20;

static USED: AtomicU64 = AtomicU64::new(0);

/// Registers at physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Physical address of the first byte.
    pub base: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Registers {
    /// The address after the last byte; `None` if there is none, or if no processor with
    /// `address_bits` physical address bits could name them all.
    fn end(self, address_bits: u32) -> Option<u64> {
        let end = self.base.checked_add(self.bytes)?;
        let limit = 1_u64.checked_shl(address_bits.min(52))?;
        (self.bytes != 0 && self.bytes <= LARGEST && end <= limit).then_some(end)
    }
}

/// Maps registers, uncached; `None` if they are out of the processor's reach or too many, or if
/// there is no memory for page tables.
///
/// # Safety
/// Called at [`Stage::Device`](kiln_kernel::device::Stage::Device), by the boot processor. The
/// addresses are a device's registers or nothing, and not memory.
pub unsafe fn map(registers: Registers) -> Option<NonNull<u8>> {
    let end = registers.end(physical_address_bits())?;
    let first = registers.base & !(PAGE_BYTES - 1);
    let bytes = end.checked_next_multiple_of(PAGE_BYTES)? - first;
    let offset = USED
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= WINDOW_BYTES)
        })
        .ok()?;
    // SAFETY: at this stage no other processor runs, and none of the kernel's code that changes
    // these tables is under way: drivers are called in between. Address spaces copy the window's
    // top-level entry, because none has been made yet.
    let mut tables = unsafe { PageTable::from_root(Frame::at(kernel_space::root())) };
    for page in (0..bytes).step_by(PAGE_BYTES as usize) {
        let entry = (first + page) | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE | UNCACHED;
        tables.slot_for(WINDOW + offset + page).ok()?.set(entry);
    }
    let address = WINDOW + offset + (registers.base - first);
    NonNull::new(address as *mut u8)
}

/// Bits of the processor's physical addresses (SDM volume 2, CPUID leaf 80000008H).
fn physical_address_bits() -> u32 {
    const LEAF: u32 = 0x8000_0008;
    if core::arch::x86_64::__cpuid(0x8000_0000).eax < LEAF {
        return 36;
    }
    core::arch::x86_64::__cpuid(LEAF).eax & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_end_where_the_processor_reaches() {
        let end = |base, bytes, bits| Registers { base, bytes }.end(bits);
        assert_eq!(end(0xfeb0_0000, 512, 36), Some(0xfeb0_0200));
        assert_eq!(end((1 << 40) - 4096, 4096, 40), Some(1 << 40));
        assert_eq!(end(1 << 40, 4096, 40), None);
        assert_eq!(end(u64::MAX - 10, 100, 52), None);
        assert_eq!(end(1 << 60, 4096, 255), None);
        assert_eq!(end(0x1000, 0, 40), None);
        assert_eq!(end(0x1000, LARGEST + 1, 40), None);
    }
}
