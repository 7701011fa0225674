//! Giving memory back that other processors may still see.
//!
//! A request on tables that more than one processor uses marks the pages that it takes out; their
//! frames stay named by the entries, which are no longer present, so that no list is needed. When
//! every processor has forgotten the translations the marked frames are freed, and the tables that
//! have become empty are unlinked, which processors may have cached, too: those are freed after a
//! second round. Until all is done other requests wait, without holding a lock.

use super::presence::Patch;
use super::{AddressSpace, flush};
use crate::memory::frames;
use crate::memory::page_table::{self, RETIRED, Unlinked};
use crate::processor::PerCpu;

/// Ranges that one request changes at most: where a mapping was and where it goes.
const RANGES: usize = 2;

/// What the running request has changed.
#[derive(Debug)]
pub(super) struct Settling {
    ranges: [(u64, u64); RANGES],
    count: usize,
    /// What is written while no other processor sees the pages, which are not present.
    patch: Option<Patch>,
}

impl Settling {
    pub(super) const NOTHING: Self = Self {
        ranges: [(0, 0); RANGES],
        count: 0,
        patch: None,
    };
}

impl AddressSpace {
    /// Notes that processor `cpu` may load these tables from now on.
    pub fn join(&mut self, cpu: u32) {
        self.cpus |= 1_u64.checked_shl(cpu).unwrap_or(0);
    }

    /// Processors that may have these tables loaded, as bits.
    #[must_use]
    pub fn cpus(&self) -> u64 {
        self.cpus
    }

    /// Whether another processor than the running one may have them loaded.
    pub(super) fn is_shared(&self) -> bool {
        self.cpus & !(1 << PerCpu::number()) != 0
    }

    /// Whether other processors may still see what a request has changed.
    #[inline]
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.settling.count != 0
    }

    /// What is mapped in the range was replaced or taken out.
    pub(super) fn changed(&mut self, start: u64, end: u64) {
        flush(start, end);
        if !self.is_shared() {
            return;
        }
        let Settling { ranges, count, .. } = &mut self.settling;
        if let Some(place) = ranges.get_mut(*count) {
            *place = (start, end);
            *count += 1;
        } else if let Some(last) = ranges.last_mut() {
            *last = (last.0.min(start), last.1.max(end));
        }
    }

    /// Has `patch` written when no other processor sees its pages any more; the caller says that they have
    /// changed.
    pub(super) fn settle_with(&mut self, patch: Patch) {
        self.settling.patch = Some(patch);
    }

    /// Frees what the last request took out, which no other processor sees any more, and unlinks
    /// tables. While the answer is not empty, those are to be forgotten by all processors and freed,
    /// and then this is to be called again.
    #[must_use]
    pub fn give_back(&mut self) -> Unlinked {
        let mut unlinked = Unlinked::later();
        if self.destroyed {
            self.settling = Settling::NOTHING;
            return unlinked;
        }
        if let Some(patch) = self.settling.patch.take() {
            self.write_patch(&patch);
            let (start, end) = patch.pages();
            flush(start, end);
        }
        let Settling { ranges, count, .. } = &self.settling;
        for (start, end) in ranges.iter().take(*count).copied() {
            self.tables.for_each(start, end, |_, slot| {
                let entry = slot.get();
                if entry & RETIRED != 0 {
                    slot.set(0);
                    frames::free(page_table::frame_of(entry));
                }
            });
            if self.regions.is_free(start, end) {
                let free = self.regions.gap_around(start, end);
                self.tables.free_empty((start, end), free, &mut unlinked);
            }
        }
        if unlinked.is_empty() {
            self.settling = Settling::NOTHING;
        }
        unlinked
    }
}
