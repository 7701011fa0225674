//! The heap: a range of demand-zero memory that grows by being touched.
//!
//! No call is made to grow it; the range is given to the allocator a step at a time, because the
//! allocator writes at the end of what it owns and would touch memory far from any use.
//!
//! The first blocks are cut from the range's beginning, one after the other: most processes need
//! few, and then neither the allocator's code nor its notes are touched.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut, with_exposed_provenance_mut};

use kiln_object::layout::{HEAP_BASE, HEAP_BYTES};
use talc::base::Talc;
use talc::base::binning::{Binning, DefaultBinning};
use talc::source::Source;

use crate::SpinMutex;

/// How much the heap grows at once, at least.
const STEP_BYTES: usize = 512 << 10;

/// What the allocator may add to a request for its own use, generously.
const OVERHEAD_BYTES: usize = 4096;

/// Blocks are kept by size in steps of this, so that each fills what talc hands out.
const CLASS_BYTES: usize = 32;

/// Requests of fewer bytes than `CLASSES * CLASS_BYTES` are served from lists.
const CLASSES: usize = 32;

/// The largest alignment that is served from lists.
const CLASS_ALIGN: usize = 16;

/// Bytes that a list keeps at most, if that is not less than four blocks.
const LIST_BYTES: usize = 4096;

/// Blocks that a list keeps at most.
const LIST_BLOCKS: usize = 32;

/// Bytes at the beginning of the range of which the first blocks are cut.
const FIRST_BYTES: usize = 16 << 10;

/// The allocator: in the real build that of all Rust code.
#[cfg_attr(all(kiln_freestanding, not(kiln_kernel)), global_allocator)]
pub static HEAP: Heap<GrowingHeap> = Heap::new(
    HEAP_BASE as usize,
    GrowingHeap {
        next: HEAP_BASE as usize + FIRST_BYTES,
        limit: (HEAP_BASE + HEAP_BYTES) as usize,
        end: None,
    },
);

/// Lists of free small blocks, one for each size, in front of talc.
///
/// What was freed last is used again first, in a dozen instructions instead of a merge and a split.
/// A list is short; what does not fit in it is talc's again.
#[derive(Debug)]
pub struct Heap<S: Source>(SpinMutex<Inner<S>>);

#[derive(Debug)]
struct Inner<S: Source> {
    lists: [Option<NonNull<Free>>; CLASSES],
    /// How many blocks each list still takes; less than zero if it has more of the first blocks.
    room: [i16; CLASSES],
    first: First,
    talc: Talc<S, DefaultBinning>,
}

/// What the first blocks are cut from.
#[derive(Debug)]
struct First {
    /// Where the next one begins.
    next: usize,
    end: usize,
}

impl First {
    fn cut(&mut self, layout: Layout) -> Option<*mut u8> {
        let start = self.next.checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end > self.end {
            return None;
        }
        self.next = end;
        Some(with_exposed_provenance_mut(start))
    }

    fn owns(&self, block: *mut u8) -> bool {
        self.end.wrapping_sub(block.addr()).wrapping_sub(1) < FIRST_BYTES
    }

    /// Takes a block back if it was the last that was cut. Others are lost, if they are too large for
    /// a list: no more than there is here.
    fn put_back(&mut self, block: *mut u8, layout: Layout) {
        if block.addr() + layout.size() == self.next {
            self.next = block.addr();
        }
    }
}

/// A block in a list.
#[derive(Debug)]
struct Free {
    next: Option<NonNull<Free>>,
}

// SAFETY: the lists name free blocks, which nobody else uses.
unsafe impl<S: Source + Send> Send for Inner<S> {}

/// The list that serves `layout`, if one does.
#[inline(always)]
fn class_of(layout: Layout) -> Option<usize> {
    let class = layout.size() / CLASS_BYTES;
    (class < CLASSES && layout.align() <= CLASS_ALIGN).then_some(class)
}

/// What all blocks of the list `class` were allocated with.
const fn block_layout(class: usize) -> Layout {
    // One byte less than the next class: it is what talc needs itself.
    match Layout::from_size_align(class * CLASS_BYTES + CLASS_BYTES - 1, CLASS_ALIGN) {
        Ok(layout) => layout,
        Err(_) => panic!("classes are small"),
    }
}

impl<S: Source> Heap<S> {
    /// An empty heap over `source` and the [`FIRST_BYTES`] at `first`, which are its alone.
    const fn new(first: usize, source: S) -> Self {
        let mut room = [0; CLASSES];
        let mut class = 0;
        while class < CLASSES {
            let blocks = LIST_BYTES / ((class + 1) * CLASS_BYTES);
            room[class] = if blocks < LIST_BLOCKS {
                blocks
            } else {
                LIST_BLOCKS
            } as i16;
            class += 1;
        }
        Self(SpinMutex::new(Inner {
            lists: [None; CLASSES],
            room,
            first: First {
                next: first,
                end: first + FIRST_BYTES,
            },
            talc: Talc::new(source),
        }))
    }
}

