//! Reads a ring while its writer goes on.
//!
//! A piece of the ring is copied twice. In the first copy an event's number says that it was written
//! whole; the second, taken afterwards, has it whole unless the place was reserved anew meanwhile,
//! which the position says that is read last. What is no longer there counts as lost.

use kiln_object::trace::ring::is_kept;
use kiln_object::trace::{EVENT_BYTES, Event};

use super::directory::RingPlace;
use crate::run::Memory;

/// Looks for which an event is waited for that its writer has begun. A processor may be stopped in the
/// middle of one by the host, and then writes no others; a process's thread by other threads, which do.
pub(super) const PATIENCE: u32 = 100;

/// Events that are copied at once.
const PIECE: u64 = 4096;

/// How far a ring has been read.
#[derive(Debug, Clone)]
pub struct RingReader {
    place: RingPlace,
    /// The next event to read, counted from 0.
    next: u64,
    /// Looks that ended at the next event because it was not written yet.
    waited: u32,
    /// Events that could not be read in time.
    pub lost: u64,
    copies: [Vec<u8>; 2],
}

impl RingReader {
    /// A reader at the ring's start.
    pub fn new(place: RingPlace) -> Self {
        Self {
            place,
            next: 0,
            waited: 0,
            lost: 0,
            copies: [Vec::new(), Vec::new()],
        }
    }

    /// Hands every new event to `each`, in order.
    pub fn drain(&mut self, memory: &dyn Memory, mut each: impl FnMut(Event)) {
        let Some(written) = memory.word(self.place.position) else {
            return;
        };
        if written < self.next {
            // Only a spoiled ring goes back.
            self.next = written;
            return;
        }
        let first = self.next.max(written.saturating_sub(self.place.events));
        self.lost = self.lost.saturating_add(first - self.next);
        self.next = first;
        while self.next < written {
            let end = self.piece_end(written);
            if !self.copy(memory, end) {
                return;
            }
            let Some(reserved) = memory.word(self.place.position) else {
                return;
            };
            if !self.take(end, reserved, &mut each) {
                return;
            }
        }
    }

    /// The end of the piece that begins at the next event: it lies together in memory.
    fn piece_end(&self, written: u64) -> u64 {
        let until_wrap = self.place.events - self.next % self.place.events;
        written.min(self.next.saturating_add(until_wrap.min(PIECE)))
    }

    fn copy(&mut self, memory: &dyn Memory, end: u64) -> bool {
        let bytes = EVENT_BYTES as u64;
        let offset = self.next % self.place.events * bytes;
        let Some(at) = self.place.address.checked_add(offset) else {
            return false;
        };
        let length = ((end - self.next) * bytes) as usize;
        self.copies.iter_mut().all(|copy| {
            copy.resize(length, 0);
            memory.read(at, copy)
        })
    }

    /// Takes the copied events; false if one is not written yet, to be tried again at the next look.
    fn take(&mut self, end: u64, reserved: u64, each: &mut impl FnMut(Event)) -> bool {
        let [first, second] = &self.copies;
        let (first, second) = (first.as_chunks().0, second.as_chunks().0);
        for (index, (first, second)) in (self.next..end).zip(first.iter().zip(second)) {
            let number = index.wrapping_add(1) as u32;
            let event = Event::from_bytes(second);
            let is_whole = Event::from_bytes(first).sequence == number && event.sequence == number;
            let is_kept = is_kept(index, self.place.events, reserved);
            if is_whole && is_kept {
                each(event);
                self.waited = 0;
            } else if is_kept && self.waited < PATIENCE {
                self.waited += 1;
                self.next = index;
                return false;
            } else {
                self.waited = 0;
                self.lost = self.lost.saturating_add(1);
            }
        }
        self.next = end;
        true
    }
}
