//! The heap: a range of demand-zero memory that grows by being touched.
//!
//! No call is made to grow it; the range is given to the allocator a step at a time, because the
//! allocator writes at the end of what it owns and would touch memory far from any use.

use core::alloc::Layout;
use core::ptr::{NonNull, with_exposed_provenance_mut};

use kiln_object::layout::{HEAP_BASE, HEAP_BYTES};
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use crate::RawSpinLock;

/// How much the heap grows at once, at least.
const STEP_BYTES: usize = 512 << 10;

/// What the allocator may add to a request for its own use, generously.
const OVERHEAD_BYTES: usize = 4096;

/// The allocator: in the real build that of all Rust code.
#[cfg_attr(kiln_freestanding, global_allocator)]
pub static HEAP: talc::TalcLock<RawSpinLock, GrowingHeap> = talc::TalcLock::new(GrowingHeap {
    next: HEAP_BASE as usize,
    limit: (HEAP_BASE + HEAP_BYTES) as usize,
    end: None,
});

/// A range of which the part below `next` is the allocator's.
#[derive(Debug)]
pub struct GrowingHeap {
    next: usize,
    limit: usize,
    end: Option<NonNull<u8>>,
}

// SAFETY: `end` names memory that only the allocator which owns this source uses.
unsafe impl Send for GrowingHeap {}

// SAFETY: no allocator is used but the `talc` passed.
unsafe impl Source for GrowingHeap {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let GrowingHeap { next, limit, end } = talc.source;
        let need = layout
            .size()
            .checked_add(layout.align())
            .and_then(|bytes| bytes.checked_add(OVERHEAD_BYTES))
            .and_then(|bytes| bytes.max(STEP_BYTES).checked_next_multiple_of(4096))
            .ok_or(())?;
        let new_next = next
            .checked_add(need)
            .filter(|new_next| *new_next <= limit)
            .ok_or(())?;
        let new_end = with_exposed_provenance_mut(new_next);
        // SAFETY: `next..new_next` is inside the range that belongs to the heap alone, was not given
        // to the allocator before, and adjoins what was.
        let claimed = unsafe {
            match end {
                Some(end) => Some(talc.extend(end, new_end)),
                None => talc.claim(with_exposed_provenance_mut(next), need),
            }
        };
        talc.source.end = Some(claimed.ok_or(())?);
        talc.source.next = new_next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::alloc::{GlobalAlloc as _, Layout};

    use super::*;

    #[test]
    fn it_grows_by_steps_to_its_limit_and_reuses_what_is_freed() {
        let mut memory = vec![0u8; 4 << 20];
        let base = memory
            .as_mut_ptr()
            .expose_provenance()
            .next_multiple_of(4096);
        let heap = talc::TalcLock::<RawSpinLock, _>::new(GrowingHeap {
            next: base,
            limit: base + (3 << 20),
            end: None,
        });
        let layout = Layout::from_size_align(100_000, 64).expect("a layout");
        let huge = Layout::from_size_align(2 << 20, 4096).expect("a layout");
        // SAFETY: no layout is of size zero; each block is freed with its layout.
        unsafe {
            let first = heap.alloc(layout);
            assert!(!first.is_null() && first.addr() % 64 == 0);
            assert!((base..base + STEP_BYTES).contains(&first.addr()));
            assert_eq!(heap.lock().source.next, base + STEP_BYTES);
            let big = heap.alloc(huge);
            assert!(!big.is_null() && big.addr() % 4096 == 0);
            assert!(heap.alloc(huge).is_null(), "the limit holds");
            let grown = heap.lock().source.next;
            for _ in 0..100 {
                heap.dealloc(big, huge);
                assert_eq!(heap.alloc(huge), big);
            }
            assert_eq!(
                heap.lock().source.next,
                grown,
                "what is freed is used again"
            );
            heap.dealloc(first, layout);
        }
    }
}