impl<S: Source> Inner<S> {
    /// # Safety
    /// The size is not zero.
    #[cold]
    #[inline(never)]
    unsafe fn allocate(&mut self, layout: Layout) -> *mut u8 {
        match self.first.cut(layout) {
            Some(block) => block,
            // SAFETY: as the caller promises.
            None => unsafe { self.allocate_later(layout) },
        }
    }

    /// As [`Inner::allocate`], when there is no room for a first block.
    ///
    /// # Safety
    /// The size is not zero.
    #[inline(never)]
    unsafe fn allocate_later(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let mut found = unsafe { self.talc.allocate(layout) };
        if found.is_none() {
            self.give_back();
            // SAFETY: as the caller promises.
            found = unsafe { self.talc.allocate(layout) };
        }
        found.map_or(null_mut(), NonNull::as_ptr)
    }

    /// Takes a block back that no list has room for.
    ///
    /// # Safety
    /// `block` was given by [`Inner::allocate`] for `layout` and is not used any more.
    #[cold]
    #[inline(never)]
    unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
        if !self.first.owns(block) {
            // SAFETY: as the caller promises.
            unsafe { self.talc.deallocate(block, layout) }
        } else {
            self.first.put_back(block, layout);
        }
    }

    /// Gives what is in the lists back to talc; the first blocks, which are not talc's, stay there.
    fn give_back(&mut self) {
        for (class, list) in self.lists.iter_mut().enumerate() {
            let mut first = None;
            while let Some(block) = *list {
                // SAFETY: a block in a list begins with a `Free`, is nobody's, and was allocated
                // with the layout of its list.
                unsafe {
                    *list = block.as_ref().next;
                    if self.first.owns(block.as_ptr().cast()) {
                        block.write(Free { next: first });
                        first = Some(block);
                        continue;
                    }
                    self.talc
                        .deallocate(block.as_ptr().cast(), block_layout(class));
                }
                if let Some(room) = self.room.get_mut(class) {
                    *room += 1;
                }
            }
            *list = first;
        }
    }
}

