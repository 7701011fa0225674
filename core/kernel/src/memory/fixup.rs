//! Which kernel instructions may fault on a user address, and where they go on then.
//!
//! Only the copy routines of [`user_copy`](super::user_copy) touch user memory.

/// The instruction to go on with after a fault at `rip` that could not be resolved.
#[must_use]
pub fn lookup(rip: u64) -> Option<u64> {
    let (start, end, fixup) = super::user_copy::fault_range();
    (start..end).contains(&rip).then_some(fixup)
}
