//! How a Linux program starts: its strings, its stack, what an image says.
//!
//! The build tool lays out the image's first program with it, the library every other: the stack of
//! both is made by the same code, with addresses counted from the stack pointer, and settled where it
//! comes to lie.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod laid_out;
pub mod stack;
pub mod strings;

pub use laid_out::LaidOut;
pub use stack::{Content, InitialStack, TooLarge};
pub use strings::Strings;

/// The user that every process is, and its effective one: root.
pub const USER: u32 = 0;

/// The group of every process.
pub const GROUP: u32 = 0;

/// `_SC_CLK_TCK`.
pub const TICKS_PER_SECOND: u64 = 100;

/// Bytes of a program header in a file for 64-bit machines.
pub const PROGRAM_HEADER_BYTES: usize = 56;