// SAFETY: a block is talc's, in a list, not cut yet, or the caller's; it is used by one of them at a
// time. Small ones are always at least as large as `block_layout` says, and freed with that.
unsafe impl<S: Source + Send> GlobalAlloc for Heap<S> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut inner = self.0.lock();
        let Some(class) = class_of(layout) else {
            // SAFETY: as the caller promises.
            return unsafe { inner.allocate(layout) };
        };
        match inner.lists[class] {
            Some(block) => {
                // SAFETY: a block in a list begins with a `Free` and is nobody's.
                inner.lists[class] = unsafe { block.as_ref().next };
                inner.room[class] += 1;
                block.as_ptr().cast()
            }
            // SAFETY: the size of a block's layout is not zero.
            None => unsafe { inner.allocate(block_layout(class)) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let mut inner = self.0.lock();
        let Some(class) = class_of(layout) else {
            // SAFETY: as the caller promises; it did not come from a list.
            return unsafe { inner.free(block, layout) };
        };
        if inner.room[class] <= 0 && !inner.first.owns(block) {
            // SAFETY: blocks of this size are allocated with the layout of their list.
            return unsafe { inner.free(block, block_layout(class)) };
        }
        inner.room[class] -= 1;
        let free = block.cast::<Free>();
        let next = inner.lists[class];
        // SAFETY: the block is the heap's again, large enough and aligned for a `Free`.
        unsafe { free.write(Free { next }) };
        inner.lists[class] = NonNull::new(free);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return null_mut();
        };
        match (class_of(layout), class_of(wanted)) {
            (Some(old), Some(new)) if old == new => return block,
            (None, None) => {
                let mut inner = self.0.lock();
                let stays = !inner.first.owns(block)
                    // SAFETY: the block is talc's with this layout; the new size is not zero.
                    && unsafe { inner.talc.try_realloc_in_place(block, layout, size) };
                if stays {
                    return block;
                }
            }
            _ => {}
        }
        // SAFETY: the new size is not zero, as the caller promises.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks are as large as what is copied, and apart from each other; the
            // old one is the caller's to free.
            unsafe {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

const _: () = assert!(size_of::<Free>() < CLASS_BYTES && align_of::<Free>() <= CLASS_ALIGN);

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
    use alloc::boxed::Box;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    /// A heap over some of the host's memory, and where what is talc's of that starts.
    fn heap(bytes: usize) -> (Heap<GrowingHeap>, usize) {
        let memory = Box::leak(vec![0u8; FIRST_BYTES + bytes + 4096].into_boxed_slice());
        let base = memory
            .as_mut_ptr()
            .expose_provenance()
            .next_multiple_of(4096);
        let source = GrowingHeap {
            next: base + FIRST_BYTES,
            limit: base + FIRST_BYTES + bytes,
            end: None,
        };
        (Heap::new(base, source), base + FIRST_BYTES)
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn it_grows_by_steps_to_its_limit_and_reuses_what_is_freed() {
        let (heap, base) = heap(3 << 20);
        let layout = layout(100_000, 64);
        let huge = self::layout(2 << 20, 4096);
        // SAFETY: no layout is of size zero; each block is freed with its layout.
        unsafe {
            let small = self::layout(7, 64);
            let (one, two) = (heap.alloc(small), heap.alloc(small));
            assert_eq!(
                (one.addr(), two.addr()),
                (base - FIRST_BYTES, one.addr() + 64)
            );
            assert!(
                heap.0.lock().talc.source.end.is_none(),
                "talc was not asked"
            );
            heap.dealloc(two, small);
            assert_eq!(heap.alloc(small), two, "the last one is put back");
            heap.dealloc(one, small);
            let first = heap.alloc(layout);
            assert!(!first.is_null() && first.addr() % 64 == 0);
            assert!((base..base + STEP_BYTES).contains(&first.addr()));
            assert_eq!(heap.0.lock().talc.source.next, base + STEP_BYTES);
            let big = heap.alloc(huge);
            assert!(!big.is_null() && big.addr() % 4096 == 0);
            assert!(heap.alloc(huge).is_null(), "the limit holds");
            let grown = heap.0.lock().talc.source.next;
            for _ in 0..100 {
                heap.dealloc(big, huge);
                assert_eq!(heap.alloc(huge), big);
            }
            assert_eq!(
                heap.0.lock().talc.source.next,
                grown,
                "what is freed is used again"
            );
            heap.dealloc(first, layout);
        }
    }
    #[test]
    fn small_blocks_are_used_again_and_given_back_for_large_ones() {
        let (heap, _) = heap(1 << 20);
        let small = layout(1000, 8);
        // SAFETY: no layout is of size zero; each block is freed with its layout.
        unsafe {
            let block = heap.alloc(small);
            heap.dealloc(block, small);
            assert_eq!(heap.alloc(layout(993, 1)), block, "of the same list");
            heap.dealloc(block, small);
            let blocks: Vec<_> = (0..)
                .map(|_| heap.alloc(small))
                .take_while(|block| !block.is_null())
                .collect();
            assert!(blocks.len() > 900, "{}", blocks.len());
            for block in blocks {
                heap.dealloc(block, small);
            }
            let large = layout(900 << 10, 4096);
            let block = heap.alloc(large);
            assert!(!block.is_null(), "nothing is kept back");
            heap.dealloc(block, large);
        }
    }

    #[test]
    fn what_is_moved_keeps_its_bytes() {
        let (heap, _) = heap(1 << 20);
        // SAFETY: no layout is of size zero; each block is freed with its layout, and read and
        // written within its size.
        unsafe {
            let mut size = 1;
            let mut block = heap.alloc(layout(size, 8));
            block.write(0);
            for next in [
                8, 31, 32, 40, 1023, 1024, 5000, 9000, 1500, 1000, 64, 63, 3, 2000, 7,
            ] {
                block = heap.realloc(block, layout(size, 8), next);
                for at in 0..size.min(next) {
                    assert_eq!(block.add(at).read(), at as u8);
                }
                for at in 0..next {
                    block.add(at).write(at as u8);
                }
                size = next;
            }
        }
    }

    #[test]
    fn threads_never_share_a_block() {
        let (heap, _) = heap(8 << 20);
        std::thread::scope(|scope| {
            for mark in 1..=4u8 {
                let heap = &heap;
                scope.spawn(move || {
                    let mut random = u64::from(mark);
                    let mut held: Vec<(*mut u8, Layout)> = Vec::new();
                    for _ in 0..20_000 {
                        random = random
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        let pick = (random >> 33) as usize;
                        if held.len() > 60 || (pick & 1 == 0 && !held.is_empty()) {
                            let (block, layout) = held.swap_remove(pick % held.len());
                            // SAFETY: the block is this thread's and was allocated so.
                            unsafe {
                                for at in 0..layout.size() {
                                    assert_eq!(block.add(at).read(), mark);
                                }
                                heap.dealloc(block, layout);
                            }
                        } else {
                            let layout = layout(1 + pick % 1100, 1 << (pick % 6));
                            // SAFETY: the size is not zero, and the block this thread's.
                            unsafe {
                                let block = heap.alloc(layout);
                                assert!(!block.is_null());
                                assert!(block.addr().is_multiple_of(layout.align()));
                                block.write_bytes(mark, layout.size());
                                held.push((block, layout));
                            }
                        }
                    }
                });
            }
        });
    }
}
