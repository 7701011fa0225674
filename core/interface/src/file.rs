//! Files and trees of files, whoever stores them.
//!
//! Paths are relative to the tree; the empty path is its root, and slashes at the start mean
//! nothing. A slash at the end asks for a directory, as in POSIX. A server follows symbolic links
//! inside its tree itself. A walk that leads out of it, by a link with an absolute target or by `..`
//! above the root, is answered with [`Error::Elsewhere`] and, in the output buffer, the absolute
//! path to go on with and a zero byte: the link's target joined with what was left of the path, or
//! what follows the `..` (as if the tree were the whole). A method with two paths says by a second
//! slash at the start of the answer (`//tmp/x`) that it speaks of the second path.
//!
//! [`Attributes::tree`] and [`Attributes::number`] together are a file's identity as long as it has
//! a name or is open; contents may change, and move to another server, under the same identity.
//! Answers besides the plain ones: [`Error::Busy`] for what must stay (the root removed, `.`
//! renamed), [`Error::BadArgument`] for a directory moved below itself and for names that cannot be,
//! [`Error::Denied`] for a second name of a directory.

use kiln_object::{Caller, Error, ProcessId, Reference};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::kernel::FileCache;
use crate::{FourWords, Plain, Wire, interface};

/// What kind of thing an entry is; the numbers are the high bits of a POSIX mode.
pub mod kind {
    /// The bits that tell the kind.
    pub const MASK: u32 = 0o170000;
    /// A regular file.
    pub const REGULAR: u32 = 0o100000;
    /// A directory.
    pub const DIRECTORY: u32 = 0o040000;
    /// A symbolic link.
    pub const LINK: u32 = 0o120000;
    /// A character device.
    pub const CHARACTER: u32 = 0o020000;
    /// A block device.
    pub const BLOCK: u32 = 0o060000;
    /// A named pipe.
    pub const PIPE: u32 = 0o010000;
    /// A socket.
    pub const SOCKET: u32 = 0o140000;
}

/// What is known about a file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Plain,
)]
#[repr(C)]
pub struct Attributes {
    /// Kind (see [`kind`]) and permission bits.
    pub mode: u32,
    /// Names that lead to the file.
    pub links: u32,
    /// The owner.
    pub user: u32,
    /// The owner's group.
    pub group: u32,
    /// Number of the file in its tree.
    pub number: u64,
    /// Which tree: unique among the servers of an image.
    pub tree: u64,
    /// Major and minor number of a device node, as `major << 32 | minor`.
    pub device: u64,
    /// Length in bytes.
    pub length: u64,
    /// Bytes of storage in use.
    pub storage: u64,
    /// Last read, ns since 1970.
    pub accessed: i64,
    /// Last change of contents, ns since 1970.
    pub modified: i64,
    /// Last change of attributes, ns since 1970.
    pub changed: i64,
}

/// Which fields of an [`Attributes`] to change.
pub mod change {
    /// The permission bits of `mode`.
    pub const MODE: u32 = 1;
    /// `user`.
    pub const USER: u32 = 2;
    /// `group`.
    pub const GROUP: u32 = 4;
    /// `accessed`.
    pub const ACCESSED: u32 = 8;
    /// `modified`.
    pub const MODIFIED: u32 = 16;
    /// `length`.
    pub const LENGTH: u32 = 32;
}

/// How a file is opened.
pub mod open {
    /// Contents will be read.
    pub const READ: u32 = 1;
    /// Contents will be written.
    pub const WRITE: u32 = 2;
    /// Made if it is not there.
    pub const CREATE: u32 = 4;
    /// With `CREATE`: it must not be there.
    pub const EXCLUSIVE: u32 = 8;
    /// Emptied.
    pub const TRUNCATE: u32 = 16;
    /// A link as the last component is not followed (`TooManyLinks` if it is one).
    pub const NO_FOLLOW: u32 = 32;
    /// It must be a directory.
    pub const DIRECTORY: u32 = 64;
    /// Neither read nor written: only a place to start from. With `NO_FOLLOW` a final link is opened
    /// itself.
    pub const PATH: u32 = 128;
    /// A nameless file in the directory `path`.
    pub const NAMELESS: u32 = 256;
    /// Flags that change something: for `FileTree::open_writable` only.
    pub const CHANGING: u32 = WRITE | CREATE | EXCLUSIVE | TRUNCATE | NAMELESS;
}

/// A file that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct Opened {
    /// The file; answered by whichever server keeps it.
    pub file: Reference<dyn File>,
    /// Its mode, perhaps with [`Opened::FIXED`].
    pub mode: u32,
    /// Its length when it was opened.
    pub length: u64,
}

impl Opened {
    /// In `mode`: what `file` answers as its attributes is the same as long as it is open, so that
    /// they need be asked for but once.
    pub const FIXED: u32 = 1 << 31;
}

/// A tree of files.
///
/// `owner` is the process for which a reference is made; another than the caller needs the right
/// `DELEGATE`. `follow` says whether a link as the last component is followed. Methods without it do
/// not follow there, except `open` and `open_writable`.
#[interface(name = "kiln.file_tree", uses(Attributes))]
pub trait FileTree {
    /// Opens a file or a directory to look at it (see [`open`] for `flags`); `Denied` with any of
    /// [`open::CHANGING`], which need [`FileTree::open_writable`]. `mode` is not used.
    #[method(1, right = LOOKUP, delegate = owner, idempotent)]
    fn open(
        &self,
        path: &[u8],
        flags: u32,
        mode: u32,
        owner: ProcessId,
        elsewhere: &mut [u8],
    ) -> Result<Opened, Error>;

