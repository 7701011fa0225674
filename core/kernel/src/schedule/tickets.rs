//! Flushes that a processor was asked for and has done, as numbers.
//!
//! A flush answers everybody who asked before it began, so that many who ask at once wait for one.

use super::primitives::{AtomicU64, Ordering};

/// The flushes of one processor.
#[derive(Debug)]
pub struct Tickets {
    asked: AtomicU64,
    done: AtomicU64,
}

impl Tickets {
    /// None yet.
    pub fn new() -> Self {
        Self {
            asked: AtomicU64::new(0),
            done: AtomicU64::new(0),
        }
    }

    /// Asks for a flush; answers its number, for [`Tickets::is_done`].
    pub fn take(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Flushes for all who have asked by now, on the processor itself.
    pub fn answer(&self, flush: impl FnOnce()) {
        let asked = self.asked.load(Ordering::Acquire);
        flush();
        self.done.store(asked, Ordering::Release);
    }

    /// Whether the flush of that number, or a later one, is done.
    pub fn is_done(&self, ticket: u64) -> bool {
        self.done.load(Ordering::Acquire) >= ticket
    }
}
