//! The console as a stream: standard input that is a pipe at the other end.
//!
//! The byte DLE (0x10) escapes: DLE EOT (0x04) is the end of the stream, DLE DLE one DLE. Any other
//! byte after DLE stands for itself, so that a lost escape loses one byte and no more.

use alloc::collections::VecDeque;

const ESCAPE: u8 = 0x10;
const END: u8 = 0x04;

/// Decodes the escaped stream.
#[derive(Debug)]
pub struct InputStream {
    ready: VecDeque<u8>,
    escaped: bool,
    ended: bool,
}

/// Bytes that are decoded ahead of the reader at most.
const QUEUE_BYTES: usize = 64 << 10;

impl InputStream {
    /// A stream at its start.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            escaped: false,
            ended: false,
        }
    }

    /// Whether more bytes should be taken from the device.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !self.ended && self.ready.len() < QUEUE_BYTES
    }

    /// Takes bytes from the device; those after the end are dropped.
    pub fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.ended {
                return;
            }
            match (core::mem::take(&mut self.escaped), *byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, END) => self.ended = true,
                (_, byte) => self.ready.push_back(byte),
            }
        }
    }

    /// Bytes that a read could take now.
    #[must_use]
    pub fn available(&self) -> usize {
        self.ready.len()
    }

    /// Whether a read would not wait.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.ended || !self.ready.is_empty()
    }

    /// Whether the end was reached and everything read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// Takes what there is; `None` if nothing is there yet, 0 at the end.
    pub fn take(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let count = self.ready.len().min(bytes.len());
        if count == 0 && !self.ended {
            return None;
        }
        for (place, byte) in bytes.iter_mut().zip(self.ready.drain(..count)) {
            *place = byte;
        }
        Some(count)
    }
}

impl Default for InputStream {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn escape(bytes: &[u8]) -> Vec<u8> {
        let mut escaped = Vec::new();
        for byte in bytes {
            if *byte == ESCAPE {
                escaped.push(ESCAPE);
            }
            escaped.push(*byte);
        }
        escaped.extend([ESCAPE, END]);
        escaped
    }

    #[test]
    fn waits_until_something_comes() {
        let mut stream = InputStream::new();
        let mut bytes = [0; 8];
        assert_eq!(stream.take(&mut bytes), None);
        stream.receive(&[ESCAPE]);
        assert!(!stream.is_readable());
        stream.receive(&[END]);
        assert_eq!(stream.take(&mut bytes), Some(0));
        assert!(stream.is_finished());
    }

    proptest! {
        #[test]
        fn any_bytes_come_through(bytes: Vec<u8>, pieces in 1usize..9) {
            let mut stream = InputStream::new();
            for piece in escape(&bytes).chunks(pieces) {
                stream.receive(piece);
            }
            let mut read: Vec<u8> = Vec::new();
            let mut buffer = [0; 7];
            while let Some(count) = stream.take(&mut buffer).filter(|count| *count > 0) {
                read.extend(&buffer[..count]);
            }
            prop_assert_eq!(read, bytes);
            prop_assert!(stream.is_finished());
        }
    }
}
