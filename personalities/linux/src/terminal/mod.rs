//! The console as a terminal.

use crate::table::SystemCall;

/// The calls of this family.
pub const CALLS: &[SystemCall] = &[];

/// This family's state.
#[derive(Debug, Default)]
pub struct Terminal {}

impl Terminal {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}
