//! A file whose pages the kernel keeps, as an object of who made it.

use alloc::sync::Arc;

use kiln_interface::kernel::{FileCache, PagedFile as Interface, PagedFileDispatch};
use kiln_object::{Dispatch, Error, ProcessId, Reference, Rights};

use super::file_cache::{hand_to, kept_file};
use crate::memory::paged_file::PagedFile;

/// The only one of its kind for a file: it cannot be passed on.
struct Makers(Arc<PagedFile>);

impl Drop for Makers {
    fn drop(&mut self) {
        // With it goes who could bring pages.
        self.0.abandon();
    }
}

/// The object for `file`.
#[must_use]
pub(super) fn paged_file(file: Arc<PagedFile>) -> Arc<dyn Dispatch> {
    Arc::new(PagedFileDispatch(Makers(file)))
}

impl Interface for Makers {
    fn share(&self, owner: ProcessId, rights: u32) -> Result<Reference<dyn FileCache>, Error> {
        const SHARED: Rights = Rights::READ.union(Rights::WRITE).union(Rights::MAP);
        let rights = Rights::from_bits_retain(rights) & SHARED;
        hand_to(owner, kept_file(Arc::clone(&self.0)), rights)
    }

    fn supply(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.0.supply(offset, bytes)
    }

    fn fail(&self, offset: u64) -> Result<(), Error> {
        self.0.fail(offset)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        self.0.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(offset, bytes)
    }

    fn set_length(&self, length: u64) -> Result<(), Error> {
        self.0.set_length(length)
    }

    fn users(&self) -> Result<u64, Error> {
        // But for this one.
        Ok(Arc::strong_count(&self.0) as u64 - 1)
    }
}
