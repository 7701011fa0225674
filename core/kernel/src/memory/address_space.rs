//! One process's memory: its regions, and the page tables that cache them.
//!
//! The caller holds the process's lock. Requests check their ranges first; what they change is
//! taken out of the page tables at once and comes back by faults.

use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::layout::{USER_END, USER_START};
use kiln_object::{Error, dispatcher::fault_cause};

use super::PAGE_BYTES;
use super::cache::Cache;
use super::frames::{self, Frame};
use super::kernel_space;
use super::page_table::{self, NO_EXECUTE, OWNED, PRESENT, PageTable, USER, WRITABLE};
use super::region::{Backing, Region, RegionMap};

/// Pages of a file that one read fault maps at most, around the touched one.
const FAULT_AROUND: u64 = 16;

/// Pages that are flushed one by one; above that the whole TLB is.
const SINGLE_FLUSHES: u64 = 16;

/// What a fault was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// The memory of one process.
#[derive(Debug)]
pub struct AddressSpace {
    regions: RegionMap,
    tables: PageTable,
    resident_pages: u64,
}

impl AddressSpace {
    /// An address space that shows only the kernel.
    ///
    /// # Errors
    /// [`Error::Exhausted`] without memory for the root table.
    pub fn new() -> Result<Self, Error> {
        let root = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        kernel_space::share_with(root);
        // SAFETY: the table is fresh and this is its only owner.
        let tables = unsafe { PageTable::from_root(root) };
        Ok(Self {
            regions: RegionMap::new(),
            tables,
            resident_pages: 0,
        })
    }

