//! `memcpy` and its like, which the shipped compiler runtime of the target leaves out.
//!
//! Compiled code calls them by their C names, so those exist only in a freestanding build; the host
//! tests them under Rust names. They must not be compiled into calls of themselves, so every loop is
//! assembly. Long runs use `rep movsq` and `rep stosq`: emulators execute the byte forms a byte at a
//! time. Short ones use unaligned loads that overlap in the middle.
#![no_std]

mod compare;
mod copy;
mod fill;

pub use compare::{compare, length};
pub use copy::{copy, copy_overlapping};
pub use fill::fill;

#[cfg(kiln_freestanding)]
mod exported;
