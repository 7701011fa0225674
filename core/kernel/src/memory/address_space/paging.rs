//! Mappings of files whose pages a server brings.
//!
//! Regions name such a file; the address space has it for as long as one does. What it lets go of is
//! kept until somebody without a lock drops it, since a file may be the last thing that knows its pages,
//! which other processors see until the request has settled.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::dispatcher::fault_cause;
use kiln_object::{Error, layout::USER_END};

use super::presence::FAULT_AROUND;
use super::{Access, AddressSpace, rights};
use crate::memory::PAGE_BYTES;
use crate::memory::page_table::{OWNED, PRESENT, WRITABLE};
use crate::memory::paged_file::{FileId, Look, PagedFile};
use crate::memory::region::{Backing, Region, Stores};

/// In place of a [`fault_cause`], which it never becomes: the page has to be brought.
pub const WAITS: u64 = u64::MAX;

/// Files that one address space maps at most.
const MOST_FILES: usize = 4096;

struct Mapped {
    file: Arc<PagedFile>,
    /// Bytes of regions that show it.
    bytes: u64,
}

/// The files of an address space.
pub(super) struct Paging {
    files: BTreeMap<FileId, Mapped>,
    /// What is not mapped any more; there is room for all that is.
    unmapped: Vec<Arc<PagedFile>>,
}

impl core::fmt::Debug for Paging {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_set().entries(self.files.keys()).finish()
    }
}

impl Paging {
    pub(super) const fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            unmapped: Vec::new(),
        }
    }

    fn add(&mut self, file: &Arc<PagedFile>) -> Result<(), Error> {
        if self.files.contains_key(&file.id()) {
            return Ok(());
        }
        if self.files.len() == MOST_FILES {
            return Err(Error::Exhausted);
        }
        let room = self.files.len() + 1;
        self.unmapped
            .try_reserve(room)
            .map_err(|_| Error::Exhausted)?;
        let mapped = Mapped {
            file: Arc::clone(file),
            bytes: 0,
        };
        file.count_map(true);
        self.files.insert(file.id(), mapped);
        Ok(())
    }

    fn count(&mut self, region: &Region, start: u64, more: bool) {
        if let Backing::Paged { file, .. } = region.backing
            && let Some(mapped) = self.files.get_mut(&file)
        {
            let bytes = region.end - start;
            mapped.bytes = if more {
                mapped.bytes.saturating_add(bytes)
            } else {
                mapped.bytes.saturating_sub(bytes)
            };
        }
    }

    /// Lets go of the files that no region shows.
    pub(super) fn sort_out(&mut self) {
        let unmapped = &mut self.unmapped;
        self.files.retain(|_, mapped| {
            if mapped.bytes == 0 {
                mapped.file.count_map(false);
                unmapped.push(Arc::clone(&mapped.file));
            }
            mapped.bytes != 0
        });
    }

    /// Lets go of all.
    pub(super) fn forget_all(&mut self) {
        self.files.values_mut().for_each(|mapped| mapped.bytes = 0);
        self.sort_out();
    }
}

impl AddressSpace {
    pub(super) fn put_region(&mut self, start: u64, region: Region) {
        self.paging.count(&region, start, true);
        self.regions.insert(start, region);
    }

    pub(super) fn take_region(&mut self, start: u64, end: u64) -> Option<(u64, Region)> {
        let (from, region) = self.regions.take_first(start, end)?;
        self.paging.count(&region, from, false);
        Some((from, region))
    }

    /// Maps `file` from an offset, with stores going where that says, as [`AddressSpace::map`] does.
    ///
    /// # Errors
    /// The same, and `Exhausted` with too many files.
    pub fn map_paged(
        &mut self,
        file: &Arc<PagedFile>,
        (offset, stores): (u64, Stores),
        address: u64,
        length: u64,
        protection: Protection,
        flags: MapFlags,
    ) -> Result<u64, Error> {
        self.admit()?;
        self.paging.add(file)?;
        let backing = Backing::Paged {
            file: file.id(),
            offset,
            stores,
        };
        // What it replaces may be all that showed the file: it is let go of below, not in between.
        if let Some(mapped) = self.paging.files.get_mut(&file.id()) {
            mapped.bytes = mapped.bytes.saturating_add(PAGE_BYTES);
        }
        let mapped = self.map(address, length, protection, flags, backing);
        if let Some(mapped) = self.paging.files.get_mut(&file.id()) {
            mapped.bytes = mapped.bytes.saturating_sub(PAGE_BYTES);
        }
        self.paging.sort_out();
        mapped
    }

