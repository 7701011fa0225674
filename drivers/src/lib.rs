//! Device drivers of the kernel, each in the image only if the manifest names it.

#![no_std]

pub mod debug_console;
pub mod serial;
