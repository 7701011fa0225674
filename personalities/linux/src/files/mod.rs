//! Descriptors, open files, and walking paths.

use alloc::vec::Vec;

use kiln_interface::kernel::FileCache;
use kiln_object::Reference;

use crate::errno::Errno;
use crate::table::SystemCall;

/// The calls of this family.
pub const CALLS: &[SystemCall] = &[];

/// This family's state.
#[derive(Debug, Default)]
pub struct Files {}

impl Files {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}

/// What stands behind a mapping of a file.
#[derive(Debug)]
pub enum MapSource {
    /// The file's pages, and its length in bytes.
    Pages(Reference<dyn FileCache>, u64),
    /// A file without pages: a private mapping is filled by reading it.
    Copy(Readable),
    /// A device that reads as zeroes (`/dev/zero`).
    Zero,
}

/// A file that can be read at any offset, kept open independently of descriptors.
#[derive(Clone, Debug)]
pub struct Readable {}

impl Readable {
    /// Its length in bytes when asked.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn length(&self) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Its mode: kind and permission bits.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn mode(&self) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Reads at `offset` until `bytes` is full or the file ends.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let _ = (offset, bytes);
        Err(Errno::ENOSYS)
    }

    /// What to map for it.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn map_source(&self) -> Result<MapSource, Errno> {
        Err(Errno::ENOSYS)
    }
}

/// What a mapping of the descriptor is made of, and whether it was opened for reading and for
/// writing.
///
/// # Errors
/// `EBADF`, `ENODEV` for what cannot be mapped.
pub fn mapping_of(descriptor: i32) -> Result<(MapSource, bool, bool), Errno> {
    let _ = descriptor;
    Err(Errno::ENOSYS)
}

/// Opens a program by path (relative to the working directory) without using a descriptor; answers
/// it and its absolute path after links were followed.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES` (no execute bit, or no regular file).
pub fn open_program(path: &[u8]) -> Result<(Readable, Vec<u8>), Errno> {
    let _ = path;
    Err(Errno::ENOSYS)
}
