//! The kernel's heap: talc over pages of the frame allocator.

#[cfg(kiln_freestanding)]
mod global {
    use core::alloc::Layout;

    use talc::TalcLock;
    use talc::base::{Talc, binning::Binning};
    use talc::source::Source;

    use super::super::{PAGE_BYTES, frames};

    /// Least number of pages that the heap grows by.
    const GROWTH_PAGES: u64 = 16;

    #[derive(Debug)]
    struct Frames;

    // SAFETY: memory comes from the frame allocator, which never uses the heap; nothing here
    // touches the heap's own lock.
    unsafe impl Source for Frames {
        fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
            // Talc keeps its own words in the chunk, the first one also its bins.
            let bytes = (layout.size() + layout.align() + 4 * PAGE_BYTES as usize) as u64;
            let pages = bytes.div_ceil(PAGE_BYTES).max(GROWTH_PAGES);
            let first = frames::allocate_contiguous(pages).ok_or(())?;
            // SAFETY: the pages are this heap's alone from now on and the direct map covers them.
            unsafe { talc.claim(first.pointer(), (pages * PAGE_BYTES) as usize) };
            Ok(())
        }
    }

    #[global_allocator]
    static HEAP: TalcLock<spin::Mutex<()>, Frames> = TalcLock::new(Frames);
}
