//! The kernel's memory as devices see it.
//!
//! Queues and buffers are frames, reached through the direct map; a device gets physical
//! addresses. There is no IOMMU in use, and x86 keeps caches coherent with devices.

use core::ptr::NonNull;

use kiln_kernel::memory::{DIRECT_MAP_BASE, Frame, KERNEL_BASE, PAGE_BYTES, frames};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use crate::device_memory::{self, Registers};

/// Bytes that the direct map can have: its one top-level table entry.
const DIRECT_MAP_MOST: u64 = 1 << 39;

/// The kernel's memory.
#[derive(Debug)]
pub struct Memory;

// SAFETY: `dma_alloc` answers frames that nobody else has, zeroed, page-aligned, at their address
// in the direct map; `mmio_phys_to_virt` answers fresh mappings or does not return.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let first = match pages {
            1 => frames::allocate(),
            pages => frames::allocate_contiguous(pages as u64),
        };
        let Some((first, pointer)) =
            first.and_then(|first| Some((first, NonNull::new(first.pointer())?)))
        else {
            // The trait's word for "none": address 0, with a pointer that is not used.
            return (0, NonNull::dangling());
        };
        for page in 0..pages as u64 {
            frames::zero(Frame::at(first.physical() + page * PAGE_BYTES));
        }
        (first.physical(), pointer)
    }

    unsafe fn dma_dealloc(physical: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        for page in 0..pages as u64 {
            frames::free(Frame::at(physical + page * PAGE_BYTES));
        }
        0
    }

    unsafe fn mmio_phys_to_virt(physical: PhysAddr, bytes: usize) -> NonNull<u8> {
        let registers = Registers {
            base: physical,
            bytes: bytes as u64,
        };
        // SAFETY: the caller's word that these are registers; drivers start at the device stage.
        unsafe { device_memory::map(registers) }.expect("no way to map a device's registers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        physical_of(buffer.cast::<u8>().as_ptr())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Physical address of a buffer in frames or in the kernel's image.
///
/// # Panics
/// If the buffer is on a stack, whose pages need not lie side by side: a fault of the driver's.
fn physical_of(pointer: *const u8) -> u64 {
    let address = pointer as u64;
    match address.checked_sub(DIRECT_MAP_BASE) {
        Some(physical) if physical < DIRECT_MAP_MOST => physical,
        _ if address >= KERNEL_BASE => kiln_kernel::boot::physical_of(pointer),
        _ => panic!("a device was to use memory at {pointer:p}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_kernel::memory::direct;

    #[test]
    fn buffers_in_frames_and_in_the_image_have_physical_addresses() {
        assert_eq!(physical_of(direct(0x1234_5678) as *const u8), 0x1234_5678);
        let linked = (KERNEL_BASE + 0x20_0000) as *const u8;
        assert_eq!(physical_of(linked), 0x20_0000);
    }

    #[test]
    #[should_panic(expected = "a device was to use memory")]
    fn buffers_on_stacks_are_refused() {
        physical_of(0xffff_c000_0000_8000 as *const u8);
    }
}
