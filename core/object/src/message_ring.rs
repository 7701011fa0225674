//! The ring of one-way messages to a dispatcher: the kernel fills it, the process empties it.
//!
//! Any processor may add a message; the process takes them out one by one, in the order in which they
//! were added. A place is reserved by the kernel's own count, which the process never sees, and
//! handed over by the message's number, written last. The process says how far it has read: a wrong
//! word there lets the kernel refuse messages or overwrite some, and hurts nobody else.

use core::mem::offset_of;

use super::call::CALL_WORDS;
use super::primitives::{AtomicU64, Ordering, fence};

/// Messages that can wait.
pub const MESSAGES: usize = 32;

/// Words of a message.
const WORDS: usize = 3 + CALL_WORDS;

/// A one-way message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it, by the kernel's word, in raw form.
    pub caller: u64,
    /// The object that it is for, in raw form: the sender's word.
    pub object: u64,
    /// The method's number.
    pub method: u16,
    /// Argument words.
    pub words: [u64; CALL_WORDS],
}

/// There is no room: the receiver has not read what was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Debug)]
#[repr(C)]
struct Place {
    /// The number of the message that it holds, from 1; 0 for none.
    number: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// The ring: the start of a page.
#[derive(Debug)]
#[repr(C)]
pub struct MessageRing<const N: usize = MESSAGES> {
    /// Messages that were read.
    read: AtomicU64,
    /// Not zero if somebody waits for room.
    wanted: AtomicU64,
    places: [Place; N],
}

/// Offsets in a [`MessageRing`] for assembly; those of a message are of the first place.
pub mod offset {
    use super::{MessageRing, Place, offset_of};

    /// How many messages were read.
    pub const READ: usize = offset_of!(MessageRing, read);
    const PLACES: usize = offset_of!(MessageRing, places);
    /// From one place to the next.
    pub const PLACE_BYTES: usize = size_of::<Place>();
    /// The message's number.
    pub const NUMBER: usize = PLACES + offset_of!(Place, number);
    /// Who sent it.
    pub const CALLER: usize = PLACES + offset_of!(Place, words);
    /// The object that it is for.
    pub const OBJECT: usize = CALLER + 8;
    /// The method's number.
    pub const METHOD: usize = CALLER + 16;
    /// Argument words.
    pub const WORDS: usize = CALLER + 24;
}

const _: () = assert!(16 + MESSAGES * 8 * (1 + WORDS) <= 4096);

impl<const N: usize> Default for MessageRing<N> {
    fn default() -> Self {
        Self {
            read: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            places: core::array::from_fn(|_| Place {
                number: AtomicU64::new(0),
                words: core::array::from_fn(|_| AtomicU64::new(0)),
            }),
        }
    }
}

impl<const N: usize> MessageRing<N> {
    /// Adds a message. `sent` counts those that were; it is the sending side's own.
    ///
    /// # Errors
    /// [`Full`]; then nothing was added.
    #[inline(always)]
    pub fn send(&self, sent: &AtomicU64, message: &Message) -> Result<(), Full> {
        let mut number = sent.load(Ordering::Relaxed);
        loop {
            // Also if the process claims to have read what was never sent.
            if number.wrapping_sub(self.read.load(Ordering::Acquire)) >= N as u64 {
                return Err(Full);
            }
            match sent.compare_exchange(
                number,
                number.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => number = now,
            }
        }
        let place = &self.places[(number % N as u64) as usize];
        place.words[0].store(message.caller, Ordering::Relaxed);
        place.words[1].store(message.object, Ordering::Relaxed);
        place.words[2].store(u64::from(message.method), Ordering::Relaxed);
        for (to, from) in place.words[3..].iter().zip(&message.words) {
            to.store(*from, Ordering::Relaxed);
        }
        place
            .number
            .store(number.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Says that somebody waits for room. Who then finds that there still is none will be told of by
    /// [`MessageRing::take_want`] after a later [`MessageRing::receive`].
    pub fn want(&self) {
        self.wanted.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether somebody has waited for room since the last time. The receiver asks when it has emptied
    /// the ring, and may ask before.
    pub fn take_want(&self) -> bool {
        fence(Ordering::SeqCst);
        self.wanted.load(Ordering::Relaxed) != 0 && self.wanted.swap(0, Ordering::Acquire) != 0
    }

    /// Whether there is a message; only a hint to anyone but the receiving thread.
    pub fn has_message(&self) -> bool {
        let read = self.read.load(Ordering::Relaxed);
        let place = &self.places[(read % N as u64) as usize];
        place.number.load(Ordering::Acquire) == read.wrapping_add(1)
    }

    /// Takes the oldest message out; one thread at a time does.
    pub fn receive(&self) -> Option<Message> {
        let read = self.read.load(Ordering::Relaxed);
        let place = &self.places[(read % N as u64) as usize];
        if place.number.load(Ordering::Acquire) != read.wrapping_add(1) {
            return None;
        }
        let word = |index: usize| place.words[index].load(Ordering::Relaxed);
        let message = Message {
            caller: word(0),
            object: word(1),
            method: word(2) as u16,
            words: core::array::from_fn(|index| word(3 + index)),
        };
        // The place may be filled again from now on.
        self.read.store(read.wrapping_add(1), Ordering::Release);
        Some(message)
    }
}
