//! Virtio devices: finding them on PCI and in memory, and their drivers.
//!
//! Queues are those of the crate `virtio-drivers`, over one [`Hal`](memory::Memory) for the
//! kernel's memory. A device is another party: no answer of one, and no silence, may stop the
//! machine. Source: Virtual I/O Device specification 1.2.

pub mod entropy;
pub mod memory;
pub mod memory_mapped;
pub mod parameter;
pub mod pci;
pub mod pci_structures;
pub mod pci_transport;

/// Identifies kinds of devices, section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Source of entropy.
    Entropy = 4,
}
