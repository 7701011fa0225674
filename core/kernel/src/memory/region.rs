//! Regions: which ranges of an address space are mapped, with what, and how.
//!
//! Ranges never overlap; neighbours that continue each other are one region. The map is plain
//! data: what it says becomes true in the page tables only when pages are touched.

use alloc::collections::BTreeMap;

use kiln_interface::kernel::Protection;

use super::cache::Cache;

/// What a region shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Zeroes at first, private to the process.
    Anonymous,
    /// A private view of a file from `offset`.
    File {
        /// The file.
        cache: Cache,
        /// Where in it the region starts.
        offset: u64,
    },
    /// Pages that the kernel put there and keeps; never changed by the process's requests.
    Pinned,
}

impl Backing {
    fn advanced(self, bytes: u64) -> Backing {
        match self {
            Backing::File { cache, offset } => Backing::File {
                cache,
                offset: offset + bytes,
            },
            other => other,
        }
    }
}

/// One range with one protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The address after the last.
    pub end: u64,
    /// What may be done.
    pub protection: Protection,
    /// What is shown.
    pub backing: Backing,
}

/// All regions of an address space by start address.
#[derive(Debug, Default)]
pub struct RegionMap {
    regions: BTreeMap<u64, Region>,
}

impl RegionMap {
    /// A map of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            regions: BTreeMap::new(),
        }
    }

    /// The region that holds `address`, with its start.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<(u64, &Region)> {
        let (start, region) = self.regions.range(..=address).next_back()?;
        (address < region.end).then_some((*start, region))
    }

    /// The region that holds `address`, or the next one above it.
    #[must_use]
    pub fn find_or_next(&self, address: u64) -> Option<(u64, &Region)> {
        self.find(address)
            .or_else(|| self.regions.range(address..).next().map(|(s, r)| (*s, r)))
    }

    /// Whether nothing is mapped in `start..end`.
    #[must_use]
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.regions
            .range(..end)
            .next_back()
            .is_none_or(|(_, region)| region.end <= start)
    }

    /// Whether all of `start..end` is mapped.
    #[must_use]
    pub fn is_covered(&self, start: u64, end: u64) -> bool {
        let mut address = start;
        while address < end {
            match self.find(address) {
                Some((_, region)) => address = region.end,
                None => return false,
            }
        }
        true
    }

    /// Whether a pinned region lies in `start..end`.
    #[must_use]
    pub fn touches_pinned(&self, start: u64, end: u64) -> bool {
        self.overlapping(start, end)
            .any(|(_, region)| region.backing == Backing::Pinned)
    }

    /// Regions that reach into `start..end`.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Region)> {
        let first = self.find(start).map_or(start, |(from, _)| from);
        self.regions
            .range(first..end.max(first))
            .map(|(from, region)| (*from, region))
    }

    /// The highest free range of `length` bytes that ends at or below `ceiling` and starts at or
    /// above `floor`.
    #[must_use]
    pub fn find_room(&self, floor: u64, ceiling: u64, length: u64) -> Option<u64> {
        let mut top = ceiling;
        for (start, region) in self.regions.range(..ceiling).rev() {
            if region.end < top && top - region.end >= length {
                break;
            }
            top = top.min(*start);
            if top < floor {
                return None;
            }
        }
        let start = top.checked_sub(length)?;
        (start >= floor).then_some(start)
    }

    /// Adds a region in a range that is free, joined with neighbours that it continues.
    pub fn insert(&mut self, start: u64, region: Region) {
        let mut start = start;
        let mut region = region;
        if let Some((before, previous)) = self
            .regions
            .range(..start)
            .next_back()
            .map(|(s, r)| (*s, *r))
            && previous.end == start
            && joins(before, &previous, &region)
        {
            self.regions.remove(&before);
            region.backing = previous.backing;
            start = before;
        }
        if let Some(next) = self.regions.get(&region.end).copied()
            && joins(start, &region, &next)
        {
            self.regions.remove(&region.end);
            region.end = next.end;
        }
        self.regions.insert(start, region);
    }

    /// Takes the lowest piece of `start..end` out of the map; `None` when nothing is mapped there.
    ///
    /// One at a time, since a list of all could be long, and a process chooses how long.
    pub fn take_first(&mut self, start: u64, end: u64) -> Option<(u64, Region)> {
        if start >= end {
            return None;
        }
        let (from, region) = self
            .overlapping(start, end)
            .next()
            .map(|(from, region)| (from, *region))?;
        self.regions.remove(&from);
        if from < start {
            let below = Region {
                end: start,
                ..region
            };
            self.regions.insert(from, below);
        }
        if region.end > end {
            let above = Region {
                backing: region.backing.advanced(end - from),
                ..region
            };
            self.regions.insert(end, above);
        }
        let piece = from.max(start);
        let taken = Region {
            end: region.end.min(end),
            protection: region.protection,
            backing: region.backing.advanced(piece - from),
        };
        Some((piece, taken))
    }

    /// Whether a region reaches over `start` or over `end`, so that taking the range splits it.
    #[must_use]
    pub fn is_split_by(&self, start: u64, end: u64) -> bool {
        let inside = |address| self.find(address).is_some_and(|(from, _)| from < address);
        inside(start) || inside(end)
    }

    /// The free range around `start..end`, which is free: from the region before to the one after.
    #[must_use]
    pub fn gap_around(&self, start: u64, end: u64) -> (u64, u64) {
        let below = self.regions.range(..start).next_back();
        let above = self.regions.range(end..).next();
        (
            below.map_or(0, |(_, region)| region.end),
            above.map_or(u64::MAX, |(from, _)| *from),
        )
    }

    /// How many regions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }
}

