//! Moving a mapping and its pages to other addresses.
//!
//! Whatever can fail is done before the first page moves.

use kiln_interface::kernel::MapFlags;
use kiln_object::Error;

use super::{AddressSpace, check};
use crate::memory::PAGE_BYTES;
use crate::memory::page_table::NoMemory;
use crate::memory::region::Backing;

impl AddressSpace {
    /// Moves a mapping with its pages; answers the new address, or nothing if what was mapped there
    /// had to be taken out first and is on its way: then ask again.
    ///
    /// # Errors
    /// `NotFound` unless one region covers the old range; as [`AddressSpace::map`].
    pub fn relocate(
        &mut self,
        address: u64,
        length: u64,
        new_address: u64,
        new_length: u64,
    ) -> Result<Option<u64>, Error> {
        let end = check(address, length)?;
        let length = end - address;
        let (start, region) = self.regions.find(address).ok_or(Error::NotFound)?;
        let region = *region;
        if region.end < end {
            return Err(Error::NotFound);
        }
        if region.backing == Backing::Pinned {
            return Err(Error::Denied);
        }
        let backing = region.backing.advanced(address - start);
        let flags = if new_address == 0 {
            MapFlags::empty()
        } else {
            MapFlags::REPLACE
        };
        if new_address != 0 {
            let new_end = check(new_address, new_length)?;
            if new_address < end && address < new_end {
                return Err(Error::BadArgument);
            }
            if self.is_shared() && !self.regions.is_free(new_address, new_end) {
                self.unmap(new_address, new_length)?;
                return Ok(None);
            }
        }
        let target = self.map(new_address, new_length, region.protection, flags, backing)?;
        let kept = length.min(new_length.next_multiple_of(PAGE_BYTES));
        if self.prepare(address, kept, target).is_err() {
            self.take_out(target, target + new_length.next_multiple_of(PAGE_BYTES));
            return Err(Error::Exhausted);
        }
        let mut next = address;
        while let Some((page, entry)) = self.tables.first_set(next, address + kept) {
            next = page + PAGE_BYTES;
            let place = target + (page - address);
            if let Some(mut slot) = self.tables.existing_slot(place) {
                slot.set(entry);
            }
            if let Some(mut slot) = self.tables.existing_slot(page) {
                slot.set(0);
            }
        }
        self.take_out(address, end);
        Ok(Some(target))
    }

    /// Makes the tables for the pages that `relocate` moves, so that it cannot fail half-way.
    fn prepare(&mut self, address: u64, length: u64, target: u64) -> Result<(), NoMemory> {
        let mut next = address;
        while let Some((page, _)) = self.tables.first_set(next, address + length) {
            next = page + PAGE_BYTES;
            let place = target + (page - address);
            self.tables.slot_made_for(place, self.purpose(place))?;
        }
        Ok(())
    }
}
