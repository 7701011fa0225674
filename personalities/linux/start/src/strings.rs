//! Lists of strings as a program gets them: one behind the other, a NUL after each.

use alloc::vec::Vec;

/// Longest single string, with its NUL (`MAX_ARG_STRLEN`).
pub const STRING_BYTES: usize = 128 << 10;

/// Arguments or an environment.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    count: usize,
    too_long: bool,
}

impl Strings {
    /// An empty list with room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            count: 0,
            too_long: false,
        }
    }

    /// Adds a string, which ends at its first NUL if it has one.
    pub fn push(&mut self, string: &[u8]) {
        let end = string.iter().position(|byte| *byte == 0);
        let string = string
            .get(..end.unwrap_or(string.len()))
            .unwrap_or_default();
        self.too_long |= string.len() >= STRING_BYTES;
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        self.count += 1;
    }

    /// Adds all strings of `others` but the first.
    pub fn push_rest(&mut self, others: &Strings) {
        let Some(end) = others.bytes.iter().position(|byte| *byte == 0) else {
            return;
        };
        self.bytes
            .extend_from_slice(others.bytes.get(end + 1..).unwrap_or_default());
        self.count += others.count - 1;
        self.too_long |= others.too_long;
    }

    /// The strings, each with its NUL.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether one of them is longer than a program may get.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(strings: &[&[u8]]) -> Strings {
        let mut list = Strings::default();
        for string in strings {
            list.push(string);
        }
        list
    }

    #[test]
    fn strings_end_at_their_nul() {
        let found = list(&[b"a", b"", b"b\0c"]);
        assert_eq!((found.bytes(), found.count()), (&b"a\0\0b\0"[..], 3));
        assert!(!found.is_too_long());
        let long = std::vec![b'x'; STRING_BYTES];
        assert!(list(&[b"", &long]).is_too_long());
        assert!(!list(&[&long[1..]]).is_too_long());
    }

    #[test]
    fn the_first_gives_way_to_others() {
        let mut found = list(&[b"sh", b"-e"]);
        found.push_rest(&list(&[b"script", b"1", b"2"]));
        assert_eq!(
            (found.bytes(), found.count()),
            (&b"sh\0-e\x001\x002\0"[..], 4)
        );
        found.push_rest(&Strings::default());
        assert_eq!(found.count(), 4);
    }
}
