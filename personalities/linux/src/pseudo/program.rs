//! What the process's own files say about the program that runs.

use alloc::vec::Vec;

/// The program, as the loader started it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its absolute path with no link in it.
    pub path: Vec<u8>,
    /// The thread's name: at most 15 bytes.
    pub name: Vec<u8>,
    /// The arguments, a NUL after each.
    pub arguments: Vec<u8>,
    /// The environment, a NUL after each entry.
    pub environment: Vec<u8>,
    /// The auxiliary vector's bytes, `AT_NULL` included.
    pub auxiliary: Vec<u8>,
}

impl Program {
    /// No program yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            path: Vec::new(),
            name: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            auxiliary: Vec::new(),
        }
    }
}
