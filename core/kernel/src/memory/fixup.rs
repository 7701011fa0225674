//! Which kernel instructions may fault on a user address, and where they go on then.
//!
//! Only the copy routines of [`user_copy`](super::user_copy) touch user memory.

/// The instruction to go on with after a fault at `rip` that could not be resolved.
#[must_use]
pub fn lookup(rip: u64) -> Option<u64> {
    super::user_copy::fault_ranges()
        .into_iter()
        .find(|(start, end, _)| (*start..*end).contains(&rip))
        .map(|(_, _, fixup)| fixup)
}
