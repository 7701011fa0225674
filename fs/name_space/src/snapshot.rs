//! Bytes that are replaced as a whole now and then, and read without a lock.
//!
//! There are two copies, used in turn, and a version whose parity says which one counts. A writer announces
//! the version that it makes before it touches the other copy, and shows it afterwards. Who has read a
//! copy looks whether a version was announced since that uses the same one, and reads again then. So
//! readers write nothing, and wait for no writer who is stopped half-way.

use super::primitives::{AtomicU64, Ordering, fence};

/// Up to `8 * WORDS` bytes with a version.
#[derive(Debug)]
pub struct Snapshot<const WORDS: usize> {
    /// The newest version of which something was written.
    announced: AtomicU64,
    /// The newest version that is complete.
    shown: AtomicU64,
    copies: [Contents<WORDS>; 2],
}

#[derive(Debug)]
struct Contents<const WORDS: usize> {
    bytes: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Contents<WORDS> {
    fn new() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            words: core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl<const WORDS: usize> Snapshot<WORDS> {
    /// No bytes, of that version.
    pub fn new(version: u64) -> Self {
        Self {
            announced: AtomicU64::new(version),
            shown: AtomicU64::new(version),
            copies: [Contents::new(), Contents::new()],
        }
    }

    /// The version that counts.
    #[inline(always)]
    pub fn version(&self) -> u64 {
        self.shown.load(Ordering::Acquire)
    }

    /// Makes `bytes` the next version; what does not fit is cut off. Only one may do so at a time.
    pub fn replace(&self, bytes: &[u8]) {
        let next = self.shown.load(Ordering::Relaxed).wrapping_add(1);
        self.announced.store(next, Ordering::Relaxed);
        // Whoever sees one of the stores below sees the one above.
        fence(Ordering::Release);
        let copy = self.copy(next);
        let bytes = bytes.get(..8 * WORDS).unwrap_or(bytes);
        copy.bytes.store(bytes.len() as u64, Ordering::Relaxed);
        for (word, chunk) in copy.words.iter().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            for (to, from) in padded.iter_mut().zip(chunk) {
                *to = *from;
            }
            word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
        }
        self.shown.store(next, Ordering::Release);
    }

    /// Copies the bytes that count to `answer`: their number and version, or `None` if they do not fit.
    pub fn read(&self, answer: &mut [u8]) -> Option<(usize, u64)> {
        loop {
            if let Some(read) = self.try_read(answer) {
                return read;
            }
            core::hint::spin_loop();
        }
    }

    /// The same, or `None` if the copy that counted was written to meanwhile.
    pub(crate) fn try_read(&self, answer: &mut [u8]) -> Option<Option<(usize, u64)>> {
        let version = self.shown.load(Ordering::Acquire);
        let length = self.copy(version).read(answer);
        fence(Ordering::Acquire);
        // The next version may be under way: that is in the other copy.
        let announced = self.announced.load(Ordering::Relaxed);
        (announced.wrapping_sub(version) <= 1).then(|| length.map(|length| (length, version)))
    }

    fn copy(&self, version: u64) -> &Contents<WORDS> {
        let [even, odd] = &self.copies;
        if version.is_multiple_of(2) { even } else { odd }
    }
}

impl<const WORDS: usize> Contents<WORDS> {
    /// What is here now, which may be half of one version and half of another.
    fn read(&self, answer: &mut [u8]) -> Option<usize> {
        let length = self.bytes.load(Ordering::Relaxed) as usize;
        let room = answer.get_mut(..length)?;
        for (chunk, word) in room.chunks_mut(8).zip(&self.words) {
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        Some(length)
    }
}
