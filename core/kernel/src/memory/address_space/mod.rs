//! One process's memory: its regions, and the page tables that cache them.
//!
//! The caller holds the process's lock. Requests check their ranges first; what they change is
//! taken out of the page tables at once and comes back by faults. Where other processors may have
//! these tables loaded the pages are only given back when those have let go: see `settling`.

mod paging;
mod presence;
mod relocation;
mod settling;

use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::Error;
use kiln_object::layout::{SYSTEM_END, SYSTEM_START, USER_END, USER_START};

use super::PAGE_BYTES;
use super::frames::{self, Frame, Purpose};
use super::page_table::{
    self, NO_EXECUTE, OWNED, PRESENT, PageTable, RETIRED, USER, Unlinked, WRITABLE,
};
use super::region::{Backing, Region, RegionMap};
use super::{heap, kernel_space};
use paging::Paging;
use settling::Settling;

pub use paging::WAITS;

/// Regions that a process may have, and how many more one request may make of them at most.
pub(super) const REGIONS: usize = 65_530;
pub(super) const REGIONS_AT_ONCE: usize = 3;

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
    /// It is the program's process: others come first when memory runs low.
    program: bool,
    /// The tables were given back: nothing is mapped any more.
    destroyed: bool,
    /// Processors that may have these tables loaded, as bits.
    cpus: u64,
    /// What the running request has taken out and other processors may still see.
    settling: Settling,
    /// The files whose pages servers bring.
    paging: Paging,
}

impl AddressSpace {
    /// An address space that shows only the kernel; `program` as in [`Purpose`].
    ///
    /// # Errors
    /// [`Error::Exhausted`] without memory for the root table.
    pub fn new(program: bool) -> Result<Self, Error> {
        let root = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        kernel_space::share_with(root);
        // SAFETY: the table is fresh and this is its only owner.
        let tables = unsafe { PageTable::from_root(root) };
        Ok(Self {
            regions: RegionMap::new(),
            tables,
            resident_pages: 0,
            program,
            destroyed: false,
            cpus: 0,
            settling: Settling::NOTHING,
            paging: Paging::new(),
        })
    }

    fn purpose(&self, page: u64) -> Purpose {
        if !self.program {
            Purpose::Server
        } else if (SYSTEM_START..SYSTEM_END).contains(&page) {
            Purpose::System
        } else {
            Purpose::Program
        }
    }

    /// Whether regions may still be added, and the kernel has room to note them.
    fn admit(&self) -> Result<(), Error> {
        if self.destroyed {
            return Err(Error::ServerDied);
        }
        if self.regions.len() > REGIONS - REGIONS_AT_ONCE {
            return Err(Error::Exhausted);
        }
        heap::ensure_room(self.program)
    }

    /// As [`AddressSpace::admit`], if taking the range out splits a region: to give whole ones back
    /// must work when nothing else does.
    fn admit_splitting(&self, start: u64, end: u64) -> Result<(), Error> {
        if self.regions.is_split_by(start, end) {
            self.admit()
        } else {
            Ok(())
        }
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

    /// Where that number lies.
    #[must_use]
    pub(crate) fn resident_pages_place(&self) -> *const u64 {
        &raw const self.resident_pages
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
        let offset = backing.offset();
        offset.checked_add(length).ok_or(Error::BadArgument)?;
        self.admit()?;
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
        self.put_region(
            start,
            Region {
                end: start + length,
                protection,
                backing,
            },
        );
        // What was replaced may have to go first: then the pages come by their faults.
        if flags.contains(MapFlags::POPULATE) && !self.is_settling() {
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
    #[inline(never)]
    pub fn pin(&mut self, address: u64, frame: Frame, protection: Protection) -> Result<(), Error> {
        if self.destroyed {
            return Err(Error::ServerDied);
        }
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
        self.admit_splitting(address, end)?;
        self.take_out(address, end);
        Ok(())
    }

    /// Removes the regions of the range with their pages, and tables that are not needed any more.
    fn take_out(&mut self, start: u64, end: u64) {
        let mut next = start;
        while let Some((from, region)) = self.take_region(next, end) {
            next = region.end;
            self.clear(from, next);
        }
        if next == start {
            return;
        }
        self.paging.sort_out();
        if !self.is_shared() {
            let free = self.regions.gap_around(start, end);
            self.tables
                .free_empty((start, end), free, &mut Unlinked::AtOnce);
        }
        self.changed(start, end);
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
        if protection.contains(Protection::WRITE) && self.refuses_stores(address, end) {
            return Err(Error::Denied);
        }
        self.admit_splitting(address, end)?;
        let mut next = address;
        while let Some((start, region)) = self.take_region(next, end) {
            next = region.end;
            self.put_region(
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
        self.changed(address, end);
        Ok(())
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
        // Nothing is mapped after the end, and the tables are others'.
        if !self.destroyed {
            self.clear(address, end);
            self.changed(address, end);
        }
        Ok(())
    }

    /// Gives pages back, or marks them to be given back when no other processor sees them; the caller
    /// says that the range has changed before anything else runs.
    fn clear(&mut self, start: u64, end: u64) {
        let mut freed = 0;
        let shared = self.is_shared();
        self.tables.for_each(start, end, |_, slot| {
            let entry = slot.get();
            if entry & OWNED == 0 {
                slot.set(0);
                return;
            }
            freed += 1;
            if shared {
                slot.set(entry & !PRESENT | RETIRED);
            } else {
                slot.set(0);
                frames::free(page_table::frame_of(entry));
            }
        });
        self.resident_pages -= freed;
    }

    /// Gives everything back: pages, tables and the root. Nothing runs on these tables any more, but
    /// whoever was given the object may still ask.
    pub fn destroy(&mut self) {
        if self.destroyed {
            return;
        }
        self.destroyed = true;
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
        self.paging.forget_all();
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