fn joins(start: u64, lower: &Region, upper: &Region) -> bool {
    lower.protection == upper.protection
        && lower.backing != Backing::Pinned
        && lower.backing.advanced(lower.end - start) == upper.backing
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn anonymous(end: u64) -> Region {
        Region {
            end,
            protection: Protection::READ,
            backing: Backing::Anonymous,
        }
    }

    #[test]
    fn neighbours_that_continue_each_other_are_one() {
        let mut map = RegionMap::new();
        map.insert(0x2000, anonymous(0x3000));
        map.insert(0x4000, anonymous(0x5000));
        map.insert(0x3000, anonymous(0x4000));
        assert_eq!(map.len(), 1);
        assert_eq!(map.find(0x4fff), Some((0x2000, &anonymous(0x5000))));
        let cache = Cache::new(0, 0x10000);
        let file = |offset, end| Region {
            end,
            protection: Protection::READ,
            backing: Backing::File { cache, offset },
        };
        map.insert(0x8000, file(0x1000, 0x9000));
        map.insert(0x9000, file(0x2000, 0xa000));
        assert_eq!(map.len(), 2);
        map.insert(0xa000, file(0x8000, 0xb000));
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn an_empty_range_has_no_pieces() {
        let mut map = RegionMap::new();
        map.insert(0x2000, anonymous(0x6000));
        assert_eq!(map.take_first(0x4000, 0x4000), None);
        assert_eq!(map.len(), 1);
        assert!(!map.is_split_by(0x2000, 0x6000));
        assert!(map.is_split_by(0x1000, 0x3000) && map.is_split_by(0x5000, 0x7000));
        assert_eq!(map.gap_around(0x7000, 0x8000), (0x6000, u64::MAX));
    }

    #[test]
    fn room_is_found_from_the_top() {
        let mut map = RegionMap::new();
        map.insert(0x8000, anonymous(0x9000));
        assert_eq!(map.find_room(0x1000, 0x10000, 0x7000), Some(0x9000));
        assert_eq!(map.find_room(0x1000, 0x10000, 0x7001), None);
        assert_eq!(map.find_room(0x1000, 0x10000, 0x1000), Some(0xf000));
        assert_eq!(map.find_room(0x1000, 0x8800, 0x1000), Some(0x7000));
    }

    proptest! {
        #[test]
        fn agrees_with_a_page_by_page_model(
            operations in prop::collection::vec((any::<bool>(), 0u64..64, 1u64..16), 1..60)
        ) {
            let mut map = RegionMap::new();
            let mut model = [None::<u64>; 80];
            let cache = Cache::new(0, 1 << 30);
            for (add, page, pages) in operations {
                let (start, end) = (page << 12, (page + pages) << 12);
                let split = map.is_split_by(start, end);
                let before = map.len();
                let mut next = start;
                while let Some((from, region)) = map.take_first(next, end) {
                    prop_assert!(next <= from && from < region.end && region.end <= end);
                    next = region.end;
                }
                prop_assert!(map.is_free(start, end));
                prop_assert!(split || map.len() <= before);
                let (low, high) = map.gap_around(start, end);
                prop_assert!(map.is_free(low, high) && low <= start && end <= high);
                if add {
                    map.insert(start, Region {
                        end,
                        protection: Protection::READ,
                        backing: Backing::File { cache, offset: start * 3 },
                    });
                }
                for place in page..page + pages {
                    model[place as usize] = add.then_some(start * 3 + ((place - page) << 12));
                }
                for (place, expected) in model.iter().enumerate() {
                    let address = (place as u64) << 12;
                    let found = map.find(address).map(|(from, region)| match region.backing {
                        Backing::File { offset, .. } => offset + (address - from),
                        _ => unreachable!(),
                    });
                    prop_assert_eq!(found, *expected);
                }
            }
        }
    }
}