    /// What CR3 is loaded with.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.tables.root().physical()
    }

    /// The regions.
    #[must_use]
    pub fn regions(&self) -> &RegionMap {
        &self.regions
    }

    /// Pages of memory that only this process uses.
    #[must_use]
    pub fn resident_pages(&self) -> u64 {
        self.resident_pages
    }

    /// Maps `backing` and answers where; `flags` decide about `address`.
    ///
    /// # Errors
    /// `BadArgument` for a range or protection that cannot be, `Occupied`, `Exhausted` if no room.
    pub fn map(
        &mut self,
        address: u64,
        length: u64,
        protection: Protection,
        flags: MapFlags,
        backing: Backing,
    ) -> Result<u64, Error> {
        if protection.contains(Protection::WRITE | Protection::EXECUTE) {
            return Err(Error::Denied);
        }
        let length = length
            .checked_next_multiple_of(PAGE_BYTES)
            .ok_or(Error::BadArgument)?;
        let start = if flags.intersects(MapFlags::REPLACE | MapFlags::EXACT) {
            let end = check(address, length)?;
            if flags.contains(MapFlags::REPLACE) {
                self.unmap(address, length)?;
            } else if !self.regions.is_free(address, end) {
                return Err(Error::Occupied);
            }
            address
        } else {
            let ceiling = if address == 0 {
                USER_END
            } else {
                address.min(USER_END)
            };
            let ceiling = ceiling & !(PAGE_BYTES - 1);
            if length == 0 {
                return Err(Error::BadArgument);
            }
            self.regions
                .find_room(USER_START, ceiling, length)
                .ok_or(Error::Exhausted)?
        };
        self.regions.insert(
            start,
            Region {
                end: start + length,
                protection,
                backing,
            },
        );
        if flags.contains(MapFlags::POPULATE) {
            self.populate(start, start + length);
        }
        Ok(start)
    }

    /// Fills the range as far as memory goes; a page that fails comes by its fault.
    fn populate(&mut self, start: u64, end: u64) {
        let mut address = start;
        while address < end {
            let access = match self.regions.find(address) {
                Some((_, region)) if region.protection.contains(Protection::WRITE) => Access::Write,
                _ => Access::Read,
            };
            if self.resolve(address, access).is_err() {
                return;
            }
            address += PAGE_BYTES;
        }
    }

    /// Maps a frame that the kernel keeps.
    ///
    /// # Errors
    /// `Exhausted` without memory for tables; `Occupied`.
    pub fn pin(&mut self, address: u64, frame: Frame, protection: Protection) -> Result<(), Error> {
        if !self.regions.is_free(address, address + PAGE_BYTES) {
            return Err(Error::Occupied);
        }
        let entry = frame.physical() | rights(protection) | PRESENT;
        self.tables
            .slot_for(address)
            .map_err(|_| Error::Exhausted)?
            .set(entry);
        let region = Region {
            end: address + PAGE_BYTES,
            protection,
            backing: Backing::Pinned,
        };
        self.regions.insert(address, region);
        Ok(())
    }

    /// Removes what is mapped in the range.
    ///
    /// # Errors
    /// `BadArgument` for an impossible range, `Denied` if the kernel's own pages lie in it.
    pub fn unmap(&mut self, address: u64, length: u64) -> Result<(), Error> {
        let end = check(address, length)?;
        if self.regions.touches_pinned(address, end) {
            return Err(Error::Denied);
        }
        for (start, region) in self.regions.remove(address, end) {
            self.clear(start, region.end);
        }
        Ok(())
    }

    /// Changes the protection of a range that is mapped throughout.
    ///
    /// # Errors
    /// As [`AddressSpace::unmap`]; `NotFound` if part of it is not mapped.
    pub fn protect(
        &mut self,
        address: u64,
        length: u64,
        protection: Protection,
    ) -> Result<(), Error> {
        if protection.contains(Protection::WRITE | Protection::EXECUTE) {
            return Err(Error::Denied);
        }
        let end = check(address, length)?;
        if self.regions.touches_pinned(address, end) {
            return Err(Error::Denied);
        }
        if !self.regions.is_covered(address, end) {
            return Err(Error::NotFound);
        }
        for (start, region) in self.regions.remove(address, end) {
            self.regions.insert(
                start,
                Region {
                    protection,
                    ..region
                },
            );
        }
        // Only an owned page may become writable in place: others are still shared with a file.
        self.tables.for_each(address, end, |_, slot| {
            let entry = slot.get();
            let mut new = (entry & !(WRITABLE | NO_EXECUTE | USER | PRESENT)) | rights(protection);
            if entry & OWNED == 0 {
                new &= !WRITABLE;
            }
            slot.set(if protection.is_empty() {
                new & !PRESENT
            } else {
                new | PRESENT
            });
        });
        flush(address, end);
        Ok(())
    }

    /// Moves a mapping with its pages; answers the new address.
    ///
    /// # Errors
    /// `NotFound` unless one region covers the old range; as [`AddressSpace::map`].
    pub fn relocate(
        &mut self,
        address: u64,
        length: u64,
        new_address: u64,
        new_length: u64,
    ) -> Result<u64, Error> {
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
        let backing = match region.backing {
            Backing::File { cache, offset } => Backing::File {
                cache,
                offset: offset + (address - start),
            },
            other => other,
        };
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
        }
        let target = self.map(new_address, new_length, region.protection, flags, backing)?;
        let kept = length.min(new_length.next_multiple_of(PAGE_BYTES));
        for offset in (0..kept).step_by(PAGE_BYTES as usize) {
            let Some(mut slot) = self.tables.existing_slot(address + offset) else {
                continue;
            };
            let entry = slot.get();
            if entry == 0 {
                continue;
            }
            slot.set(0);
            match self.tables.slot_for(target + offset) {
                Ok(mut slot) => slot.set(entry),
                Err(_) => {
                    // The page is lost with its table; it reads as fresh memory.
                    if entry & OWNED != 0 {
                        frames::free(page_table::frame_of(entry));
                    }
                    return Err(Error::Exhausted);
                }
            }
        }
        for (piece, region) in self.regions.remove(address, end) {
            self.clear(piece, region.end);
        }
        flush(address, end);
        Ok(target)
    }

    /// Gives the range's pages back; the next touch finds zeroes, or the file.
    ///
    /// # Errors
    /// As [`AddressSpace::unmap`].
    pub fn discard(&mut self, address: u64, length: u64) -> Result<(), Error> {
        let end = check(address, length)?;
        if self.regions.touches_pinned(address, end) {
            return Err(Error::Denied);
        }
        self.clear(address, end);
        Ok(())
    }

    /// Writes `bytes` into private copies of mapped pages, whatever their protection.
    ///
    /// # Errors
    /// `BadBuffer` where nothing is mapped, `Exhausted` without memory for the copy.
    pub fn patch(&mut self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = address
            .checked_add(bytes.len() as u64)
            .ok_or(Error::BadArgument)?;
        if end > USER_END || self.regions.touches_pinned(address, end) {
            return Err(Error::Denied);
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = address + done as u64;
            let page = at & !(PAGE_BYTES - 1);
            let inside = (at - page) as usize;
            let part = (bytes.len() - done).min(PAGE_BYTES as usize - inside);
            let frame = self.own_page(page)?;
            let source = bytes.get(done..done + part).ok_or(Error::BadArgument)?;
            // SAFETY: the frame is the process's own and `inside + part` stays in the page.
            unsafe {
                core::ptr::copy_nonoverlapping(source.as_ptr(), frame.pointer().add(inside), part);
            }
            done += part;
        }
        flush(address & !(PAGE_BYTES - 1), end);
        Ok(())
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
        let mut slot = self.tables.slot_for(page).map_err(|_| Error::Exhausted)?;
        let entry = slot.get();
        let old = page_table::frame_of(entry);
        if entry & OWNED != 0 {
            return Ok(old);
        }
        let new = frames::allocate().ok_or(Error::Exhausted)?;
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
        let protection = region.protection;
        match region.backing {
            Backing::Pinned => Err(fault_cause::PROTECTION),
            Backing::Anonymous => {
                let mut slot = self
                    .tables
                    .slot_for(page)
                    .map_err(|_| fault_cause::NO_MEMORY)?;
                if slot.get() & PRESENT != 0 {
                    return Ok(());
                }
                let frame = frames::allocate_zeroed().ok_or(fault_cause::NO_MEMORY)?;
                slot.set(frame.physical() | rights(protection) | PRESENT | OWNED);
                self.resident_pages += 1;
                Ok(())
            }
            Backing::File { cache, offset } => {
                let end = region.end;
                self.resolve_file((start, end), page, access, protection, cache, offset)
            }
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
        if access == Access::Write {
            let mut slot = self
                .tables
                .slot_for(page)
                .map_err(|_| fault_cause::NO_MEMORY)?;
            if slot.get() & (PRESENT | OWNED | WRITABLE) == PRESENT | OWNED | WRITABLE {
                return Ok(());
            }
            let frame = frames::allocate().ok_or(fault_cause::NO_MEMORY)?;
            frames::copy(frame, Frame::at(source));
            slot.set(frame.physical() | rights(protection) | PRESENT | OWNED);
            self.resident_pages += 1;
            flush(page, page + PAGE_BYTES);
            return Ok(());
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
                .slot_for(address)
                .map_err(|_| fault_cause::NO_MEMORY)?;
            if slot.get() == 0 {
                slot.set(physical | rights);
            }
        }
        Ok(())
    }

    fn clear(&mut self, start: u64, end: u64) {
        let mut freed = 0;
        self.tables.for_each(start, end, |_, slot| {
            let entry = slot.get();
            slot.set(0);
            if entry & OWNED != 0 {
                frames::free(page_table::frame_of(entry));
                freed += 1;
            }
        });
        self.resident_pages -= freed;
        flush(start, end);
    }

    /// Gives everything back: pages, tables and the root. Nothing runs on these tables any more.
    pub fn destroy(&mut self) {
        self.tables.for_each(0, USER_END, |_, slot| {
            let entry = slot.get();
            slot.set(0);
            if entry & OWNED != 0 {
                frames::free(page_table::frame_of(entry));
            }
        });
        self.tables.free_user_tables();
        frames::free(self.tables.root());
        self.regions = RegionMap::new();
        self.resident_pages = 0;
    }
}

