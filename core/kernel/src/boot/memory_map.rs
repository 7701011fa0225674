//! Which physical memory may be used, made of a loader's list that nobody vouches for.
//!
//! The result is sorted, without overlaps or empty ranges, and page-aligned inwards. Where the
//! list contradicts itself, memory that something claims is not usable.

use core::ops::Range;

use crate::rolled::rolled;

/// Ranges that a map can hold; what would need more is left unused.
pub const CAPACITY: usize = 48;

const PAGE_BYTES: u64 = 4096;

/// One line of a loader's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First physical address.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// 1 is usable memory in every protocol; anything else is not.
    pub kind: u32,
}

/// Usable memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    ranges: [(u64, u64); CAPACITY],
    count: usize,
}

impl MemoryMap {
    /// No memory at all.
    pub const EMPTY: Self = Self {
        ranges: [(0, 0); CAPACITY],
        count: 0,
    };

    /// Becomes the map of a list, which is gone through twice.
    #[inline(never)]
    pub fn read(&mut self, entries: impl Iterator<Item = Entry> + Clone) {
        self.count = 0;
        for usable in rolled(&[true, false]) {
            let usable = *usable;
            for entry in entries.clone() {
                let start = entry.start;
                let end = start.saturating_add(entry.length);
                match (usable, entry.kind == 1) {
                    (true, true) => {
                        let end = end & !(PAGE_BYTES - 1);
                        if let Some(start) = start.checked_next_multiple_of(PAGE_BYTES) {
                            self.add(start, end);
                        }
                    }
                    (false, false) => self.remove(start..end),
                    _ => {}
                }
            }
        }
    }

    /// Usable ranges of physical addresses, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + Clone + '_ {
        self.ranges
            .iter()
            .take(self.count)
            .map(|&(start, end)| start..end)
    }

    /// Makes a range usable, joined with what it touches.
    // Not inlined: this runs a few times at boot, and once compiled is enough.
    #[inline(never)]
    fn add(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        let mut kept = 0;
        for index in 0..self.count {
            let (first, last) = self.ranges[index];
            if first <= end && start <= last {
                start = start.min(first);
                end = end.max(last);
                continue;
            }
            // The new one takes the place of the first that comes after it, which then is the one to
            // be put somewhere, and so on: ranges are never more than were read.
            let before = if first < start {
                (first, last)
            } else {
                let new = (start, end);
                (start, end) = (first, last);
                new
            };
            self.ranges[kept] = before;
            kept += 1;
        }
        if let Some(place) = self.ranges.get_mut(kept) {
            *place = (start, end);
            kept += 1;
        }
        self.count = kept;
    }

    /// Makes every page that a range touches unusable.
    #[inline(never)]
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let start = range.start & !(PAGE_BYTES - 1);
        let end = range
            .end
            .checked_next_multiple_of(PAGE_BYTES)
            .unwrap_or(u64::MAX);
        let mut kept = 0;
        // Of one range both ends can be left, its later one is put into its place at last.
        let mut apart = (0, 0);
        for index in 0..self.count {
            let (first, last) = self.ranges[index];
            let (mut left, right) = ((first, last.min(start)), (first.max(end), last));
            if left.0 >= left.1 {
                left = right;
            } else if right.0 < right.1 {
                apart = right;
            }
            if left.0 < left.1 {
                self.ranges[kept] = left;
                kept += 1;
            }
        }
        self.count = kept;
        self.add(apart.0, apart.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn entry(start: u64, length: u64, kind: u32) -> Entry {
        Entry {
            start,
            length,
            kind,
        }
    }

    fn map(entries: &[Entry]) -> Vec<Range<u64>> {
        let mut map = MemoryMap::EMPTY;
        map.read(entries.iter().copied());
        map.ranges().collect()
    }

    #[test]
    fn ranges_are_sorted_and_joined() {
        let found = map(&[
            entry(0x10_0000, 0x10_0000, 1),
            entry(0, 0x9_fc00, 1),
            entry(0x20_0000, 0x1000, 1),
            entry(0x18_0000, 0x10_0000, 1),
        ]);
        assert_eq!(found, [0..0x9_f000, 0x10_0000..0x28_0000]);
    }

    #[test]
    fn a_claim_beats_usable_memory_wherever_it_stands_in_the_list() {
        let found = map(&[
            entry(0x5800, 0x100, 2),
            entry(0, 0x10000, 1),
            entry(0xf000, 0x8000, 3),
        ]);
        assert_eq!(found, [0..0x5000, 0x6000..0xf000]);
    }

    #[test]
    fn lengths_that_overflow_end_at_the_top() {
        let found = map(&[entry(0x1001, u64::MAX, 1), entry(0x9000, u64::MAX, 2)]);
        assert!(found.iter().eq(core::iter::once(&(0x2000..0x9000))));
        assert_eq!(map(&[entry(u64::MAX, u64::MAX, 1)]), []);
    }

    #[test]
    fn a_list_that_is_too_long_loses_memory_and_nothing_else() {
        let entries: Vec<_> = (0..200)
            .map(|index| entry(index * 0x2000, 0x1000, 1))
            .collect();
        let found = map(&entries);
        assert_eq!(found.len(), CAPACITY);
        assert!(found.iter().all(|range| range.end - range.start == 0x1000));
    }

    proptest! {
        #[test]
        fn every_page_is_usable_exactly_if_claimed_by_usable_entries_alone(
            list in proptest::collection::vec((0_u64..40, 0_u64..12, 1_u32..4), 0..20)
        ) {
            let entries: Vec<_> = list
                .iter()
                .map(|&(page, pages, kind)| entry(page * 4096, pages * 4096, kind))
                .collect();
            let ranges = map(&entries);
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            for page in 0..60_u64 {
                let address = page * 4096;
                let inside = |entry: &Entry| {
                    (entry.start..entry.start + entry.length).contains(&address)
                };
                let usable = entries.iter().any(|entry| entry.kind == 1 && inside(entry))
                    && !entries.iter().any(|entry| entry.kind != 1 && inside(entry));
                let found = ranges.iter().any(|range| range.contains(&address));
                prop_assert_eq!(usable, found, "page {}", page);
            }
        }

        #[test]
        fn garbage_makes_an_ordered_map(
            list in proptest::collection::vec((any::<u64>(), any::<u64>(), 0_u32..3), 0..200)
        ) {
            let entries = list.iter().map(|&(start, length, kind)| entry(start, length, kind));
            let mut map = MemoryMap::EMPTY;
            map.read(entries);
            let mut last = 0;
            for range in map.ranges() {
                prop_assert!(range.start >= last && range.start < range.end);
                prop_assert!(range.start % 4096 == 0 && range.end % 4096 == 0);
                last = range.end;
            }
        }
    }
}