    /// Writes an [`Attributes`] to `answer` (or the path to go on with, on `Elsewhere`).
    #[method(2, right = LOOKUP, idempotent)]
    fn attributes(&self, path: &[u8], follow: bool, answer: &mut [u8]) -> Result<usize, Error>;

    /// Writes a link's target to `answer`.
    #[method(3, right = LOOKUP, idempotent)]
    fn read_link(&self, path: &[u8], answer: &mut [u8]) -> Result<usize, Error>;

    /// Makes a directory.
    #[method(4, right = WRITE)]
    fn make_directory(&self, path: &[u8], mode: u32, elsewhere: &mut [u8]) -> Result<(), Error>;

    /// Removes an entry that is a directory (`directory`) or is none.
    #[method(5, right = WRITE)]
    fn remove(&self, path: &[u8], directory: bool, elsewhere: &mut [u8]) -> Result<(), Error>;

    /// Renames; `flags` bit 0: the new name must not exist, bit 1: exchange the two.
    #[method(6, right = WRITE)]
    fn rename(&self, from: &[u8], to: &[u8], flags: u32, elsewhere: &mut [u8])
    -> Result<(), Error>;

    /// Makes a second name for a file.
    #[method(7, right = WRITE)]
    fn link(&self, from: &[u8], to: &[u8], elsewhere: &mut [u8]) -> Result<(), Error>;

    /// Makes a symbolic link at `path` that says `target`.
    #[method(8, right = WRITE)]
    fn make_link(&self, target: &[u8], path: &[u8], elsewhere: &mut [u8]) -> Result<(), Error>;

    /// Makes a device node, a named pipe or a socket's name: kind and permissions in `mode`.
    #[method(9, right = WRITE)]
    fn make_node(
        &self,
        path: &[u8],
        mode: u32,
        device: u64,
        elsewhere: &mut [u8],
    ) -> Result<(), Error>;

    /// Changes attributes: `fields` as in [`change`], `attributes` the bytes of an [`Attributes`].
    #[method(10, right = WRITE, idempotent)]
    fn set_attributes(
        &self,
        path: &[u8],
        attributes: &[u8],
        fields: u32,
        follow: bool,
        elsewhere: &mut [u8],
    ) -> Result<(), Error>;

    /// Blocks in all and free, each of 4096 bytes, then files in all and free.
    #[method(11, right = LOOKUP, idempotent)]
    fn statistics(&self) -> Result<FourWords, Error>;

    /// Opens with any flags; `mode` has the permission bits of a new file.
    #[method(12, right = WRITE, delegate = owner)]
    fn open_writable(
        &self,
        path: &[u8],
        flags: u32,
        mode: u32,
        owner: ProcessId,
        elsewhere: &mut [u8],
    ) -> Result<Opened, Error>;
}

/// An open file or directory. It has no position: positions are the client's.
#[interface(name = "kiln.file", uses(Attributes, DirectoryEntry))]
pub trait File {
    /// Reads at `offset`; fewer bytes than asked only at the end.
    #[method(1, right = READ, idempotent)]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error>;

    /// Writes at `offset` (`u64::MAX`: at the end, at once). Answers the bytes written and the
    /// offset after them.
    #[method(2, right = WRITE)]
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(u64, u64), Error>;

    /// Writes an [`Attributes`] to `answer`.
    #[method(3, right = LOOKUP, idempotent)]
    fn attributes(&self, answer: &mut [u8]) -> Result<usize, Error>;

    /// Changes attributes, as [`FileTree::set_attributes`]; the length only if the file is open for
    /// writing (`Denied`).
    #[method(4, right = CONTROL, idempotent)]
    fn set_attributes(&self, attributes: &[u8], fields: u32) -> Result<(), Error>;

    /// The file's pages for the caller, to map them and to read without calls, and how many bytes
    /// there are; `Unsupported` where the contents do not lie in whole pages. That they never change
    /// under the holder's feet holds only in a tree that cannot be written.
    #[method(5, right = READ, idempotent)]
    fn pages(&self, caller: Caller) -> Result<(Reference<dyn FileCache>, u64), Error>;

    /// Entries of a directory after `cookie` (0: from the start), as many as fit: each a
    /// [`DirectoryEntry`] and then its name. Answers the bytes; none at the end. `.` and `..` are not
    /// among them: they are the client's to add. Cookies are below 2^62; one stays good while
    /// entries come and go. An answer buffer too small for a single entry is `TooLarge`.
    #[method(6, right = LOOKUP, idempotent)]
    fn read_directory(&self, cookie: u64, answer: &mut [u8]) -> Result<usize, Error>;

    /// Waits until what was written is on stable storage.
    #[method(7, right = LOOKUP, idempotent)]
    fn synchronise(&self) -> Result<(), Error>;
}

/// The head of an entry in the answer of [`File::read_directory`]; its name follows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Plain,
)]
#[repr(C)]
pub struct DirectoryEntry {
    /// Number of the file in its tree.
    pub number: u64,
    /// Where to go on after this entry.
    pub cookie: u64,
    /// Kind bits of the mode.
    pub kind: u32,
    /// Bytes of the name that follows; the next head starts at the next multiple of 8 from the start
    /// of the answer.
    pub name_bytes: u32,
}
