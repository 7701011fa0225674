//! The kernel's heap: talc over pages of the frame allocator.
//!
//! A process can make the kernel keep notes about it, and an allocation that fails ends the machine:
//! so whatever keeps such a note asks [`ensure_room`] first, and answers `Exhausted`. The heap never
//! shrinks, so it may only ever become a part of memory, however many notes were kept at once; and of
//! that part the program's notes leave some to the servers'.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use kiln_object::Error;

use super::PAGE_BYTES;
use super::address_space::{REGIONS, REGIONS_AT_ONCE};
use super::frames::{self, Purpose};
use super::region::insertion_bytes;
use crate::process::CPUS;
use crate::processor::PerCpu;

/// Least number of pages that the heap grows by, where so many lie together.
const GROWTH_PAGES: u64 = 16;

/// The part of memory that the heap may become: one in so many pages, but always a few.
const PART: u64 = 16;
const LEAST_PAGES: u64 = 96;

/// Pages that are the heap's.
static PAGES: AtomicU64 = AtomicU64::new(0);

/// Processors that are looking for room in the heap as it is.
static LOOKING: [AtomicBool; CPUS] = [const { AtomicBool::new(false) }; CPUS];

/// Pages that the heap may still take for notes about the program, or about others.
fn growth(program: bool) -> u64 {
    let most = (frames::total_bytes() / PAGE_BYTES / PART).max(LEAST_PAGES);
    let most = if program { most / 4 * 3 } else { most };
    let left = most.saturating_sub(PAGES.load(Ordering::Relaxed));
    left.min(frames::spare_pages(Purpose::Notes))
}

/// Bytes that one request of a process makes the kernel allocate at most: an object's slots, or as
/// many regions as one request adds.
const REQUEST_BYTES: usize = insertion_bytes(REGIONS_AT_ONCE, REGIONS);

/// Makes sure that the allocations of one request, of the `program` or of a server, will not fail.
///
/// # Errors
/// `Exhausted` if they could.
#[inline(never)]
pub fn ensure_room(program: bool) -> Result<(), Error> {
    // The heap grows while there are pages, by single ones if need be.
    if growth(program) >= 2 * GROWTH_PAGES {
        return Ok(());
    }
    find_room()
}

/// Looks for room in the heap as it is by taking it and giving it back.
#[cold]
#[inline(never)]
fn find_room() -> Result<(), Error> {
    let looking = LOOKING.get(PerCpu::number() as usize);
    let look = |whether| {
        if let Some(looking) = looking {
            looking.store(whether, Ordering::Relaxed);
        }
    };
    look(true);
    let mut room = alloc::vec::Vec::<u8>::new();
    let found = room.try_reserve_exact(REQUEST_BYTES);
    core::hint::black_box(&room);
    look(false);
    found.map_err(|_| Error::Exhausted)
}

/// Bytes of which the first blocks are cut, one after the other: a kernel with one process needs no
/// more, and runs none of the allocator's code.
const FIRST_BYTES: usize = 16 << 10;

#[repr(C, align(128))]
struct First {
    bytes: UnsafeCell<[u8; FIRST_BYTES]>,
    /// What has been cut.
    used: AtomicUsize,
}

// SAFETY: the bytes are only given out, each to one owner.
unsafe impl Sync for First {}

