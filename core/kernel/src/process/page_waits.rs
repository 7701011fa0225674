//! The numbers under which threads of a dispatcher wait for pages.
//!
//! A number is in use from when the dispatcher's own processor takes it until the runtime has taken the
//! bit in the shared page that says that the wait is over. Whoever ends a wait says so in the page first,
//! and then gives the number back; whoever takes one looks the other way round. So no number is taken for
//! a second wait while the runtime can take it for the first. `tests/page_waits_model.rs` has all
//! interleavings.

use super::primitives::{AtomicU64, Ordering};

/// Waits that the kernel has still to end, by bit.
#[derive(Debug)]
pub struct PageWaits(AtomicU64);

impl PageWaits {
    /// None.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes a number that is not in use, `over` being the word of the page; only the dispatcher's own
    /// processor does.
    pub fn begin(&self, over: &AtomicU64) -> Option<u32> {
        let waits = self.0.load(Ordering::Acquire);
        let number = (waits | over.load(Ordering::Acquire)).trailing_ones();
        if number == u64::BITS {
            return None;
        }
        self.0.fetch_or(1 << number, Ordering::Relaxed);
        Some(number)
    }

    /// Gives a number back of which nobody was told.
    pub fn cancel(&self, number: u32) {
        self.0.fetch_and(!(1 << number), Ordering::Release);
    }

    /// Says in the page that the wait of that number is over.
    pub fn end(&self, number: u32, over: &AtomicU64) {
        over.fetch_or(1 << number, Ordering::SeqCst);
        self.0.fetch_and(!(1 << number), Ordering::Release);
    }

    /// The process has ended, and what it waited for ends for nobody.
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
