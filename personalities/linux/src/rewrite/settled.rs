//! Which call sites need no more thought: a small table that the entry code reads.
//!
//! Both tables are caches: an entry that another site has pushed out is found again in the books.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Places in the tables; the low bits of the return address choose one.
pub const SETTLED_SITES: usize = 1024;

/// Return addresses of sites that stay as they are.
pub static SETTLED: [AtomicU64; SETTLED_SITES] = [const { AtomicU64::new(0) }; SETTLED_SITES];

/// Return addresses of sites that were met once.
static VISITED: [AtomicU64; SETTLED_SITES] = [const { AtomicU64::new(0) }; SETTLED_SITES];

fn place(table: &[AtomicU64; SETTLED_SITES], address: u64) -> &AtomicU64 {
    // The mask keeps the index inside the array.
    &table[address as usize & (SETTLED_SITES - 1)]
}

/// Whether the site was met before; from now on it was.
pub(super) fn is_second_visit(return_address: u64) -> bool {
    place(&VISITED, return_address).swap(return_address, Relaxed) == return_address
}

/// Lets calls from the site pass without looking at it.
pub(super) fn settle(return_address: u64) {
    place(&SETTLED, return_address).store(return_address, Relaxed);
}

/// Forgets everything.
pub(super) fn clear() {
    for entry in SETTLED.iter().chain(&VISITED) {
        entry.store(0, Relaxed);
    }
}
