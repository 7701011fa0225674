//! Regions: which ranges of an address space are mapped, with what, and how.
//!
//! Ranges never overlap; neighbours that continue each other are one region. The map is plain
//! data: what it says becomes true in the page tables only when pages are touched.
//!
//! Regions are kept in short runs, sorted by address: most processes have a single run, and one that
//! has thousands of regions moves no more than a run for each change.

use alloc::vec;
use alloc::vec::Vec;

use kiln_interface::kernel::Protection;

use super::cache::Cache;
use super::paged_file::FileId;

/// Where stores to a view of a file go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// To private copies of its pages.
    ToCopies,
    /// To its pages.
    ToFile,
    /// Nowhere, however the region is protected: the view is of the file itself, and only to be read.
    Refused,
}

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
    /// A view of a file whose pages a server brings, from `offset`.
    Paged {
        /// The file.
        file: FileId,
        /// Where in it the region starts.
        offset: u64,
        /// Where stores go.
        stores: Stores,
    },
    /// Pages that the kernel put there and keeps; never changed by the process's requests.
    Pinned,
}

impl Backing {
    /// The same from `bytes` further on.
    #[must_use]
    pub const fn advanced(self, bytes: u64) -> Backing {
        match self {
            Backing::File { cache, offset } => Backing::File {
                cache,
                offset: offset + bytes,
            },
            Backing::Paged {
                file,
                offset,
                stores,
            } => Backing::Paged {
                file,
                offset: offset + bytes,
                stores,
            },
            Backing::Anonymous | Backing::Pinned => self,
        }
    }

    /// Where in its file the region starts; zero if it shows none.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        match self {
            Backing::File { offset, .. } | Backing::Paged { offset, .. } => *offset,
            Backing::Anonymous | Backing::Pinned => 0,
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

/// Regions in a run at most (in a test few, so that runs are split), and for how many a new one has
/// room.
const RUN: usize = if cfg!(test) { 4 } else { 128 };
const NEW_RUN: usize = RUN / 4;

/// Regions by ascending address.
type Run = Vec<(u64, Region)>;

/// Bytes that adding `added` regions at once allocates at most, in a map of at most `regions`.
pub const fn insertion_bytes(added: usize, regions: usize) -> usize {
    // A full run becomes two half ones, one of which grows to a full one again; the list of runs
    // grows once.
    added * RUN * size_of::<(u64, Region)>() + (2 * regions).div_ceil(RUN) * size_of::<Run>()
}

/// All regions of an address space by start address.
#[derive(Debug, Default)]
pub struct RegionMap {
    /// By ascending address; none is empty.
    runs: Vec<Run>,
    /// Regions in all.
    count: usize,
}

/// Where a region stands, or would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    run: usize,
    index: usize,
}

