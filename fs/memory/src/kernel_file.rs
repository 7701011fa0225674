//! Files of the kernel's, to which pages move that are mapped.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_interface::kernel::{
    AddressSpace as _, FileCache, PagedFile, PagedFileStub, PagerDispatch,
};
use kiln_object::{Error, ProcessId, Reference, Rights};
use kiln_runtime::{Far, address_space, objects, release};

use crate::pages::Kept;
use crate::server::MemoryPager;

/// The raw name of the object that the kernel asks for pages; zero without one.
static PAGER: AtomicU64 = AtomicU64::new(0);

/// Lets the kernel ask `pager`. Without memory for that no file can be mapped.
pub fn serve(pager: MemoryPager) {
    let object = Arc::new(PagerDispatch(pager));
    if let Ok(reference) = objects::export(object, ProcessId::KERNEL, Rights::CONTROL) {
        PAGER.store(reference.object.raw(), Relaxed);
    }
}

/// Makes a file: see [`KeepFile`](crate::KeepFile).
///
/// # Errors
/// `Unsupported` where the kernel makes none; `Exhausted`.
pub fn make(length: u64, key: u64) -> Result<Kept, Error> {
    let pager = PAGER.load(Relaxed);
    if pager == 0 {
        return Err(Error::Unsupported);
    }
    let reference = address_space().create_file(length, pager, key)?;
    Ok(Box::new(KernelFile(reference)))
}

/// A file of the kernel's, given back when it is dropped.
struct KernelFile(Reference<dyn PagedFile>);

impl KernelFile {
    fn stub(&self) -> PagedFileStub<Far> {
        PagedFileStub::new(self.0, Far)
    }
}

impl Drop for KernelFile {
    fn drop(&mut self) {
        // The kernel has given it, and has it back whatever it says.
        let _ = release(self.0);
    }
}

impl PagedFile for KernelFile {
    fn share(&self, owner: ProcessId, rights: u32) -> Result<Reference<dyn FileCache>, Error> {
        self.stub().share(owner, rights)
    }

    fn supply(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.stub().supply(offset, bytes)
    }

    fn fail(&self, offset: u64) -> Result<(), Error> {
        self.stub().fail(offset)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        self.stub().read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        self.stub().write(offset, bytes)
    }

    fn set_length(&self, length: u64) -> Result<(), Error> {
        self.stub().set_length(length)
    }

    fn users(&self) -> Result<u64, Error> {
        self.stub().users()
    }
}
