//! Stacks of threads: each at a place of its own, above a page that faults.
//!
//! A place is a thread's for good, with memory or without: so that a stack is mapped by one call of the
//! kernel, which no other processor has to hear of.

/// Bytes of a thread's stack; memory is taken only for pages touched.
pub const STACK_BYTES: usize = 256 << 10;

/// Where a stack is, or can be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its lowest address.
    pub low: usize,
}

impl Place {
    /// The end of the stack, a multiple of 16.
    pub fn top(self) -> usize {
        self.low + STACK_BYTES
    }
}

/// The stack on which a process starts: its lowest address and its end. The host's is unknown.
pub fn of_the_start() -> (usize, usize) {
    use kiln_object::layout::{MAIN_STACK_BYTES, MAIN_STACK_TOP};
    if cfg!(kiln_freestanding) {
        let top = MAIN_STACK_TOP as usize;
        (top - MAIN_STACK_BYTES as usize, top)
    } else {
        (0, usize::MAX)
    }
}

pub use memory::{map, unmap};

#[cfg(kiln_freestanding)]
mod memory {
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection};
    use kiln_object::Error;
    use kiln_object::layout::{PAGE_BYTES, WINDOW_BASE};

    use super::{Place, STACK_BYTES};

    /// The places, from the end: below each stack lies a page that nobody maps.
    const START: u64 = WINDOW_BASE + (32 << 30);
    const END: u64 = WINDOW_BASE + (64 << 30);
    const STEP: u64 = STACK_BYTES as u64 + PAGE_BYTES;

    static LOWEST: AtomicU64 = AtomicU64::new(END);

    /// Maps memory at `place`, or at a new one.
    ///
    /// # Errors
    /// `Exhausted` and what else mapping answers.
    pub fn map(place: Option<Place>) -> Result<Place, Error> {
        if let Some(place) = place {
            return map_at(place.low as u64);
        }
        loop {
            let low = LOWEST.fetch_sub(STEP, Relaxed) - STEP;
            if low < START {
                LOWEST.fetch_add(STEP, Relaxed);
                return Err(Error::Exhausted);
            }
            // Whoever is there already stays there.
            match map_at(low + PAGE_BYTES) {
                Err(Error::Occupied) => {}
                answer => return answer,
            }
        }
    }

    fn map_at(low: u64) -> Result<Place, Error> {
        let protection = Protection::READ | Protection::WRITE;
        crate::address_space().map_anonymous(
            low,
            STACK_BYTES as u64,
            protection.bits(),
            MapFlags::EXACT.bits(),
        )?;
        Ok(Place { low: low as usize })
    }

    /// Gives the memory back; nobody uses the stack any more.
    pub fn unmap(place: Place) -> Result<(), Error> {
        crate::address_space().unmap(place.low as u64, STACK_BYTES as u64)
    }
}

#[cfg(not(kiln_freestanding))]
mod memory {
    use alloc::alloc::{Layout, alloc};

    use kiln_object::Error;

    use super::{Place, STACK_BYTES};

    /// A stack from the host's heap, without a guard.
    pub fn map(_place: Option<Place>) -> Result<Place, Error> {
        let layout = Layout::from_size_align(STACK_BYTES, 4096).map_err(|_| Error::Exhausted)?;
        // SAFETY: a stack has bytes.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            return Err(Error::Exhausted);
        }
        Ok(Place {
            low: memory.expose_provenance(),
        })
    }

    /// The host's stacks stay with their threads.
    pub fn unmap(_place: Place) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}
