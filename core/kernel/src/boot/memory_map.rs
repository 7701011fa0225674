//! Which physical memory may be used, made of a loader's list that nobody vouches for.
//!
//! The result is sorted, without overlaps or empty ranges, and page-aligned inwards. Where the
//! list contradicts itself, memory that something claims is not usable.

use core::ops::Range;

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

    /// Makes a map of a list, which is gone through twice.
    pub fn from_entries(entries: impl Iterator<Item = Entry> + Clone) -> Self {
        let mut map = Self::EMPTY;
        for usable in [true, false] {
            for entry in entries.clone() {
                let start = entry.start;
                let end = start.saturating_add(entry.length);
                match (usable, entry.kind == 1) {
                    (true, true) => {
                        let end = end & !(PAGE_BYTES - 1);
                        if let Some(start) = start.checked_next_multiple_of(PAGE_BYTES) {
                            map.add(start, end);
                        }
                    }
                    (false, false) => map.remove(start..end),
                    _ => {}
                }
            }
        }
        map
    }

    /// Usable ranges of physical addresses, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + Clone + '_ {
        self.ranges
            .iter()
            .take(self.count)
            .map(|&(start, end)| start..end)
    }

    /// Makes a range usable, joined with what it touches.
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
            } else {
                self.ranges[kept] = (first, last);
                kept += 1;
            }
        }
        self.count = kept;
        self.insert(start, end);
    }

    /// Puts a range that touches no other in its place.
    fn insert(&mut self, start: u64, end: u64) {
        if start >= end || self.count == CAPACITY {
            return;
        }
        let place = self.ranges[..self.count].partition_point(|&(first, _)| first < start);
        self.ranges.copy_within(place..self.count, place + 1);
        self.ranges[place] = (start, end);
        self.count += 1;
    }

    /// Makes every page that a range touches unusable.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let start = range.start & !(PAGE_BYTES - 1);
        let end = range
            .end
            .checked_next_multiple_of(PAGE_BYTES)
            .unwrap_or(u64::MAX);
        let mut index = 0;
        while index < self.count {
            let (first, last) = self.ranges[index];
            if first >= end || last <= start {
                index += 1;
                continue;
            }
            self.ranges.copy_within(index + 1..self.count, index);
            self.count -= 1;
            // What is left lies on the same place or just after it, and is passed over.
            for (left_start, left_end) in [(first, start), (end, last)] {
                if left_start < left_end {
                    self.insert(left_start, left_end);
                    index += 1;
                }
            }
        }
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
        MemoryMap::from_entries(entries.iter().copied())
            .ranges()
            .collect()
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
            let map = MemoryMap::from_entries(entries.iter().copied());
            let ranges: Vec<_> = map.ranges().collect();
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
            let map = MemoryMap::from_entries(entries);
            let mut last = 0;
            for range in map.ranges() {
                prop_assert!(range.start >= last && range.start < range.end);
                prop_assert!(range.start % 4096 == 0 && range.end % 4096 == 0);
                last = range.end;
            }
        }
    }
}
