//! Random damage to what a parser reads from outside.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change to some bytes.
#[derive(Debug, Clone)]
enum Change {
    /// This byte is another.
    Set(Index, u8),
    /// This bit is another.
    Flip(Index, u32),
    /// Eight bytes are a number, which may be near an edge.
    Number(Index, u64),
    /// These bytes are put in.
    Insert(Index, Vec<u8>),
    /// As many as this from here on are gone.
    Remove(Index, usize),
    /// As many as this from here on are there twice.
    Double(Index, usize),
    /// The rest is gone.
    Cut(Index),
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        let range = |index: Index, count: usize| {
            let at = index.index(length);
            at..(at + count).min(length)
        };
        match self {
            Self::Set(index, byte) => bytes[index.index(length)] = byte,
            Self::Flip(index, bit) => bytes[index.index(length)] ^= 1 << bit,
            Self::Number(index, number) => {
                let range = range(index, 8);
                let number = number.to_le_bytes();
                bytes[range.clone()].copy_from_slice(&number[..range.len()]);
            }
            Self::Insert(index, more) => {
                let at = index.index(length);
                bytes.splice(at..at, more);
            }
            Self::Remove(index, count) => {
                bytes.drain(range(index, count));
            }
            Self::Double(index, count) => {
                let range = range(index, count);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, again);
            }
            Self::Cut(index) => bytes.truncate(index.index(length)),
        }
    }
}

/// `original` with a few changes; `words` are put in more often than what means nothing.
pub(crate) fn damaged(original: &[u8], words: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    let number = prop_oneof![
        0..64_u64,
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (0..64_u32).prop_map(|bit| u64::MAX >> bit),
    ];
    let inserted = prop_oneof![
        vec(any::<u8>(), 1..8),
        select(words).prop_map(|word| word.as_bytes().to_vec()),
    ];
    let change = prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (any::<Index>(), 0..8_u32).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (any::<Index>(), number).prop_map(|(at, number)| Change::Number(at, number)),
        3 => (any::<Index>(), inserted).prop_map(|(at, more)| Change::Insert(at, more)),
        2 => (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), 1..200_usize).prop_map(|(at, count)| Change::Double(at, count)),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    let original = original.to_vec();
    vec(change, 0..8)
        .prop_map(move |changes| {
            let mut bytes = original.clone();
            for change in changes {
                change.apply(&mut bytes);
            }
            bytes
        })
        .boxed()
}

/// The same of text; what is none any more is replaced.
pub(crate) fn damaged_text(
    original: &str,
    words: &'static [&'static str],
) -> BoxedStrategy<String> {
    damaged(original.as_bytes(), words)
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .boxed()
}
