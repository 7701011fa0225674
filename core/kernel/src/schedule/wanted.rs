//! Who is noted at a place where there was no room, and how often room was made there.
//!
//! Whoever finds no room is noted, and then looks once more; whoever makes room then looks whether
//! somebody is noted. So one of the two sees the other. `tests/waiters_model.rs` has all interleavings.

use super::lock::Mutex;
use super::primitives::{AtomicU32, AtomicU64, Ordering, fence};

/// Those who are noted, as a `T`.
pub struct Wanted<T> {
    /// Not zero if anybody is noted.
    any: AtomicU32,
    /// How often room was made for somebody.
    wakes: AtomicU64,
    noted: Mutex<T>,
}

impl<T: Copy> Wanted<T> {
    /// With `nobody`.
    pub fn new(nobody: T) -> Self {
        Self {
            any: AtomicU32::new(0),
            wakes: AtomicU64::new(0),
            noted: Mutex::new(nobody),
        }
    }

    /// Notes somebody by `change`. Afterwards he looks once more; if there still is no room, he waits until
    /// he is told or [`Wanted::wakes`] is no longer what this answers.
    pub fn note(&self, change: impl FnOnce(&mut T)) -> u64 {
        let mut noted = self.noted.lock();
        change(&mut noted);
        // What the caller looks at next, it looks at after this.
        self.any.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.wakes.load(Ordering::Relaxed)
    }

    /// How often room was made for somebody.
    pub fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Acquire)
    }

    /// Whether anybody is noted, asked by whoever has made room: that was stored before, in the one order of
    /// all such accesses.
    #[inline(always)]
    pub fn is_anybody(&self) -> bool {
        self.any.load(Ordering::SeqCst) != 0
    }

    /// Takes out all who are noted, who are told then.
    pub fn take(&self, nobody: T) -> T {
        let mut noted = self.noted.lock();
        self.any.store(0, Ordering::Relaxed);
        self.wakes.fetch_add(1, Ordering::Release);
        core::mem::replace(&mut *noted, nobody)
    }
}
