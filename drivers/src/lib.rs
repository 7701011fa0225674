//! Device drivers of the kernel, each in the image only if the manifest names it.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod debug_console;
pub mod device_memory;
pub mod pci;
pub mod serial;
pub mod virtio;
