//! Making pages present: at the first touch, and as the process's own copy.
//!
//! The regions say what may be; the page tables are filled from them here and nowhere else.

use kiln_interface::kernel::Protection;
use kiln_object::layout::USER_END;
use kiln_object::{Error, dispatcher::fault_cause};

use super::{Access, AddressSpace, flush, rights};
use crate::memory::PAGE_BYTES;
use crate::memory::cache::Cache;
use crate::memory::frames::{self, Frame};
use crate::memory::page_table::{self, OWNED, PRESENT, WRITABLE};
use crate::memory::region::{Backing, Region};

/// Bytes that are patched at once at most.
pub const PATCH_BYTES: usize = 16;

/// Bytes that are to be written at an address.
#[derive(Debug)]
pub(super) struct Patch {
    address: u64,
    bytes: [u8; PATCH_BYTES],
    length: usize,
}

impl Patch {
    fn new(address: u64, bytes: &[u8]) -> Option<Self> {
        let mut patch = Self {
            address,
            bytes: [0; PATCH_BYTES],
            length: bytes.len(),
        };
        patch.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(patch)
    }

    fn bytes(&self) -> impl Iterator<Item = (u64, u8)> {
        let bytes = self.bytes.iter().take(self.length);
        (self.address..).zip(bytes.copied())
    }

    /// The pages in which they lie.
    pub(super) fn pages(&self) -> (u64, u64) {
        let end = self.address + self.length as u64;
        (self.address & !(PAGE_BYTES - 1), end)
    }
}

/// Pages of a file that one read fault maps at most, around the touched one.
pub(super) const FAULT_AROUND: u64 = 16;

impl AddressSpace {
    /// Writes up to `PATCH_BYTES` `bytes` into private copies of mapped pages, whatever their protection.
    ///
    /// No processor executes an instruction of which some bytes are old and some new (Intel SDM vol. 3, 9.1.3).
    /// Where another may run this process, the pages are first taken out of the tables; when all have let go
    /// of them the bytes are written, and then the pages are there again. Who touches them meanwhile
    /// faults, waits in the kernel, and comes back by IRET, which serialises.
    ///
    /// # Errors
    /// `BadBuffer` where nothing is mapped, `Exhausted` without memory for the copy, `TooLarge`.
    pub fn patch(&mut self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = address
            .checked_add(bytes.len() as u64)
            .ok_or(Error::BadArgument)?;
        if end > USER_END || self.regions.touches_pinned(address, end) {
            return Err(Error::Denied);
        }
        let patch = Patch::new(address, bytes).ok_or(Error::TooLarge)?;
        let first = address & !(PAGE_BYTES - 1);
        for page in (first..end).step_by(PAGE_BYTES as usize) {
            self.own_page(page)?;
        }
        if self.is_shared() {
            for page in (first..end).step_by(PAGE_BYTES as usize) {
                if let Some(mut slot) = self.tables.existing_slot(page) {
                    let entry = slot.get();
                    slot.set(entry & !PRESENT);
                }
            }
            self.settle_with(patch);
        } else {
            self.write_patch(&patch);
        }
        self.changed(first, end);
        Ok(())
    }

    /// Writes it, and has its pages there afterwards; nobody uses them now but this processor, which then
    /// flushes them.
    pub(super) fn write_patch(&mut self, patch: &Patch) {
        for (at, byte) in patch.bytes() {
            let Some(slot) = self.tables.existing_slot(at) else {
                continue;
            };
            let entry = slot.get();
            if entry & OWNED == 0 {
                continue;
            }
            let inside = (at % PAGE_BYTES) as usize;
            // SAFETY: the frame is the process's own, and the offset lies in its page.
            unsafe {
                let place = page_table::frame_of(entry).pointer().add(inside);
                place.write_volatile(byte);
            }
        }
        let (first, end) = patch.pages();
        for page in (first..end).step_by(PAGE_BYTES as usize) {
            if let Some(mut slot) = self.tables.existing_slot(page)
                && slot.get() & OWNED != 0
            {
                let entry = slot.get();
                slot.set(entry | PRESENT);
            }
        }
    }

    /// Makes the mapped page at `page` the process's own, with its protection unchanged.
    fn own_page(&mut self, page: u64) -> Result<Frame, Error> {
        let (_, region) = self.regions.find(page).ok_or(Error::BadBuffer)?;
        let protection = region.protection;
        if self
            .tables
            .existing_slot(page)
            .is_none_or(|slot| slot.get() & PRESENT == 0)
        {
            self.resolve(page, Access::Read)
                .map_err(|_| Error::BadBuffer)?;
        }
        let purpose = self.purpose(page);
        let mut slot = self.tables.existing_slot(page).ok_or(Error::BadBuffer)?;
        let entry = slot.get();
        let old = page_table::frame_of(entry);
        if entry & OWNED != 0 {
            return Ok(old);
        }
        let new = frames::allocate_for(purpose).ok_or(Error::Exhausted)?;
        frames::copy(new, old);
        slot.set(new.physical() | rights(protection) | PRESENT | OWNED);
        self.resident_pages += 1;
        Ok(new)
    }

