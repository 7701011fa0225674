//! Bytes on their way out: what the device does not take at once waits in a ring.
//!
//! One lock holds the ring and the right to feed the device, so bytes leave in the order in which
//! they were taken, whichever processor wrote them. Nothing goes to the device directly while
//! bytes wait. Whoever found the ring full is told when there is room for a message again. Only
//! [`Output::write_through`] and [`Output::drain`] wait, and count how often they ask.

#![forbid(unsafe_code)]

use kiln_object::call::MESSAGE_BYTES;
use spin::{Mutex, MutexGuard};

use super::ConsoleDevice;
use super::ring::Ring;

/// Bytes that can wait for the device: two messages, so that one fits when half has left.
pub(super) const RING_BYTES: usize = 2 * MESSAGE_BYTES;

/// Room in the ring at which those who wait for it are told.
const ENOUGH: usize = RING_BYTES / 2;

/// Most bytes that go to the device in one go, with interrupts off. An emulated device needs most of
/// a microsecond for each, but also much longer for an interrupt, so a message should need none.
const AT_ONCE: usize = MESSAGE_BYTES;

/// Askings, about a microsecond each, after which a device is taken to be stuck for now: even a
/// slow line empties its queue in some milliseconds.
const PATIENCE: u32 = 20_000;

/// The same for the machine's end, where giving up loses bytes for good: about half a minute.
pub(super) const LAST_PATIENCE: u32 = 50_000_000;

/// Tries for the lock by those who must not be held up by a processor that was stopped.
const LOCK_PATIENCE: u32 = 1_000_000;

/// The way out.
pub(super) struct Output(Mutex<State>);

struct State {
    ring: Ring<RING_BYTES>,
    /// Bit for each processor whose writer waits for room.
    waiting: u64,
}

/// What feeding the device has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fed {
    /// Bytes still wait for the device.
    pub(super) waits: bool,
    /// Processors, by bits, that waited for room and have it now.
    pub(super) tell: u64,
}

impl State {
    /// Sends the oldest bytes that wait, `most` of them, as far as the device takes them; returns
    /// how many went.
    fn feed(&mut self, device: &dyn ConsoleDevice, most: usize) -> usize {
        let mut sent = 0;
        loop {
            let piece = self.ring.oldest();
            let (piece, _) = piece.split_at(piece.len().min(most - sent));
            if piece.is_empty() {
                return sent;
            }
            let count = device.send(piece).min(piece.len());
            let stopped = count < piece.len();
            self.ring.discard(count);
            sent += count;
            if stopped {
                return sent;
            }
        }
    }

    /// Sends, or keeps as far as there is room; returns how many bytes were taken.
    fn accept(&mut self, device: &dyn ConsoleDevice, bytes: &[u8]) -> usize {
        let fed = self.feed(device, AT_ONCE);
        let mut taken = 0;
        if self.ring.used() == 0 {
            let (piece, _) = bytes.split_at(bytes.len().min(AT_ONCE - fed));
            taken = device.send(piece).min(piece.len());
        }
        let (_, rest) = bytes.split_at(taken);
        taken + self.ring.extend(rest)
    }

    /// Tells the device whether bytes wait; answers who can be told of room.
    fn settle(&mut self, device: &dyn ConsoleDevice) -> Fed {
        let waits = self.ring.used() > 0;
        device.announce_room(waits);
        let tell = if self.ring.room() >= ENOUGH {
            core::mem::take(&mut self.waiting)
        } else {
            0
        };
        Fed { waits, tell }
    }

    /// Sends all that waits, as long as the device takes some before `patience` ends; false if it
    /// does not.
    fn flush(&mut self, device: &dyn ConsoleDevice, patience: u32) -> bool {
        while self.ring.used() > 0 {
            if self.feed(device, RING_BYTES) == 0 && !wait(patience, || device.has_room()) {
                return false;
            }
        }
        true
    }
}

impl Output {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State {
            ring: Ring::new(),
            waiting: 0,
        }))
    }

    /// Takes bytes for the device; returns how many. If that is none, `processor` will be told when
    /// there is room, unless it writes something before.
    pub(super) fn write(
        &self,
        device: &dyn ConsoleDevice,
        bytes: &[u8],
        processor: Option<u32>,
    ) -> (usize, Fed) {
        let mut state = self.0.lock();
        let taken = state.accept(device, bytes);
        let bit = processor.and_then(|number| 1_u64.checked_shl(number));
        if taken == 0 && !bytes.is_empty() {
            state.waiting |= bit.unwrap_or(0);
        } else {
            state.waiting &= !bit.unwrap_or(0);
        }
        let fed = state.settle(device);
        (taken, fed)
    }

    /// Gives the device what it takes now.
    pub(super) fn feed(&self, device: &dyn ConsoleDevice) -> Fed {
        let mut state = self.0.lock();
        state.feed(device, AT_ONCE);
        state.settle(device)
    }

    /// Sends bytes after all that waits, and returns when they are with the device. One that is
    /// stuck gets them later, as far as the ring has room for them.
    ///
    /// May be called from anywhere, even while this processor holds the lock: then these bytes
    /// overtake others.
    pub(super) fn write_through(&self, device: &dyn ConsoleDevice, bytes: &[u8]) {
        let mut state = self.lock_with_patience();
        if let Some(state) = &mut state
            && !state.flush(device, PATIENCE)
        {
            state.ring.extend(bytes);
            device.announce_room(true);
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = device.send(rest).min(rest.len());
            (_, rest) = rest.split_at(sent);
            if sent == 0 && !wait(PATIENCE, || device.has_room()) {
                break;
            }
        }
        if let Some(state) = &mut state
            && state.ring.extend(rest) > 0
        {
            device.announce_room(true);
        }
    }

    /// Waits until everything has left the device, or `patience` ends without a byte moving; true
    /// if everything has.
    pub(super) fn drain(&self, device: &dyn ConsoleDevice, patience: u32) -> bool {
        // The machine ends: if the lock's holder was stopped, nobody knows what the ring holds.
        self.lock_with_patience()
            .is_none_or(|mut state| state.flush(device, patience))
            && wait(patience, || device.is_idle())
    }

    fn lock_with_patience(&self) -> Option<MutexGuard<'_, State>> {
        for _ in 0..LOCK_PATIENCE {
            let state = self.0.try_lock();
            if state.is_some() {
                return state;
            }
            core::hint::spin_loop();
        }
        None
    }
}

/// Asks until `condition` holds, `patience` times at most; false if it never did.
fn wait(patience: u32, condition: impl Fn() -> bool) -> bool {
    (0..patience).any(|_| condition())
}

#[cfg(test)]
mod tests;
