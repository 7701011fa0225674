//! The interfaces of Kiln's own objects, as decorated traits.
//!
//! A trait here is the whole contract: the stub compiler makes the client's stub and the server's
//! dispatch from it. Method numbers are stable; a changed signature changes the interface's hash.
#![no_std]
#![forbid(unsafe_code)]

pub mod file;
pub mod kernel;
pub mod name_space;

pub use kiln_interface_compiler::{Plain, Wire, interface};

/// A result of four plain numbers, in the order that the method says.
pub type FourWords = ((u64, u64), (u64, u64));
