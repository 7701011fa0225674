//! Which file, or what purpose, a mapped range has: for `/proc/self/maps`.
//!
//! Ranges never overlap: a new name replaces what it covers.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Range;

/// A named range.
#[derive(Clone, Debug)]
pub struct Name {
    end: u64,
    text: Arc<[u8]>,
}

/// All names, by start address.
#[derive(Debug, Default)]
pub struct Names {
    names: BTreeMap<u64, Name>,
}

impl Names {
    /// No names.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            names: BTreeMap::new(),
        }
    }

    /// Names a range.
    pub fn insert(&mut self, range: Range, text: &[u8]) {
        self.remove(range);
        if range.length > 0 {
            let name = Name {
                end: range.end(),
                text: text.into(),
            };
            self.names.insert(range.start, name);
        }
    }

    /// Takes the names of a range away.
    pub fn remove(&mut self, range: Range) {
        let touched: Vec<u64> = self
            .names
            .range(..range.end())
            .rev()
            .take_while(|(_, name)| name.end > range.start)
            .map(|(start, _)| *start)
            .collect();
        for start in touched {
            let Some(name) = self.names.remove(&start) else {
                continue;
            };
            if start < range.start {
                let text = name.text.clone();
                let end = range.start;
                self.names.insert(start, Name { end, text });
            }
            if name.end > range.end() {
                self.names.insert(range.end(), name);
            }
        }
    }

    /// The name of the range that holds `address`.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<&[u8]> {
        let (_, name) = self.names.range(..=address).next_back()?;
        (address < name.end).then_some(&*name.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range {
        Range {
            start,
            length: end - start,
        }
    }

    #[test]
    fn removing_the_middle_leaves_both_ends() {
        let mut names = Names::new();
        names.insert(range(10, 20), b"file");
        names.insert(range(20, 30), b"next");
        names.remove(range(14, 16));
        let found = |address| names.find(address);
        assert_eq!(found(9), None);
        assert_eq!(found(13), Some(&b"file"[..]));
        assert_eq!(found(14), None);
        assert_eq!(found(16), Some(&b"file"[..]));
        assert_eq!(found(20), Some(&b"next"[..]));
        assert_eq!(found(30), None);
    }

    #[test]
    fn a_new_name_covers_old_ones() {
        let mut names = Names::new();
        names.insert(range(0, 10), b"a");
        names.insert(range(10, 20), b"b");
        names.insert(range(5, 15), b"c");
        let found: Vec<_> = [4, 5, 14, 15]
            .map(|address| names.find(address).unwrap())
            .to_vec();
        assert_eq!(found, [b"a", b"c", b"c", b"b"]);
    }
}
