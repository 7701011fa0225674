//! Memory: frames, heap, page tables, regions, faults.
//!
//! Every frame is reachable through the direct map; the kernel never maps a user page anywhere
//! else. Frames given to user space are zeroed first, so nothing leaks from one owner to the next.

pub mod address_space;
pub mod cache;
pub mod fixup;
pub mod frames;
pub mod heap;
pub mod kernel_space;
pub mod page_table;
pub mod paged_file;
pub mod region;
pub mod user_copy;

pub use frames::Frame;

use crate::boot::BootInformation;

/// Where all physical memory is mapped.
pub const DIRECT_MAP_BASE: u64 = 0xffff_8000_0000_0000;

/// Where the image is linked: virtual address minus link-time physical address.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Bytes in a page.
pub const PAGE_BYTES: u64 = 4096;

/// The address at which the kernel reaches physical memory.
#[must_use]
#[inline(always)]
pub const fn direct(physical: u64) -> u64 {
    DIRECT_MAP_BASE + physical
}

/// Sets up frames, the heap and the kernel's final address space.
///
/// A machine whose memory ends before the image does, and with it the kernel's own data, is turned
/// off with a message.
pub fn initialise(boot: &BootInformation) {
    let image_end = boot.image_end();
    if boot.memory_end() <= image_end {
        crate::error!(
            "too little memory: the image and the kernel's data end at {} KiB",
            image_end.div_ceil(1024)
        );
        crate::power::off(crate::power::ExitStatus::Panic);
    }
    frames::initialise(boot);
    kernel_space::initialise(boot);
}
