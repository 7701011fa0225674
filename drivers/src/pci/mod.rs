//! The PCI bus: configuration space, what is plugged in, where its registers are.
//!
//! Firmware has numbered the buses and placed the registers; nothing here moves anything. What a
//! device says of itself is read with bounds, so that no answer makes a walk endless.

pub mod base_address;
pub mod capabilities;
#[cfg(test)]
pub(crate) mod made_up;
pub mod ports;
pub mod walk;

pub use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// Configuration register of the command (low half) and status (high half) words.
pub const COMMAND: u8 = 0x04;
/// Command bit: memory registers answer.
pub const COMMAND_MEMORY: u32 = 1 << 1;
/// Command bit: the device may access memory.
pub const COMMAND_BUS_MASTER: u32 = 1 << 2;
/// Command bit: the device does not use its interrupt line.
pub const COMMAND_NO_LINE: u32 = 1 << 10;
