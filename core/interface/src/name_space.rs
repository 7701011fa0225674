//! The name space: which tree answers for which path.

use kiln_object::Error;
use kiln_object::RawReference;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Plain, interface};

/// The head of a mount in the answer of [`NameSpace::mounts`]; its path follows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Plain,
)]
#[repr(C)]
pub struct MountEntry {
    /// The bootstrap object of the server of the tree; bind to it for a `FileTree`.
    pub server: RawReference,
    /// Bit 0: nothing below may be written.
    pub flags: u32,
    /// Bytes of the absolute path that follows; the next head starts at the next multiple of 8.
    pub path_bytes: u32,
}

/// The mount table.
#[interface(name = "kiln.name_space", uses(MountEntry))]
pub trait NameSpace {
    /// The version of the table; it grows with each change.
    #[method(1, right = LOOKUP, idempotent)]
    fn version(&self) -> Result<u64, Error>;

    /// Writes all mounts to `answer`, longest path first; answers the bytes and the version.
    #[method(2, right = LOOKUP, idempotent)]
    fn mounts(&self, answer: &mut [u8]) -> Result<(u64, u64), Error>;

    /// Puts the tree of the server with the bootstrap object `server` at the absolute `path`.
    #[method(3, right = CONTROL)]
    fn mount(&self, path: &[u8], server: RawReference, flags: u32) -> Result<(), Error>;

    /// Takes the topmost tree at `path` away.
    #[method(4, right = CONTROL)]
    fn unmount(&self, path: &[u8]) -> Result<(), Error>;
}
