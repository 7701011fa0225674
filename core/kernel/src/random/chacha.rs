//! The key stream of ChaCha20 (RFC 8439), with a nonce of zeroes.
//!
//! Its rounds are loops: it is asked for some bytes when the machine starts, and rarely later, so it
//! is to be short. No branch and no address depends on the key.

use core::hint::black_box;

use crate::rolled::one_pass;

/// Bytes of a block.
const BLOCK_BYTES: usize = 64;

/// "expand 32-byte k" (section 2.3).
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The words of each quarter round of a double round: columns, then diagonals.
const QUARTERS: [[u8; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// The word of a block's input at which the key starts, and the number of the block after it.
const KEY: usize = 4;
const NUMBER: usize = 12;

/// The stream of one key, from its start.
pub(super) struct KeyStream {
    /// What the next block is made of (section 2.3). The upper half of the block's number takes the
    /// place of the nonce's first word.
    input: [u32; 16],
    /// The block's words, out of which those bytes have been shifted that were given out.
    block: [u32; 16],
    /// Bytes of the block that were given out.
    used: usize,
}

impl KeyStream {
    /// The stream of a key of zeroes.
    pub(super) const fn new() -> Self {
        let [a, b, c, d] = CONSTANTS;
        Self {
            input: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            block: [0; 16],
            used: BLOCK_BYTES,
        }
    }

    /// Becomes the stream of `key`.
    pub(super) fn set_key(&mut self, key: &[u8; 32]) {
        let words = self.input.iter_mut().skip(KEY);
        for (word, bytes) in words.zip(key.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        (self.input[NUMBER], self.input[NUMBER + 1]) = (0, 0);
        self.used = BLOCK_BYTES;
    }

    /// Fills `bytes` with what comes next; the same is never given out twice.
    #[inline(never)]
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used >= BLOCK_BYTES {
                self.next_block();
            }
            let word = &mut self.block[(self.used / 4) & 15];
            *byte = *word as u8;
            *word >>= 8;
            self.used += 1;
        }
    }

    fn next_block(&mut self) {
        self.block = self.input;
        // Loops over numbers that the compiler does not know: one copy of the code for all.
        for round in 0..black_box(10 * QUARTERS.len()) {
            quarter_round(&mut self.block, &QUARTERS[round % QUARTERS.len()]);
        }
        for place in 0..black_box(16) {
            one_pass();
            let word = &mut self.block[place & 15];
            *word = word.wrapping_add(self.input[place & 15]);
        }
        let (low, carried) = self.input[NUMBER].overflowing_add(1);
        self.input[NUMBER] = low;
        self.input[NUMBER + 1] = self.input[NUMBER + 1].wrapping_add(u32::from(carried));
        self.used = 0;
    }
}

/// Section 2.1.
#[inline(never)]
fn quarter_round(state: &mut [u32; 16], places: &[u8; 4]) {
    let [a, b, c, d] = places.map(|place| usize::from(place & 15));
    for (first, second, third, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[first] = state[first].wrapping_add(state[second]);
        state[third] = (state[third] ^ state[first]).rotate_left(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn stream(key: [u8; 32], bytes: usize) -> Vec<u8> {
        let mut out = std::vec![0; bytes];
        let mut stream = KeyStream::new();
        stream.set_key(&key);
        stream.fill(&mut out);
        out
    }

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.as_chunks::<2>().0.iter();
        pairs
            .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 8439, section 2.1.1.
    #[test]
    fn a_quarter_round_is_that_of_the_specification() {
        let mut state = [0; 16];
        state[..4].copy_from_slice(&[0x1111_1111, 0x0102_0304, 0x9b8d_6f43, 0x0123_4567]);
        quarter_round(&mut state, &[0, 1, 2, 3]);
        assert_eq!(
            state[..4],
            [0xea2a_92f4, 0xcb1c_f8ce, 0x4581_472e, 0x5881_c4bb]
        );
    }

    /// RFC 8439, appendix A.1, test vectors 1 and 2: two blocks of the key of zeroes.
    #[test]
    fn the_stream_is_that_of_the_specification() {
        let expected = bytes(
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586
             9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
        );
        assert_eq!(stream([0; 32], 128), expected);
        // Taken in pieces it is the same.
        let mut pieces = KeyStream::new();
        pieces.set_key(&[0; 32]);
        let mut taken = [0; 128];
        for piece in taken.chunks_mut(37) {
            pieces.fill(piece);
        }
        assert_eq!(taken[..], expected);
    }

    /// RFC 8439, appendix A.1, test vector 3 is the second block of this key.
    #[test]
    fn keys_make_a_difference() {
        let mut key = [0; 32];
        key[31] = 1;
        let expected = bytes(
            "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a
             8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
        );
        assert_eq!(stream(key, 128)[64..], expected);
    }
}
