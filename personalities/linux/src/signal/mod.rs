//! Signal actions, masks, delivery.

use crate::table::SystemCall;

/// The calls of this family.
pub const CALLS: &[SystemCall] = &[];

/// This family's state.
#[derive(Debug, Default)]
pub struct Signals {}

impl Signals {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}
