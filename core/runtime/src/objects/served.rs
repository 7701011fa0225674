//! Where a served call says which object it is in: a word for each call slot of each processor.
//!
//! A call slot belongs to one processor and serves one call at a time, so the words of a processor fill
//! cache lines that no other writes.

use core::sync::atomic::Ordering::Acquire;

use kiln_object::layout::{CALL_SLOT_BASE, CALL_SLOT_BYTES, CALL_SLOTS};

use super::primitives::AtomicU64;
use super::slot::{Served, Slot};

/// CPUs on which a process can serve calls.
const CPUS: usize = 64;

const WORDS: usize = CPUS * CALL_SLOTS;

#[repr(align(128))]
struct Words([AtomicU64; WORDS]);

static IN: Words = Words([const { AtomicU64::new(0) }; WORDS]);

const _: () = {
    // The words of a processor are whole lines, and the place in the slots is in bits of the address.
    assert!((CALL_SLOTS * size_of::<AtomicU64>()).is_multiple_of(128));
    assert!(WORDS.is_power_of_two());
    assert!(CALL_SLOT_BASE.is_multiple_of(WORDS as u64 * CALL_SLOT_BYTES));
};

/// The word of the call slot on whose stack this runs.
#[inline(always)]
pub fn here() -> Served<'static> {
    let stack = crate::thread::stack_pointer() as u64;
    let place = (stack / CALL_SLOT_BYTES) as usize % WORDS;
    Served(&IN.0[place])
}

/// Whether a served call is in `slot`.
pub fn is_anybody_in(slot: &Slot) -> bool {
    let address = slot.address();
    let mut words = IN.0.iter().take(in_use());
    words.any(|word| word.load(Acquire) == address)
}

/// How many words can be in use: those of the machine's processors.
fn in_use() -> usize {
    if cfg!(kiln_kernel) {
        // What lives in the kernel is counted.
        0
    } else if cfg!(kiln_freestanding) {
        crate::startup().cpus as usize * CALL_SLOTS
    } else {
        WORDS
    }
}
