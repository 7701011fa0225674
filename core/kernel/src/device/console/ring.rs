//! Bytes that wait, first in, first out, in a bounded place.

#![forbid(unsafe_code)]

/// A queue of at most `BYTES` bytes.
pub(super) struct Ring<const BYTES: usize> {
    bytes: [u8; BYTES],
    first: usize,
    used: usize,
}

impl<const BYTES: usize> Ring<BYTES> {
    /// Without a byte.
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; BYTES],
            first: 0,
            used: 0,
        }
    }

    /// How many bytes wait.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many more fit.
    pub(super) fn room(&self) -> usize {
        BYTES - self.used
    }

    /// Adds as many of `bytes` as fit; returns how many.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        let (taken, _) = bytes.split_at(count);
        let start = (self.first + self.used) % BYTES;
        let (at_end, at_start) = taken.split_at(count.min(BYTES - start));
        self.bytes[start..][..at_end.len()].copy_from_slice(at_end);
        self.bytes[..at_start.len()].copy_from_slice(at_start);
        self.used += count;
        count
    }

    /// The oldest bytes, as far as they lie together: none only if there are none.
    pub(super) fn oldest(&self) -> &[u8] {
        let end = BYTES.min(self.first + self.used);
        &self.bytes[self.first..end]
    }

    /// Forgets the oldest `count` bytes, or all if there are fewer.
    pub(super) fn discard(&mut self, count: usize) {
        let count = count.min(self.used);
        self.first = (self.first + count) % BYTES;
        self.used -= count;
    }

    /// Moves the oldest bytes to `into`; returns how many.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let mut count = 0;
        while count < into.len() && self.used > 0 {
            let piece = self.oldest();
            let length = piece.len().min(into.len() - count);
            into[count..][..length].copy_from_slice(&piece[..length]);
            self.discard(length);
            count += length;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        /// Against the standard library's queue: `true` adds that many bytes, `false` takes them.
        #[test]
        fn is_a_queue(steps in prop::collection::vec((any::<bool>(), 0usize..40), 0..60)) {
            let mut ring = Ring::<32>::new();
            let mut model: VecDeque<u8> = VecDeque::new();
            let mut next = 0_u8;
            for (add, count) in steps {
                if add {
                    let bytes: Vec<u8> = (0..count).map(|step| next.wrapping_add(step as u8)).collect();
                    let taken = ring.extend(&bytes);
                    prop_assert_eq!(taken, count.min(32 - model.len()));
                    model.extend(&bytes[..taken]);
                    next = next.wrapping_add(taken as u8);
                } else {
                    let mut bytes = vec![0; count];
                    let taken = ring.take(&mut bytes);
                    prop_assert_eq!(taken, count.min(model.len()));
                    let expected: Vec<u8> = model.drain(..taken).collect();
                    prop_assert_eq!(&bytes[..taken], &expected[..]);
                }
                prop_assert_eq!(ring.used(), model.len());
                prop_assert_eq!(ring.room(), 32 - model.len());
                prop_assert_eq!(ring.oldest().is_empty(), model.is_empty());
            }
        }
    }
}
