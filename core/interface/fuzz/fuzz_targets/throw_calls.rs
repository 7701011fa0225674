//! Throws calls at every generated dispatch: `cargo +nightly fuzz run throw_calls`.
//!
//! An input is the number of an interface, a call as `tests/throw` knows it, and the bytes in.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/throw/mod.rs"]
mod throw;

/// Bytes before the bytes in: interface, method, output, rights, six words, four of the answer.
const HEAD: usize = 1 + 2 + 2 + 4 + 6 * 8 + 4 * 8;

fuzz_target!(|bytes: &[u8]| {
    let Some((head, input)) = bytes.split_at_checked(HEAD) else {
        return;
    };
    let number = |at: usize, length: usize| {
        let bytes = head[at..at + length].iter().rev();
        bytes.fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let thrown = throw::Thrown {
        method: number(1, 2) as u16,
        output: number(3, 2) as usize,
        rights: number(5, 4) as u32,
        words: std::array::from_fn(|index| number(9 + 8 * index, 8)),
        answer: std::array::from_fn(|index| number(57 + 8 * index, 8)),
        input: input.to_vec(),
    };
    throw::throw(usize::from(head[0]), &thrown);
});
