//! The program's address space: brk, mmap and their kin.

use crate::table::SystemCall;

/// The calls of this family.
pub const CALLS: &[SystemCall] = &[];

/// This family's state.
#[derive(Debug, Default)]
pub struct Memory {}

impl Memory {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}
