//! The heap of servers that live in the kernel: apart from the kernel's own, which is bounded.
//!
//! A server's memory is a server's, wherever it lives: it may grow as long as the machine has pages
//! for servers. So it has an address range of its own, and what is freed there is told by its address.

use core::alloc::Layout;

use talc::TalcLock;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

use crate::memory::kernel_space::{self, HOME_BASE, HOME_BYTES};
use crate::memory::{PAGE_BYTES, frames, frames::Purpose};
use crate::processor::{PerCpu, is_initialised};

/// Least number of bytes that the heap grows by.
const STEP_BYTES: u64 = 64 << 10;

/// What talc may add to a request for its own words, and for its bins at first.
const OVERHEAD_BYTES: usize = 4096;

/// The heap.
pub(crate) static HEAP: TalcLock<spin::Mutex<()>, Growing> = TalcLock::new(Growing {
    next: HOME_BASE,
    end: None,
});

/// A range of the kernel's address space of which a part has pages.
#[derive(Debug)]
pub(crate) struct Growing {
    next: u64,
    end: Option<core::ptr::NonNull<u8>>,
}

// SAFETY: the pointer is the end of a range that belongs to the heap alone.
unsafe impl Send for Growing {}

// SAFETY: memory comes from the frame allocator, which never uses the heap; nothing here touches the
// heap's own lock.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let Growing { next, end } = talc.source;
        let need = layout
            .size()
            .checked_add(layout.align())
            .and_then(|bytes| bytes.checked_add(OVERHEAD_BYTES))
            .and_then(|bytes| {
                (bytes as u64)
                    .max(STEP_BYTES)
                    .checked_next_multiple_of(PAGE_BYTES)
            })
            .filter(|need| *need <= HOME_BASE + HOME_BYTES - next)
            .ok_or(())?;
        if frames::spare_pages(Purpose::Server) < need / PAGE_BYTES {
            return Err(());
        }
        // What was mapped before the pages ran out is mapped again the next time.
        if !kernel_space::map(next, need / PAGE_BYTES, Purpose::Server) {
            return Err(());
        }
        let start = core::ptr::with_exposed_provenance_mut::<u8>(next as usize);
        let stop = core::ptr::with_exposed_provenance_mut::<u8>((next + need) as usize);
        // SAFETY: `next..next + need` was just mapped, is inside the range that belongs to the heap
        // alone, was not given to the allocator before, and adjoins what was.
        let claimed = unsafe {
            match end {
                Some(end) => Some(talc.extend(end, stop)),
                None => talc.claim(start, need as usize),
            }
        };
        talc.source.end = Some(claimed.ok_or(())?);
        talc.source.next = next + need;
        Ok(())
    }
}

/// Whether `block` is of this heap.
#[inline]
pub(crate) fn owns(block: *mut u8) -> bool {
    (block as u64).wrapping_sub(HOME_BASE) < HOME_BYTES
}

/// Whether this CPU runs a server's code, whose memory is from this heap.
#[inline]
pub(crate) fn serving() -> bool {
    is_initialised() && PerCpu::here().serving.get()
}

/// While it is there, this CPU runs a server's code, or the kernel's for it; afterwards what it ran
/// before.
#[derive(Debug)]
pub(crate) struct Serving {
    before: bool,
}

impl Serving {
    /// Says whose code runs from now on: the servers' or the kernel's.
    #[inline(always)]
    pub(crate) fn begin(servers: bool) -> Self {
        let before = PerCpu::here().serving.replace(servers);
        Self { before }
    }
}

impl Drop for Serving {
    #[inline(always)]
    fn drop(&mut self) {
        PerCpu::here().serving.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_told_by_their_address() {
        let at = |address: u64| address as *mut u8;
        assert!(owns(at(HOME_BASE)) && owns(at(HOME_BASE + HOME_BYTES - 1)));
        assert!(!owns(at(HOME_BASE - 1)) && !owns(at(HOME_BASE + HOME_BYTES)));
        assert!(!owns(core::ptr::null_mut()));
    }
}
