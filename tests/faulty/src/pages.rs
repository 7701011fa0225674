//! Files whose pages are brought, forgotten, or the end of their pager, as their numbers say.

use alloc::sync::Arc;

use kiln_interface::kernel::{
    AddressSpace as _, FileCache, MapFlags, PagedFile as _, PagedFileStub, Pager, PagerDispatch,
    Protection, protection_and_flags,
};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{Error, ProcessId, Reference, Rights};
use kiln_runtime::{Far, SpinMutex, address_space, objects};

use crate::failures;

/// Pages of the longest file.
pub const MOST: u64 = 32;

/// What the file is called.
const KEY: u64 = 7;

/// What every byte of a page is that is brought.
pub const CONTENT: u8 = 0x5a;

static FILE: SpinMutex<Option<PagedFileStub<Far>>> = SpinMutex::new(None);

struct Filler;

impl Pager for Filler {
    fn fill(&self, _key: u64, offset: u64) -> Result<(), Error> {
        match u32::try_from(offset / PAGE_BYTES) {
            Ok(0) => {
                let file = FILE.lock();
                let file = file.as_ref().ok_or(Error::NotFound)?;
                file.supply(offset, &[CONTENT; PAGE_BYTES as usize])
            }
            Ok(kind) if kind > 1 => {
                failures::fail(kind);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A file for `owner`, in place of the one before.
pub fn file(pages: u64, owner: ProcessId) -> Result<Reference<dyn FileCache>, Error> {
    let object = Arc::new(PagerDispatch(Filler));
    let pager = objects::export(object, ProcessId::KERNEL, Rights::CONTROL)?;
    let length = pages.min(MOST) * PAGE_BYTES;
    let file = address_space().create_file(length, pager.object.raw(), KEY)?;
    let file = PagedFileStub::new(file, Far);
    let shared = file.share(owner, (Rights::READ | Rights::MAP).bits());
    *FILE.lock() = Some(file);
    shared
}

/// Maps a file and says where.
pub fn map(file: Reference<dyn FileCache>) -> Result<u64, Error> {
    let how = protection_and_flags(Protection::READ, MapFlags::empty());
    address_space().map_file(file, 0, 0, MOST * PAGE_BYTES, how)
}

/// The byte at `offset` of what is mapped at `address`.
pub fn read(address: u64, offset: u64) -> u8 {
    let place = core::ptr::with_exposed_provenance::<u8>((address + offset) as usize);
    // SAFETY: a file was mapped there to be read; that the access may end whoever makes it is what is
    // wanted.
    unsafe { place.read_volatile() }
}