    /// Makes the touched page present, or says why it cannot be (see [`fault_cause`]).
    ///
    /// # Errors
    /// The cause, for the process.
    pub fn resolve(&mut self, address: u64, access: Access) -> Result<(), u64> {
        let page = address & !(PAGE_BYTES - 1);
        let (start, region) = self.regions.find(page).ok_or(fault_cause::UNMAPPED)?;
        let needed = match access {
            Access::Read => Protection::READ,
            Access::Write => Protection::WRITE,
            Access::Execute => Protection::EXECUTE,
        };
        // The processor cannot forbid loads alone, so any mapping that allows something allows them.
        let allowed = region.protection.contains(needed)
            || (access == Access::Read && !region.protection.is_empty());
        if !allowed {
            return Err(fault_cause::PROTECTION);
        }
        if !matches!(region.backing, Backing::Anonymous) {
            let region = *region;
            return self.resolve_view(start, region, page, access);
        }
        let protection = region.protection;
        let purpose = self.purpose(page);
        let mut slot = self
            .tables
            .slot_made_for(page, purpose)
            .map_err(|_| fault_cause::NO_MEMORY)?;
        if slot.get() & PRESENT != 0 {
            return Ok(());
        }
        let frame = frames::allocate_zeroed_for(purpose).ok_or(fault_cause::NO_MEMORY)?;
        slot.set(frame.physical() | rights(protection) | PRESENT | OWNED);
        self.resident_pages += 1;
        Ok(())
    }

    /// The same in a region that shows something; what it does not need stays out of the way of the rest.
    #[inline(never)]
    fn resolve_view(
        &mut self,
        start: u64,
        region: Region,
        page: u64,
        access: Access,
    ) -> Result<(), u64> {
        match region.backing {
            Backing::Pinned | Backing::Anonymous => Err(fault_cause::PROTECTION),
            Backing::File { cache, offset } => {
                let range = (start, region.end);
                self.resolve_file(range, page, access, region.protection, cache, offset)
            }
            Backing::Paged { .. } => self.resolve_paged(start, region, page, access),
        }
    }

    fn resolve_file(
        &mut self,
        (start, end): (u64, u64),
        page: u64,
        access: Access,
        protection: Protection,
        cache: Cache,
        offset: u64,
    ) -> Result<(), u64> {
        let source = cache
            .page(offset + (page - start))
            .ok_or(fault_cause::BEYOND_END)?;
        let purpose = self.purpose(page);
        if access == Access::Write {
            return self.make_own(page, source, protection);
        }
        let around = page & !(FAULT_AROUND * PAGE_BYTES - 1);
        let first = around.max(start);
        let last = (around + FAULT_AROUND * PAGE_BYTES).min(end);
        let rights = (rights(protection) & !WRITABLE) | PRESENT;
        for address in (first..last).step_by(PAGE_BYTES as usize) {
            let Some(physical) = cache.page(offset + (address - start)) else {
                break;
            };
            let mut slot = self
                .tables
                .slot_made_for(address, purpose)
                .map_err(|_| fault_cause::NO_MEMORY)?;
            if slot.get() == 0 {
                slot.set(physical | rights);
            }
        }
        Ok(())
    }

    /// Makes `page` the process's own copy of the file's page at `source`, to be written.
    pub(super) fn make_own(
        &mut self,
        page: u64,
        source: u64,
        protection: Protection,
    ) -> Result<(), u64> {
        let purpose = self.purpose(page);
        let mut slot = self
            .tables
            .slot_made_for(page, purpose)
            .map_err(|_| fault_cause::NO_MEMORY)?;
        let entry = slot.get();
        if entry & OWNED != 0 {
            // It is the process's own already: a second copy would lose the first.
            slot.set(entry | PRESENT | WRITABLE);
            flush(page, page + PAGE_BYTES);
            return Ok(());
        }
        let frame = frames::allocate_for(purpose).ok_or(fault_cause::NO_MEMORY)?;
        frames::copy(frame, Frame::at(source));
        slot.set(frame.physical() | rights(protection) | PRESENT | OWNED);
        self.resident_pages += 1;
        // Other processors may still read the file's page.
        self.changed(page, page + PAGE_BYTES);
        Ok(())
    }
}