    /// Whether part of the range can never be written.
    pub(super) fn refuses_stores(&self, start: u64, end: u64) -> bool {
        let mut regions = self.regions.overlapping(start, end);
        regions.any(|(_, region)| match region.backing {
            Backing::Paged { stores, .. } => stores == Stores::Refused,
            _ => false,
        })
    }

    /// The files that are not mapped any more, to be dropped when the request has settled and no lock is
    /// held.
    #[must_use]
    pub fn take_unmapped(&mut self) -> Vec<Arc<PagedFile>> {
        if self.paging.unmapped.is_empty() {
            return Vec::new();
        }
        core::mem::take(&mut self.paging.unmapped)
    }

    /// The file that `address` shows, and the number of the page.
    #[must_use]
    pub fn paged_at(&self, address: u64) -> Option<(Arc<PagedFile>, u64)> {
        let (start, region) = self.regions.find(address)?;
        let Backing::Paged { file, offset, .. } = region.backing else {
            return None;
        };
        let number = (offset + (address - start)) / PAGE_BYTES;
        Some((Arc::clone(&self.paging.files.get(&file)?.file), number))
    }

    /// Takes the pages of `file` from the number `first` on out of the tables; private copies stay.
    pub fn forget_pages(&mut self, file: FileId, first: u64) {
        if !self.paging.files.contains_key(&file) {
            return;
        }
        let mut next = 0;
        while let Some((start, region)) = self.regions.find_or_next(next) {
            let region = *region;
            next = region.end;
            let Backing::Paged {
                file: shown,
                offset,
                ..
            } = region.backing
            else {
                continue;
            };
            let from = start + first.saturating_mul(PAGE_BYTES).saturating_sub(offset);
            if shown != file || from >= region.end {
                continue;
            }
            let from = from.max(start);
            self.tables
                .for_each(from, region.end.min(USER_END), |_, slot| {
                    if slot.get() & OWNED == 0 {
                        slot.set(0);
                    }
                });
            self.changed(from, region.end);
        }
    }

    pub(super) fn resolve_paged(
        &mut self,
        start: u64,
        region: Region,
        page: u64,
        access: Access,
    ) -> Result<(), u64> {
        let Backing::Paged {
            file,
            offset,
            stores,
        } = region.backing
        else {
            return Err(fault_cause::UNMAPPED);
        };
        let first_number = offset / PAGE_BYTES;
        let number = first_number + (page - start) / PAGE_BYTES;
        let mapped = self.paging.files.get(&file).ok_or(fault_cause::UNMAPPED)?;
        let source = match mapped.file.look(number) {
            Look::There(source) => source,
            Look::Absent => return Err(WAITS),
            Look::Failed => return Err(fault_cause::NOT_BROUGHT),
            Look::Beyond => return Err(fault_cause::BEYOND_END),
            Look::NoMemory => return Err(fault_cause::NO_MEMORY),
        };
        if access == Access::Write && stores == Stores::ToCopies {
            return self.make_own(page, source, region.protection);
        }
        let purpose = self.purpose(page);
        let mut rights = rights(region.protection) | PRESENT;
        if stores != Stores::ToFile {
            rights &= !WRITABLE;
        }
        let mut slot = self
            .tables
            .slot_made_for(page, purpose)
            .map_err(|_| fault_cause::NO_MEMORY)?;
        let entry = slot.get();
        if entry & OWNED == 0 {
            slot.set(source | rights);
            if entry & PRESENT != 0 {
                // It was there, but not to be written.
                super::flush(page, page + PAGE_BYTES);
            }
        }
        // Others that are there are mapped with it, as far as the table goes.
        let around = page & !(FAULT_AROUND * PAGE_BYTES - 1);
        let from = around.max(start);
        let end = (around + FAULT_AROUND * PAGE_BYTES).min(region.end);
        let tables = &mut self.tables;
        let number_of = |address: u64| first_number + (address - start) / PAGE_BYTES;
        mapped
            .file
            .there(number_of(from), number_of(end), |number, physical| {
                let address = start + (number - first_number) * PAGE_BYTES;
                if let Some(mut slot) = tables.existing_slot(address)
                    && slot.get() == 0
                {
                    slot.set(physical | rights);
                }
            });
        Ok(())
    }
}