fn check(address: u64, length: u64) -> Result<u64, Error> {
    let length = length
        .checked_next_multiple_of(PAGE_BYTES)
        .ok_or(Error::BadArgument)?;
    let end = address.checked_add(length).ok_or(Error::BadArgument)?;
    let aligned = address.is_multiple_of(PAGE_BYTES) && length != 0;
    if aligned && address >= USER_START && end <= USER_END {
        Ok(end)
    } else {
        Err(Error::BadArgument)
    }
}

fn rights(protection: Protection) -> u64 {
    let mut rights = USER;
    if protection.contains(Protection::WRITE) {
        rights |= WRITABLE;
    }
    if !protection.contains(Protection::EXECUTE) {
        rights |= NO_EXECUTE;
    }
    rights
}

/// Drops this CPU's cached translations of the range.
fn flush(start: u64, end: u64) {
    if (end - start).div_ceil(PAGE_BYTES) > SINGLE_FLUSHES {
        // SAFETY: reloading CR3 with itself changes nothing but the TLB.
        unsafe {
            core::arch::asm!(
                "mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags)
            );
        }
        return;
    }
    let mut address = start & !(PAGE_BYTES - 1);
    while address < end {
        // SAFETY: invlpg changes nothing but the TLB.
        unsafe {
            core::arch::asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags));
        }
        address += PAGE_BYTES;
    }
}
