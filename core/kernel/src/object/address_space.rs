//! A process's own memory as an object.

use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_interface::kernel::{
    AddressSpace as Interface, AddressSpaceDispatch, FileCache, MapFlags,
    PagedFile as PagedFileInterface, Protection,
};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{Dispatch, Error, ObjectName, ProcessId, RawReference, Reference, Rights};

use super::file_cache::{self, Mappable};
use super::paged_file;
use crate::memory::address_space::AddressSpace;
use crate::memory::heap;
use crate::memory::paged_file::{PagedFile, Pager};
use crate::memory::region::{Backing, Stores};
use crate::process::Process;

/// Tries to move a mapping to a place where others of the same process keep mapping something.
const RELOCATIONS: usize = 16;

/// The memory of one incarnation: whoever has the object of an ended one does not get at the next's.
struct Memory(&'static Process, ProcessId);

impl Memory {
    fn change<R>(
        &self,
        request: impl FnOnce(&mut AddressSpace) -> Result<R, Error>,
    ) -> Result<R, Error> {
        // Dropped when the request has settled.
        let mut unmapped = Vec::new();
        self.0.change_as(self.1, |space| {
            let outcome = request(space);
            unmapped = space.take_unmapped();
            outcome
        })
    }
}

/// The object for `process`.
#[must_use]
pub fn address_space(process: &'static Process) -> Arc<dyn Dispatch> {
    Arc::new(AddressSpaceDispatch(Memory(process, process.id())))
}

fn protection(bits: u32) -> Result<Protection, Error> {
    Protection::from_bits(bits).ok_or(Error::BadArgument)
}

fn flags(bits: u32) -> Result<MapFlags, Error> {
    MapFlags::from_bits(bits).ok_or(Error::BadArgument)
}

impl Interface for Memory {
    fn map_anonymous(&self, address: u64, length: u64, bits: u32, how: u32) -> Result<u64, Error> {
        let (protection, flags) = (protection(bits)?, flags(how)?);
        self.change(|space| space.map(address, length, protection, flags, Backing::Anonymous))
    }

    fn map_file(
        &self,
        cache: Reference<dyn FileCache>,
        offset: u64,
        address: u64,
        length: u64,
        protection_and_flags: u64,
    ) -> Result<u64, Error> {
        let protection = protection(protection_and_flags as u32)?;
        let flags = flags((protection_and_flags >> 32) as u32)?;
        if !offset.is_multiple_of(PAGE_BYTES) {
            return Err(Error::BadArgument);
        }
        let (cache, rights) = file_cache::resolve(self.0, cache)?;
        if !rights.contains(Rights::MAP) {
            return Err(Error::Denied);
        }
        let is_written = flags.contains(MapFlags::SHARED) && protection.contains(Protection::WRITE);
        match cache {
            Mappable::Image(_) if is_written => Err(Error::ReadOnly),
            Mappable::Image(cache) => {
                let backing = Backing::File { cache, offset };
                self.change(|space| space.map(address, length, protection, flags, backing))
            }
            Mappable::Kept(_) if is_written && !rights.contains(Rights::WRITE) => {
                Err(Error::Denied)
            }
            // It would wait for itself.
            Mappable::Kept(file) if file.pager() == Some(self.1) => Err(Error::Denied),
            Mappable::Kept(file) => {
                let stores = if !flags.contains(MapFlags::SHARED) {
                    Stores::ToCopies
                } else if rights.contains(Rights::WRITE) {
                    Stores::ToFile
                } else {
                    Stores::Refused
                };
                self.change(|space| {
                    space.map_paged(&file, (offset, stores), address, length, protection, flags)
                })
            }
        }
    }

    fn create_file(
        &self,
        length: u64,
        pager: u64,
        key: u64,
    ) -> Result<Reference<dyn PagedFileInterface>, Error> {
        if !self.0.lives_as(self.1) {
            return Err(Error::ServerDied);
        }
        let pager = (pager != 0).then(|| Pager {
            process: self.1,
            object: ObjectName::from_raw(pager),
            key,
        });
        let program = self.0.is_program();
        heap::ensure_room(program)?;
        let file = PagedFile::new(pager, program, length)?;
        let object = paged_file::paged_file(file);
        let object = self.0.give(object, Rights::CONTROL, &self.0.share)?;
        Ok(Reference::new(RawReference {
            process: ProcessId::KERNEL,
            object,
        }))
    }

    fn unmap(&self, address: u64, length: u64) -> Result<(), Error> {
        self.change(|space| space.unmap(address, length))
    }

    fn protect(&self, address: u64, length: u64, bits: u32) -> Result<(), Error> {
        let protection = protection(bits)?;
        self.change(|space| space.protect(address, length, protection))
    }

    fn relocate(
        &self,
        address: u64,
        length: u64,
        new_address: u64,
        new_length: u64,
    ) -> Result<u64, Error> {
        // In one go, unless other processors have to let go of what the target replaces first.
        for _ in 0..RELOCATIONS {
            let moved =
                self.change(|space| space.relocate(address, length, new_address, new_length))?;
            if let Some(place) = moved {
                return Ok(place);
            }
        }
        Err(Error::Busy)
    }

    fn discard(&self, address: u64, length: u64) -> Result<(), Error> {
        self.change(|space| space.discard(address, length))
    }

    fn patch(&self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        self.change(|space| space.patch(address, bytes))
    }

    fn region(&self, address: u64) -> Result<((u64, u64), (u64, u64)), Error> {
        let (start, region) = self.change(|space| {
            let found = space.regions().find_or_next(address);
            let found = found.map(|(start, region)| (start, *region));
            found.ok_or(Error::NotFound)
        })?;
        let offset = region.backing.offset();
        Ok((
            (start, region.end),
            (u64::from(region.protection.bits()), offset),
        ))
    }
}
