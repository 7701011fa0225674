//! The memory of one attacker that nothing but itself may touch, and what it finds there.
//!
//! All answers go to room that holds a known pattern, so what is written beyond an answer shows. Marks
//! that no other process may ever see lie in memory that is given back, and in registers; where bytes
//! of an answer are one of another process, something of that process has leaked.

use core::fmt;

use kiln_interface::kernel::{AddressSpace as _, MapFlags};
use kiln_object::Error;
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::layout::PAGE_BYTES;
use kiln_runtime::{address_space, startup};

use crate::memory::{self, READ_WRITE};
use crate::report::failed;

/// Pages of a stack, of each buffer, and of what is given back.
const STACK_PAGES: u64 = 32;
const BUFFER_PAGES: u64 = 2;
const GIVEN_PAGES: u64 = 4;

/// What room for answers holds.
const UNTOUCHED: u64 = 0x1d1d_1d1d_1d1d_1d1d;

/// What all marks begin with: random numbers do not, as far as anybody lives to see.
const CANARY: u64 = 0xca9a_a95e_1700_0000;
const CANARY_MASK: u64 = !0xff_ffff;

/// What is wrong with an answer, at which byte, and the word that is there.
#[derive(Debug)]
pub struct Wrong(&'static str, usize, u64);

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, place, word) = self;
        write!(formatter, "{what} (byte {place}: {word:#x})")
    }
}

/// Addresses of the parts.
#[derive(Debug, Clone, Copy)]
pub struct Buffers {
    base: u64,
}

impl Buffers {
    /// Maps them.
    pub fn new() -> Self {
        let length = (STACK_PAGES + 2 * BUFFER_PAGES + GIVEN_PAGES) * PAGE_BYTES;
        match memory::map(0, length, READ_WRITE, MapFlags::POPULATE) {
            Ok(base) => {
                let buffers = Self { base };
                buffers.output_words().fill(UNTOUCHED);
                buffers
            }
            Err(error) => failed(format_args!("no buffers: {error}")),
        }
    }

    /// Where the stack begins, as after a call.
    pub fn stack_top(self) -> u64 {
        self.input() - 8
    }

    /// Bytes in.
    pub fn input(self) -> u64 {
        self.base + STACK_PAGES * PAGE_BYTES
    }

    /// Room for bytes out.
    pub fn output(self) -> u64 {
        self.input() + BUFFER_PAGES * PAGE_BYTES
    }

    fn given(self) -> u64 {
        self.output() + BUFFER_PAGES * PAGE_BYTES
    }

    /// The bytes in, to be filled.
    #[expect(clippy::mut_from_ref, reason = "the memory is outside")]
    pub fn input_bytes(&self) -> &mut [u8] {
        // SAFETY: mapped for good, and only this attacker uses it, a slice at a time.
        unsafe { core::slice::from_raw_parts_mut(self.input() as *mut u8, MESSAGE_BYTES) }
    }

    #[expect(clippy::mut_from_ref, reason = "the memory is outside")]
    fn output_words(&self) -> &mut [u64] {
        let count = (BUFFER_PAGES * PAGE_BYTES / 8) as usize;
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.output() as *mut u64, count) }
    }

    /// Looks at the answer of `bytes`, which may be none of it if the call went elsewhere, and makes the
    /// room as it was. Says what is wrong.
    pub fn look(self, bytes: usize, thoroughly: bool) -> Option<Wrong> {
        let words = self.output_words();
        let touched = bytes.div_ceil(8).min(words.len());
        let (answer, rest) = words.split_at_mut(touched);
        let is_beyond = answer.last().is_some_and(|last| {
            let last = last.to_le_bytes();
            !bytes.is_multiple_of(8) && last[bytes % 8..].iter().any(|byte| *byte != 0x1d)
        });
        if is_beyond {
            return Some(Wrong("bytes just beyond the answer were written", bytes, 0));
        }
        let foreign = answer.iter().position(|word| is_foreign(*word));
        let foreign = foreign.and_then(|place| Some((place, *answer.get(place)?)));
        answer.fill(UNTOUCHED);
        let near = if thoroughly { rest.len() } else { 16 };
        let written = rest.iter().take(near).position(|word| *word != UNTOUCHED);
        if let Some(place) = written {
            let word = rest.get(place).copied().unwrap_or_default();
            return Some(Wrong(
                "bytes beyond the answer were written",
                8 * place,
                word,
            ));
        }
        foreign
            .map(|(place, word)| Wrong("another process's mark is in the answer", 8 * place, word))
    }

    /// Gives memory back that holds marks, and looks at what comes instead.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn give_back(self, noise: u64) -> Result<Option<&'static str>, Error> {
        let count = (GIVEN_PAGES * PAGE_BYTES / 8) as usize;
        // SAFETY: as above.
        let words = unsafe { core::slice::from_raw_parts_mut(self.given() as *mut u64, count) };
        words.fill(own_mark(noise));
        address_space().discard(self.given(), GIVEN_PAGES * PAGE_BYTES)?;
        // A look at each page's ends and at its middle: the kernel empties whole pages.
        let places = (0..count).step_by(256);
        for place in places.flat_map(|place| [place, place + 255]) {
            // SAFETY: within the same words; the kernel has changed them.
            if unsafe { words.as_ptr().add(place).read_volatile() } != 0 {
                return Ok(Some("fresh memory is not empty"));
            }
        }
        Ok(None)
    }
}

/// A word that no other process may see.
pub fn own_mark(noise: u64) -> u64 {
    let process = u64::from(startup().process.index() & 0xff);
    CANARY | process << 16 | noise & 0xffff
}

/// Whether a word is the mark of another process.
pub fn is_foreign(word: u64) -> bool {
    let process = u64::from(startup().process.index() & 0xff);
    word & CANARY_MASK == CANARY && word >> 16 & 0xff != process
}
