//! A bounded queue with many senders and one receiver, which never wait for each other.
//!
//! Each slot has a turn: even while it is empty, odd while it is full, and two more each time
//! round. A sender claims a place by advancing the tail and only then fills the slot, so the
//! receiver may find the next slot still empty although a later one is full: it comes back when
//! that sender announces its message.

use core::cell::Cell;
use core::mem::MaybeUninit;

use super::primitives::{AtomicU64, Ordering, UnsafeCell};

struct Slot<T> {
    turn: AtomicU64,
    content: UnsafeCell<MaybeUninit<T>>,
}

/// The queue, with room for `N` messages, a power of two.
pub struct Mailbox<T, const N: usize> {
    slots: [Slot<T>; N],
    tail: AtomicU64,
    head: Cell<u64>,
}

// SAFETY: `send` may be called by anybody: a slot belongs to the sender who claimed its turn until it
// says that it is full. `receive` is for one processor alone, which its contract demands.
unsafe impl<T: Send, const N: usize> Sync for Mailbox<T, N> {}

/// There is no room for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<T: Copy, const N: usize> Default for Mailbox<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy, const N: usize> Mailbox<T, N> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        const { assert!(N.is_power_of_two()) };
        Self {
            slots: core::array::from_fn(|_| Slot {
                turn: AtomicU64::new(0),
                content: UnsafeCell::new(MaybeUninit::uninit()),
            }),
            tail: AtomicU64::new(0),
            head: Cell::new(0),
        }
    }

    /// Where the message of that number lies, and the turn that its slot has while empty.
    fn place(&self, number: u64) -> (&Slot<T>, u64) {
        let index = number as usize & (N - 1);
        (&self.slots[index], number / N as u64 * 2)
    }

    /// Leaves a message.
    ///
    /// # Errors
    /// [`Full`].
    pub fn send(&self, message: T) -> Result<(), Full> {
        let mut number = self.tail.load(Ordering::Relaxed);
        loop {
            let (slot, empty) = self.place(number);
            let turn = slot.turn.load(Ordering::Acquire);
            if turn == empty {
                match self.tail.compare_exchange_weak(
                    number,
                    number + 1,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        // SAFETY: the place was claimed by this sender, and the receiver does not
                        // look before the turn says that it is full.
                        slot.content
                            .with_mut(|content| unsafe { (*content).write(message) });
                        slot.turn.store(empty + 1, Ordering::Release);
                        return Ok(());
                    }
                    Err(now) => number = now,
                }
            } else if turn < empty {
                return Err(Full);
            } else {
                number = self.tail.load(Ordering::Relaxed);
            }
        }
    }

    /// Takes the oldest message.
    ///
    /// # Safety
    /// Only one processor ever calls this, and not again inside itself.
    pub unsafe fn receive(&self) -> Option<T> {
        let number = self.head.get();
        let (slot, empty) = self.place(number);
        if slot.turn.load(Ordering::Acquire) != empty + 1 {
            return None;
        }
        // SAFETY: the sender has filled the slot and no other will before the next turn.
        let message = slot
            .content
            .with(|content| unsafe { (*content).assume_init() });
        slot.turn.store(empty + 2, Ordering::Release);
        self.head.set(number + 1);
        Some(message)
    }
}
