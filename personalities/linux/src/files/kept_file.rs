//! A file of this process's own that the kernel keeps, so that it can be mapped.
//!
//! There is no pager: what nobody has written is zeroes.

use kiln_interface::kernel::{FileCache, PagedFile};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{Error, Reference, Rights};

use super::server;
use crate::errno::Errno;

/// The file; mappings made of it stay when it is dropped.
#[derive(Debug)]
pub struct KeptFile {
    file: Reference<dyn PagedFile>,
    cache: Reference<dyn FileCache>,
    length: u64,
}

impl KeptFile {
    /// A file with that contents; `None` where the kernel keeps none.
    ///
    /// # Errors
    /// `ENOMEM` without memory for it.
    pub fn of(bytes: &[u8]) -> Result<Option<Self>, Errno> {
        let length = bytes.len() as u64;
        let file = match kernel::create(length) {
            Ok(file) => file,
            Err(Error::Unsupported) => return Ok(None),
            Err(_) => return Err(Errno::ENOMEM),
        };
        let rights = Rights::READ | Rights::WRITE | Rights::MAP;
        let cache = match kernel::share(file, rights) {
            Ok(cache) => cache,
            Err(_) => {
                server::give_back(file);
                return Err(Errno::ENOMEM);
            }
        };
        let made = Self {
            file,
            cache,
            length,
        };
        for (number, page) in bytes.chunks(PAGE_BYTES as usize).enumerate() {
            if page.iter().any(|byte| *byte != 0) {
                made.write(number as u64 * PAGE_BYTES, page)?;
            }
        }
        Ok(Some(made))
    }

    /// What can be mapped.
    pub const fn cache(&self) -> Reference<dyn FileCache> {
        self.cache
    }

    /// Bytes in the file.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Reads a page at most.
    ///
    /// # Errors
    /// `ENOSPC` without memory.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        if offset >= self.length {
            return Ok(0);
        }
        kernel::read(self.file, offset, bytes).map_err(refusal)
    }

    /// Writes a page at most, not beyond the end.
    ///
    /// # Errors
    /// `ENOSPC` without memory.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        kernel::write(self.file, offset, bytes).map_err(refusal)
    }

    /// Makes it longer or shorter.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_length(&mut self, length: u64) -> Result<(), Errno> {
        if length != self.length {
            kernel::set_length(self.file, length).map_err(refusal)?;
            self.length = length;
        }
        Ok(())
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        server::give_back(self.cache);
        server::give_back(self.file);
    }
}

fn refusal(error: Error) -> Errno {
    match error {
        Error::Exhausted => Errno::ENOSPC,
        other => other.into(),
    }
}

#[cfg(not(test))]
mod kernel {
    use kiln_interface::kernel::{AddressSpace as _, FileCache, PagedFile, PagedFileStub};
    use kiln_object::{Error, Reference, Rights};
    use kiln_runtime::{Far, address_space, startup};

    type File = Reference<dyn PagedFile>;

    pub fn create(length: u64) -> Result<File, Error> {
        address_space().create_file(length, 0, 0)
    }

    pub fn share(file: File, rights: Rights) -> Result<Reference<dyn FileCache>, Error> {
        PagedFileStub::new(file, Far).share(startup().process, rights.bits())
    }

    pub fn read(file: File, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        PagedFileStub::new(file, Far).read(offset, bytes)
    }

    pub fn write(file: File, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        PagedFileStub::new(file, Far).write(offset, bytes)
    }

    pub fn set_length(file: File, length: u64) -> Result<(), Error> {
        PagedFileStub::new(file, Far).set_length(length)
    }
}

/// There is no kernel in a test.
#[cfg(test)]
mod kernel {
    use kiln_interface::kernel::{FileCache, PagedFile};
    use kiln_object::{Error, Reference, Rights};

    type File = Reference<dyn PagedFile>;

    pub fn create(_length: u64) -> Result<File, Error> {
        Err(Error::Unsupported)
    }

    pub fn share(_file: File, _rights: Rights) -> Result<Reference<dyn FileCache>, Error> {
        Err(Error::Unsupported)
    }

    pub fn read(_file: File, _offset: u64, _bytes: &mut [u8]) -> Result<usize, Error> {
        Err(Error::Unsupported)
    }

    pub fn write(_file: File, _offset: u64, _bytes: &[u8]) -> Result<usize, Error> {
        Err(Error::Unsupported)
    }

    pub fn set_length(_file: File, _length: u64) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}
