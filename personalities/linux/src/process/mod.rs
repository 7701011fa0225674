//! Identity, limits and the end of the process.

use crate::table::SystemCall;

/// The calls of this family.
pub const CALLS: &[SystemCall] = &[];

/// This family's state.
#[derive(Debug, Default)]
pub struct Process {}

impl Process {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}