impl RegionMap {
    /// A map of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            runs: Vec::new(),
            count: 0,
        }
    }

    /// The place of the first region that ends above `address`; one behind the last if there is none.
    fn place(&self, address: u64) -> Place {
        let run = match self.runs.len() {
            0 | 1 => 0,
            runs => self
                .runs
                .partition_point(|run| run.last().is_some_and(|(_, last)| last.end <= address))
                .min(runs - 1),
        };
        let index = self.runs.get(run).map_or(0, |run| {
            run.partition_point(|(_, region)| region.end <= address)
        });
        Place { run, index }
    }

    fn at(&self, place: Place) -> Option<(u64, &Region)> {
        let (start, region) = self.runs.get(place.run)?.get(place.index)?;
        Some((*start, region))
    }

    fn before(&self, place: Place) -> Option<Place> {
        if let Some(index) = place.index.checked_sub(1) {
            return Some(Place { index, ..place });
        }
        let run = place.run.checked_sub(1)?;
        let index = self.runs.get(run)?.len().checked_sub(1)?;
        Some(Place { run, index })
    }

    /// The regions from `place` on.
    fn from(&self, place: Place) -> impl Iterator<Item = (u64, &Region)> {
        let first = self.runs.get(place.run).map_or(&[][..], Vec::as_slice);
        let first = first.get(place.index..).unwrap_or_default();
        let others = self.runs.get(place.run + 1..).unwrap_or_default();
        first
            .iter()
            .chain(others.iter().flatten())
            .map(|(start, region)| (*start, region))
    }

    /// The region that holds `address`, with its start.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<(u64, &Region)> {
        self.find_or_next(address)
            .filter(|(start, _)| *start <= address)
    }

    /// The region that holds `address`, or the next one above it.
    #[must_use]
    pub fn find_or_next(&self, address: u64) -> Option<(u64, &Region)> {
        self.at(self.place(address))
    }

    /// Whether nothing is mapped in `start..end`.
    #[must_use]
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.find_or_next(start)
            .is_none_or(|(first, _)| first >= end)
    }

    /// Whether all of `start..end` is mapped.
    #[must_use]
    pub fn is_covered(&self, start: u64, end: u64) -> bool {
        let mut address = start;
        for (from, region) in self.overlapping(start, end) {
            if from > address {
                return false;
            }
            address = region.end;
        }
        address >= end
    }

    /// Whether a pinned region lies in `start..end`.
    #[must_use]
    pub fn touches_pinned(&self, start: u64, end: u64) -> bool {
        self.overlapping(start, end)
            .any(|(_, region)| region.backing == Backing::Pinned)
    }

    /// Regions that reach into `start..end`.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Region)> {
        self.from(self.place(start))
            .take_while(move |(from, _)| *from < end)
    }

    /// The highest free range of `length` bytes that ends at or below `ceiling` and starts at or
    /// above `floor`.
    #[must_use]
    pub fn find_room(&self, floor: u64, ceiling: u64, length: u64) -> Option<u64> {
        let mut top = ceiling;
        // The region that holds the ceiling, if there is one, is the first that is in the way.
        let mut place = self.place(ceiling);
        if self.at(place).is_some_and(|(start, _)| start < ceiling) {
            place.index += 1;
        }
        while let Some(below) = self.before(place) {
            let (start, region) = self.at(below)?;
            if region.end < top && top - region.end >= length {
                break;
            }
            top = top.min(start);
            if top < floor {
                return None;
            }
            place = below;
        }
        let start = top.checked_sub(length)?;
        (start >= floor).then_some(start)
    }

    /// Adds a region in a range that is free, joined with neighbours that it continues.
    pub fn insert(&mut self, start: u64, region: Region) {
        let place = self.place(start);
        let above = self
            .at(place)
            .is_some_and(|(next, upper)| next == region.end && joins(start, &region, upper));
        let lower = self.before(place);
        let below = lower.filter(|lower| {
            self.at(*lower)
                .is_some_and(|(before, lower)| lower.end == start && joins(before, lower, &region))
        });
        match below {
            Some(below) => {
                let end = match above {
                    true => self
                        .remove(place)
                        .map_or(region.end, |(_, upper)| upper.end),
                    false => region.end,
                };
                if let Some((_, lower)) = self.entry(below) {
                    lower.end = end;
                }
            }
            None if above => {
                if let Some((next, upper)) = self.entry(place) {
                    *next = start;
                    upper.backing = region.backing;
                }
            }
            None => self.put(place, start, region),
        }
    }

    fn entry(&mut self, place: Place) -> Option<&mut (u64, Region)> {
        self.runs.get_mut(place.run)?.get_mut(place.index)
    }

    /// Puts a region that continues no other at its place.
    fn put(&mut self, place: Place, start: u64, region: Region) {
        self.count += 1;
        let Some(run) = self.runs.get_mut(place.run) else {
            // There is none yet.
            let mut run = Run::with_capacity(NEW_RUN);
            run.push((start, region));
            self.runs = vec![run];
            return;
        };
        if run.len() < RUN {
            run.insert(place.index, (start, region));
            return;
        }
        self.split(place, start, region);
    }

    /// As [`RegionMap::put`] in a run that is full, of which two are made.
    #[cold]
    fn split(&mut self, place: Place, start: u64, region: Region) {
        let Some(run) = self.runs.get_mut(place.run) else {
            return;
        };
        let mut upper = Run::with_capacity(RUN);
        upper.extend(run.drain(RUN / 2..));
        match place.index.checked_sub(RUN / 2) {
            Some(index) => upper.insert(index, (start, region)),
            None => run.insert(place.index, (start, region)),
        }
        self.runs.insert(place.run + 1, upper);
    }

    /// Takes the region at a place out.
    fn remove(&mut self, place: Place) -> Option<(u64, Region)> {
        let run = self.runs.get_mut(place.run)?;
        if place.index >= run.len() {
            return None;
        }
        let removed = run.remove(place.index);
        self.count -= 1;
        if run.is_empty() {
            self.runs.remove(place.run);
        }
        Some(removed)
    }

    /// Takes the lowest piece of `start..end` out of the map; `None` when nothing is mapped there.
    ///
    /// One at a time, since a list of all could be long, and a process chooses how long.
    pub fn take_first(&mut self, start: u64, end: u64) -> Option<(u64, Region)> {
        if start >= end {
            return None;
        }
        let place = self.place(start);
        let (from, region) = self.at(place).map(|(from, region)| (from, *region))?;
        if from >= end {
            return None;
        }
        let below = Region {
            end: start,
            ..region
        };
        let above = Region {
            backing: region.backing.advanced(end - from),
            ..region
        };
        match (from < start, region.end > end) {
            (false, false) => {
                self.remove(place);
            }
            (false, true) => {
                if let Some(entry) = self.entry(place) {
                    *entry = (end, above);
                }
            }
            (true, cut) => {
                if let Some((_, region)) = self.entry(place) {
                    *region = below;
                }
                if cut {
                    self.put(self.place(start), end, above);
                }
            }
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
        let place = self.place(start);
        let below = self.before(place).and_then(|below| self.at(below));
        let above = self.from(place).find(|(from, _)| *from >= end);
        (
            below.map_or(0, |(_, region)| region.end),
            above.map_or(u64::MAX, |(from, _)| from),
        )
    }

    /// How many regions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn joins(start: u64, lower: &Region, upper: &Region) -> bool {
    lower.protection == upper.protection
        && lower.backing != Backing::Pinned
        && lower.backing.advanced(lower.end - start) == upper.backing
}

#[cfg(test)]
#[path = "region_tests.rs"]
mod tests;
