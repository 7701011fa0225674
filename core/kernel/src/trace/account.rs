//! What one processor keeps for one process: counters, and the ring of events.
//!
//! Only that processor writes it, in the kernel, which is not interrupted; whoever else reads it
//! reads atomics.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use kiln_object::trace::directory::{COUNTERS, Counter};
use kiln_object::trace::ring::Slot;
use kiln_object::trace::{EVENT_BYTES, Event};

use crate::memory::direct;
use crate::memory::frames::Frame;

const _: () = assert!(size_of::<Slot>() == EVENT_BYTES);

/// Where events go that there is no ring for.
static NOWHERE: Shared = Shared(UnsafeCell::new(MaybeUninit::zeroed()));

struct Shared(UnsafeCell<MaybeUninit<Slot>>);

// SAFETY: a slot is atomics, for which zero is a value; nobody reads this one.
unsafe impl Sync for Shared {}

/// Counters and ring of a process on a processor, or of a processor without one.
#[derive(Debug)]
#[repr(C)]
pub struct Account {
    counters: [AtomicU64; COUNTERS],
    position: AtomicU64,
    mask: AtomicU64,
    slots: AtomicPtr<Slot>,
}

/// Offsets in an account, for [`record`](super::record) and the straight line of a call.
pub mod offset {
    use super::Account;

    /// Events so far.
    pub const POSITION: usize = core::mem::offset_of!(Account, position);
    /// Places less one.
    pub const MASK: usize = core::mem::offset_of!(Account, mask);
    /// Address of the places.
    pub const SLOTS: usize = core::mem::offset_of!(Account, slots);
}

impl Account {
    /// One without a ring: its events are lost.
    pub(crate) const fn new() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            position: AtomicU64::new(0),
            mask: AtomicU64::new(0),
            slots: AtomicPtr::new(NOWHERE.0.get().cast()),
        }
    }

    /// Offset of a counter, for the straight line of a call.
    pub(crate) const fn counter_offset(counter: Counter) -> usize {
        core::mem::offset_of!(Account, counters) + 8 * counter as usize
    }

    fn has_ring(&self) -> bool {
        !core::ptr::eq(self.slots.load(Ordering::Acquire), NOWHERE.0.get().cast())
    }

    /// Counts one more; only the account's own processor does.
    #[inline(always)]
    pub fn count(&self, counter: Counter) {
        let counter = &self.counters[counter as usize];
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// How often that was counted; any processor may ask.
    #[must_use]
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Notes that the process was started again.
    pub fn set_alive(&self) {
        self.counters[Counter::Ended as usize].store(0, Ordering::Relaxed);
    }

    /// Notes on any processor that the process has ended.
    pub fn set_ended(&self) {
        self.counters[Counter::Ended as usize].store(1, Ordering::Relaxed);
    }

    /// Gives it a ring of `events` places, a power of two, in zeroed memory that is its own for good.
    pub(super) fn furnish(&self, first: Frame, events: u64) {
        self.mask.store(events - 1, Ordering::Relaxed);
        self.slots.store(first.pointer().cast(), Ordering::Release);
    }

    /// Events written so far.
    pub(super) fn written(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// The event of that number, if it is still there.
    pub(super) fn read(&self, index: u64) -> Option<Event> {
        let slots = self.slots.load(Ordering::Acquire);
        if !self.has_ring() {
            return None;
        }
        let mask = self.mask.load(Ordering::Relaxed);
        // SAFETY: the ring was given for good and has `mask + 1` places, all of them atomics.
        let slot = unsafe { &*slots.add((index & mask) as usize) };
        slot.read(index, mask + 1, &self.position)
            .map(Event::from_words)
    }

    /// Where the counters lie, and the ring with its position and size, as a directory tells it.
    pub(super) fn addresses(&self) -> [u64; 4] {
        let (slots, events) = if self.has_ring() {
            let slots = self.slots.load(Ordering::Acquire) as u64;
            (slots - direct(0), self.mask.load(Ordering::Relaxed) + 1)
        } else {
            (0, 0)
        };
        [
            physical(self.counters.as_ptr()),
            slots,
            physical(&self.position),
            events,
        ]
    }
}

/// The physical address of something of the kernel's: in its heap or its image.
pub(super) fn physical<T>(thing: *const T) -> u64 {
    if thing as u64 >= crate::memory::KERNEL_BASE {
        crate::boot::physical_of(thing.cast())
    } else {
        (thing as u64).wrapping_sub(direct(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ring_nothing_is_kept() {
        let account = Account::new();
        assert_eq!(account.written(), 0);
        assert_eq!(
            account.addresses()[1..],
            [0, physical(&account.position), 0]
        );
        assert_eq!(account.read(0), None);
        account.count(Counter::Faults);
        account.count(Counter::Faults);
        assert_eq!(account.counted(Counter::Faults), 2);
    }
}
