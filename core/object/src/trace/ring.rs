//! A ring of events: one writer that never waits, readers that take what they find whole.
//!
//! The writer reserves a place by its position, then fills it and says so last with the event's
//! number. So a reader knows by the number that a place was filled, and by the position, read
//! afterwards, that it was not being filled again meanwhile. An interrupted writer leaves a place
//! with an old number, which no reader takes for an event.

use super::primitives::{AtomicU64, Ordering, fence};

/// Room for one event.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    stamp: AtomicU64,
    head: AtomicU64,
    a: AtomicU64,
    b: AtomicU64,
}

impl Slot {
    /// A place that was never filled.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stamp: AtomicU64::new(0),
            head: AtomicU64::new(0),
            a: AtomicU64::new(0),
            b: AtomicU64::new(0),
        }
    }

    /// Fills the place with the event of number `index`, counted from 0, which the writer has just
    /// reserved by making the ring's position greater. `head` is that of [`super::head`].
    #[inline(always)]
    pub fn fill(&self, index: u64, stamp: u64, head: u64, a: u64, b: u64) {
        // Who sees a word of this event must see that the place was reserved.
        fence(Ordering::Release);
        self.stamp.store(stamp, Ordering::Relaxed);
        self.a.store(a, Ordering::Relaxed);
        self.b.store(b, Ordering::Relaxed);
        let number = index.wrapping_add(1) as u32;
        self.head.store(head | u64::from(number), Ordering::Release);
    }

    /// The words of the event of number `index` of a ring of `capacity` places whose `position` is
    /// given; `None` if it is not there, not yet or no longer.
    #[must_use]
    pub fn read(&self, index: u64, capacity: u64, position: &AtomicU64) -> Option<[u64; 4]> {
        let head = self.head.load(Ordering::Acquire);
        if head as u32 != index.wrapping_add(1) as u32 {
            return None;
        }
        let stamp = self.stamp.load(Ordering::Relaxed);
        let a = self.a.load(Ordering::Relaxed);
        let b = self.b.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let reserved = position.load(Ordering::Relaxed);
        is_kept(index, capacity, reserved).then_some([stamp, head, a, b])
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the place of event `index` had not been reserved anew when the position was `reserved`.
#[must_use]
pub const fn is_kept(index: u64, capacity: u64, reserved: u64) -> bool {
    index < reserved && reserved - index <= capacity
}
