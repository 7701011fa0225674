//! What the process's own files say about the program that runs.

use alloc::vec::Vec;
use core::ops::Range;

/// The program, as the loader started it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its absolute path with no link in it.
    pub path: Vec<u8>,
    /// The thread's name: at most 15 bytes.
    pub name: Vec<u8>,
    /// The stack that it started with, and where in it the rest lies.
    pub stack: Vec<u8>,
    /// The arguments, a NUL after each.
    pub arguments: Range<usize>,
    /// The environment, a NUL after each entry.
    pub environment: Range<usize>,
    /// The auxiliary vector's bytes, `AT_NULL` included.
    pub auxiliary: Range<usize>,
}

impl Program {
    /// No program yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            path: Vec::new(),
            name: Vec::new(),
            stack: Vec::new(),
            arguments: 0..0,
            environment: 0..0,
            auxiliary: 0..0,
        }
    }

    /// The bytes of a part of the stack.
    #[must_use]
    pub fn part(&self, range: &Range<usize>) -> &[u8] {
        self.stack.get(range.clone()).unwrap_or_default()
    }
}
