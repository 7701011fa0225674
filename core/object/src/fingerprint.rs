//! Hashes by which both ends of a call know that they mean the same thing.
//!
//! Everything here is computed by the compiler: a hash of a text and of other hashes, so that an
//! interface's covers the insides of the types that it uses.

const START: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x0100_0000_01b3;

/// FNV-1a, 64 bits, of a text.
#[must_use]
pub const fn text(text: &str) -> u64 {
    bytes(START, text.as_bytes())
}

/// The hash of `first` and then all of `others`; their order matters.
#[must_use]
pub const fn combine(first: u64, others: &[u64]) -> u64 {
    let mut hash = bytes(START, &first.to_le_bytes());
    let mut index = 0;
    while index < others.len() {
        hash = bytes(hash, &others[index].to_le_bytes());
        index += 1;
    }
    hash
}

const fn bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(FACTOR);
        index += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::{combine, text};

    #[test]
    fn fnv_has_the_published_values() {
        assert_eq!(text(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(text("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(text("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_is_combined_and_in_which_order_matters() {
        let all = [
            combine(1, &[]),
            combine(1, &[2, 3]),
            combine(1, &[3, 2]),
            combine(1, &[2]),
            combine(2, &[]),
        ];
        for (index, hash) in all.iter().enumerate() {
            assert!(!all[..index].contains(hash));
        }
    }
}
