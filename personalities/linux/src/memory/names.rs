//! Which file, or what purpose, a mapped range has: for `/proc/self/maps`.
//!
//! Ranges never overlap: a new name replaces what it covers.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Range;

/// A named range.
#[derive(Clone, Debug)]
struct Name {
    range: Range,
    text: Arc<[u8]>,
}

/// The name of the program's stack.
pub const STACK_NAME: &[u8] = b"[stack]";

/// All names, by ascending address.
#[derive(Debug, Default)]
pub struct Names {
    names: Vec<Name>,
    /// Names that are not in the list yet.
    first: Option<First>,
}

/// What an image's first program begins with: most programs never ask, so it is only noted.
#[derive(Debug)]
struct First {
    program: Range,
    path: &'static [u8],
    stack: Range,
}

impl Names {
    /// No names.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            names: Vec::new(),
            first: None,
        }
    }

    /// Names what the first program begins with: its own pages by its path, and its stack.
    pub fn begin(&mut self, program: Range, path: &'static [u8], stack: Range) {
        self.first = Some(First {
            program,
            path,
            stack,
        });
    }

    /// Puts into the list what was only noted; to be done before it is looked at.
    fn list_first(&mut self) {
        if let Some(first) = self.first.take() {
            self.insert(first.program, first.path);
            self.insert(first.stack, STACK_NAME);
        }
    }

    /// The place of the first name whose range ends above `address`.
    fn place(&self, address: u64) -> usize {
        self.names
            .partition_point(|name| name.range.end() <= address)
    }

    /// Names a range.
    pub fn insert(&mut self, range: Range, text: &[u8]) {
        self.list_first();
        let above_all = |last: &Name| last.range.end() <= range.start;
        let last = self.names.last().is_none_or(above_all);
        if !last {
            self.remove(range);
        }
        if range.length > 0 {
            let name = Name {
                range,
                text: text.into(),
            };
            match last {
                true => self.names.push(name),
                false => self.names.insert(self.place(range.start), name),
            }
        }
    }

    /// Takes the names of a range away.
    pub fn remove(&mut self, range: Range) {
        self.list_first();
        let mut place = self.place(range.start);
        while let Some(name) = self.names.get_mut(place)
            && name.range.start < range.end()
        {
            let (start, end) = (name.range.start, name.range.end());
            let above = (end > range.end()).then(|| Name {
                range: between(range.end(), end),
                text: Arc::clone(&name.text),
            });
            if start < range.start {
                name.range = between(start, range.start);
                place += 1;
            } else {
                self.names.remove(place);
            }
            if let Some(above) = above {
                self.names.insert(place, above);
                return;
            }
        }
    }

    /// The name of the range that holds `address`.
    #[must_use]
    pub fn find(&mut self, address: u64) -> Option<&[u8]> {
        self.list_first();
        let name = self.names.get(self.place(address))?;
        (name.range.start <= address).then_some(&*name.text)
    }
}

const fn between(start: u64, end: u64) -> Range {
    Range {
        start,
        length: end - start,
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
        assert_eq!(names.find(9), None);
        assert_eq!(names.find(13), Some(&b"file"[..]));
        assert_eq!(names.find(14), None);
        assert_eq!(names.find(16), Some(&b"file"[..]));
        assert_eq!(names.find(20), Some(&b"next"[..]));
        assert_eq!(names.find(30), None);
    }

    #[test]
    fn what_the_first_program_begins_with_counts_from_the_start() {
        let begun = || {
            let mut names = Names::new();
            names.begin(range(10, 20), b"/program", range(40, 50));
            names
        };
        assert_eq!(begun().find(10), Some(&b"/program"[..]));
        assert_eq!(begun().find(49), Some(STACK_NAME));
        let mut names = begun();
        names.remove(range(0, 15));
        assert_eq!(names.find(10), None);
        assert_eq!(names.find(15), Some(&b"/program"[..]));
        let mut names = begun();
        names.insert(range(0, 100), b"file");
        assert_eq!(names.find(40), Some(&b"file"[..]));
    }

    #[test]
    fn a_new_name_covers_old_ones() {
        let mut names = Names::new();
        names.insert(range(0, 10), b"a");
        names.insert(range(10, 20), b"b");
        names.insert(range(5, 15), b"c");
        let found: Vec<_> = [4, 5, 14, 15]
            .map(|address| names.find(address).unwrap().to_vec())
            .to_vec();
        assert_eq!(found, [b"a", b"c", b"c", b"b"]);
    }
}
