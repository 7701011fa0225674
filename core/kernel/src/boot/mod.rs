//! From a boot loader's hand-over to one description of the machine.
//!
//! Everything the loader says is copied out here, checked, and never looked at again.

#[cfg(kiln_freestanding)]
mod entry;

/// Size of the boot processor's stack in bytes; it stays that processor's kernel stack.
pub const BOOT_STACK_BYTES: usize = 32 * 1024;

/// The protocol by which the image was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Protocol {
    /// Xen's PVH boot ABI: QEMU, Firecracker, Cloud Hypervisor.
    Pvh = 1,
    /// Multiboot 0.6.96: QEMU's `-kernel`, older loaders.
    Multiboot1 = 2,
    /// Multiboot2: GRUB on BIOS and UEFI.
    Multiboot2 = 3,
}

impl Protocol {
    /// The protocol of an entry stub's number.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Pvh),
            2 => Some(Self::Multiboot1),
            3 => Some(Self::Multiboot2),
            _ => None,
        }
    }
}
