//! A bounded queue that one dispatcher fills and empties, and from which others may steal.
//!
//! First in, first out, for thieves as well: whoever moves `head` on owns what was there. Both numbers
//! only grow, so a comparison never mistakes a used place for the one it has looked at.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::primitives::{AtomicPtr, AtomicU64};

/// See the module. `N` is a power of two.
#[derive(Debug)]
#[repr(C)]
pub struct Ring<T, const N: usize> {
    head: AtomicU64,
    tail: AtomicU64,
    places: [AtomicPtr<T>; N],
}

#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
impl<T, const N: usize> Ring<T, N> {
    /// Offset of the number of the oldest item.
    pub const HEAD: usize = core::mem::offset_of!(Self, head);
    /// Offset of the number after the newest item.
    pub const TAIL: usize = core::mem::offset_of!(Self, tail);
    /// Offset of the places; an item is at its number modulo `N`.
    pub const PLACES: usize = core::mem::offset_of!(Self, places);
}

impl<T, const N: usize> Ring<T, N> {
    /// A queue of these words, which hold zero and null.
    pub const fn new(head: AtomicU64, tail: AtomicU64, places: [AtomicPtr<T>; N]) -> Self {
        assert!(N.is_power_of_two());
        Self { head, tail, places }
    }

    #[inline(always)]
    fn place(&self, number: u64) -> &AtomicPtr<T> {
        &self.places[number as usize & (N - 1)]
    }

    /// Adds `item`, if there is room. Only the owner may.
    #[inline(always)]
    pub fn push(&self, item: *mut T) -> bool {
        let tail = self.tail.load(Relaxed);
        // Who freed a place has read it before.
        if tail.wrapping_sub(self.head.load(Acquire)) >= N as u64 {
            return false;
        }
        self.place(tail).store(item, Relaxed);
        self.tail.store(tail.wrapping_add(1), Release);
        true
    }

    /// Takes the oldest item; null if there is none.
    #[inline(always)]
    pub fn pop(&self) -> *mut T {
        loop {
            let head = self.head.load(Acquire);
            if head == self.tail.load(Acquire) {
                return null_mut();
            }
            let item = self.place(head).load(Relaxed);
            if self
                .head
                .compare_exchange(head, head.wrapping_add(1), AcqRel, Relaxed)
                .is_ok()
            {
                return item;
            }
        }
    }

    /// How many items there are; to another than the owner, how many there were.
    #[inline(always)]
    pub fn length(&self) -> usize {
        let head = self.head.load(Acquire);
        self.tail.load(Acquire).saturating_sub(head) as usize
    }
}