#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
impl First {
    const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([0; FIRST_BYTES]),
            used: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn cut(&self, layout: Layout) -> Option<*mut u8> {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            if end > FIRST_BYTES || layout.align() > align_of::<Self>() {
                return None;
            }
            let cut = self
                .used
                .compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed);
            match cut {
                Ok(_) => return Some(self.bytes.get().cast::<u8>().wrapping_add(start)),
                Err(now) => used = now,
            }
        }
    }

    #[inline]
    fn owns(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.bytes.get().addr()) < FIRST_BYTES
    }

    /// Makes a block longer or shorter if it was the last that was cut; says whether it was. Other
    /// blocks that are given back are lost, no more than there is here.
    #[inline]
    fn resize(&self, block: *mut u8, layout: Layout, bytes: usize) -> bool {
        let start = block.addr() - self.bytes.get().addr();
        let Some(end) = start.checked_add(bytes).filter(|end| *end <= FIRST_BYTES) else {
            return false;
        };
        // Another processor may have cut the next one.
        self.used
            .compare_exchange(
                start + layout.size(),
                end,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

#[cfg(kiln_freestanding)]
mod global {
    use core::alloc::{GlobalAlloc, Layout};

    use talc::TalcLock;
    use talc::base::{Talc, binning::Binning};
    use talc::source::Source;

    use super::super::frames;
    use super::{
        First, GROWTH_PAGES, LOOKING, Ordering, PAGE_BYTES, PAGES, PerCpu, Purpose, growth,
    };
    use crate::home;

    /// What talc may add to a request for its own words.
    const OVERHEAD_BYTES: usize = 256;

    #[derive(Debug)]
    struct Frames;

    // SAFETY: memory comes from the frame allocator, which never uses the heap; nothing here
    // touches the heap's own lock.
    unsafe impl Source for Frames {
        fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
            let looking = LOOKING.get(PerCpu::number() as usize);
            if looking.is_some_and(|looking| looking.load(Ordering::Relaxed)) {
                return Err(());
            }
            let bytes = layout
                .size()
                .checked_add(layout.align() + OVERHEAD_BYTES)
                .ok_or(())? as u64;
            let least = if talc.is_metadata_established() {
                bytes.div_ceil(PAGE_BYTES)
            } else {
                // The first chunk also holds the bins.
                GROWTH_PAGES + bytes.div_ceil(PAGE_BYTES)
            };
            let (first, pages) = [least.max(GROWTH_PAGES), least]
                .into_iter()
                .filter(|pages| *pages <= growth(false))
                .find_map(|pages| {
                    let first = frames::allocate_contiguous_for(pages, Purpose::Notes)?;
                    Some((first, pages))
                })
                .ok_or(())?;
            PAGES.fetch_add(pages, Ordering::Relaxed);
            // SAFETY: the pages are this heap's alone from now on and the direct map covers them.
            unsafe { talc.claim(first.pointer(), (pages * PAGE_BYTES) as usize) };
            Ok(())
        }
    }

    static FIRST: First = First::new();

    static HEAP: TalcLock<spin::Mutex<()>, Frames> = TalcLock::new(Frames);

    /// The kernel's heap, or that of servers where one of those runs.
    struct Allocator;

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator;

    // SAFETY: each block goes back to the heap that it is from, by its address.
    unsafe impl GlobalAlloc for Allocator {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as the caller promises.
            unsafe {
                if home::serving() {
                    home::HEAP.alloc(layout)
                } else if let Some(block) = FIRST.cut(layout) {
                    block
                } else {
                    HEAP.alloc(layout)
                }
            }
        }

        #[inline]
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as the caller promises; the heap is the block's.
            unsafe {
                if home::owns(block) {
                    home::HEAP.dealloc(block, layout);
                } else if FIRST.owns(block) {
                    FIRST.resize(block, layout, 0);
                } else {
                    HEAP.dealloc(block, layout);
                }
            }
        }

        #[inline]
        unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
            // SAFETY: as the caller promises; the heap is the block's.
            unsafe {
                if home::owns(block) {
                    home::HEAP.realloc(block, layout, bytes)
                } else if FIRST.owns(block) {
                    if FIRST.resize(block, layout, bytes) {
                        return block;
                    }
                    let moved =
                        self.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(block, layout.size().min(bytes));
                    }
                    moved
                } else {
                    HEAP.realloc(block, layout, bytes)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_blocks_are_apart_and_the_last_can_grow() {
        let first = First::new();
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let one = first.cut(layout(3, 1)).unwrap();
        let two = first.cut(layout(40, 16)).unwrap();
        assert!(first.owns(one) && first.owns(two) && two.addr().is_multiple_of(16));
        assert!(two.addr() - one.addr() >= 3);
        assert!(!first.resize(one, layout(3, 1), 4), "another is behind it");
        assert!(first.resize(two, layout(40, 16), 80));
        assert!(!first.resize(two, layout(80, 16), FIRST_BYTES));
        let three = first.cut(layout(8, 8)).unwrap();
        assert_eq!(three.addr() - two.addr(), 80);
        assert!(first.resize(three, layout(8, 8), 0));
        assert_eq!(first.cut(layout(8, 8)), Some(three));
        assert_eq!(first.cut(layout(8, 256)), None);
        assert_eq!(first.cut(layout(FIRST_BYTES, 1)), None);
        let rest = FIRST_BYTES - (three.addr() - one.addr()) - 8;
        let last = first.cut(layout(rest, 1)).unwrap();
        assert!(first.owns(last.wrapping_add(rest - 1)) && !first.owns(last.wrapping_add(rest)));
        assert_eq!(first.cut(layout(1, 1)), None);
    }
}
