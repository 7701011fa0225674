//! The kernel's heap: talc over pages of the frame allocator.
//!
//! A process can make the kernel keep notes about it, and an allocation that fails ends the machine:
//! so whatever keeps such a note asks [`ensure_room`] first, and answers `Exhausted`.

use kiln_object::Error;

use super::frames::{self, Purpose};

/// Least number of pages that the heap grows by, where so many lie together.
const GROWTH_PAGES: u64 = 16;

/// Bytes that one request of a process makes the kernel allocate at most: an object's slots, or the
/// nodes of a map of regions that is split at every level, three times.
const REQUEST_BYTES: usize = 16 << 10;

/// Makes sure that one request's allocations will not fail.
///
/// # Errors
/// `Exhausted` if they could.
#[inline]
pub fn ensure_room() -> Result<(), Error> {
    // The heap grows while there are pages, by single ones if need be.
    if frames::spare_pages(Purpose::Notes) >= 2 * GROWTH_PAGES {
        return Ok(());
    }
    find_room()
}

/// Looks for room by taking it and giving it back.
#[cold]
#[inline(never)]
fn find_room() -> Result<(), Error> {
    let mut room = alloc::vec::Vec::<u8>::new();
    room.try_reserve_exact(REQUEST_BYTES)
        .map_err(|_| Error::Exhausted)?;
    core::hint::black_box(&room);
    Ok(())
}

#[cfg(kiln_freestanding)]
mod global {
    use core::alloc::Layout;

    use talc::TalcLock;
    use talc::base::{Talc, binning::Binning};
    use talc::source::Source;

    use super::super::{PAGE_BYTES, frames};
    use super::{GROWTH_PAGES, Purpose};

    /// What talc may add to a request for its own words.
    const OVERHEAD_BYTES: usize = 256;

    #[derive(Debug)]
    struct Frames;

    // SAFETY: memory comes from the frame allocator, which never uses the heap; nothing here
    // touches the heap's own lock.
    unsafe impl Source for Frames {
        fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
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
                .find_map(|pages| {
                    let first = frames::allocate_contiguous_for(pages, Purpose::Notes)?;
                    Some((first, pages))
                })
                .ok_or(())?;
            // SAFETY: the pages are this heap's alone from now on and the direct map covers them.
            unsafe { talc.claim(first.pointer(), (pages * PAGE_BYTES) as usize) };
            Ok(())
        }
    }

    #[global_allocator]
    static HEAP: TalcLock<spin::Mutex<()>, Frames> = TalcLock::new(Frames);
}
