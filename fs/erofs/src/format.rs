//! The numbers of the EROFS on-disk format that reader and writer share.
//!
//! Names and values follow the format's description in the Linux kernel documentation
//! (`filesystems/erofs`). All fields are little endian.

use crc::{Algorithm, CRC_32_ISCSI, Crc};

/// Bytes in a block, in images that Kiln reads and writes: a page.
pub const BLOCK_SIZE: usize = 4096;
/// [`BLOCK_SIZE`] where offsets are meant.
pub(crate) const BLOCK: u64 = BLOCK_SIZE as u64;
/// The power of two that is [`BLOCK_SIZE`], as the superblock stores it.
pub(crate) const BLOCK_BITS: u8 = 12;
/// Inodes lie on multiples of this; an inode's number counts such slots.
pub(crate) const SLOT: u64 = 32;
/// Longest file name in bytes.
pub const NAME_MAX: usize = 255;
/// Longest target of a symbolic link in bytes: Linux's PATH_MAX less its final zero.
pub const SYMLINK_MAX: usize = 4095;
/// Bytes in the fixed part of a directory entry.
pub(crate) const DIRENT_SIZE: usize = 12;

/// Offsets in the superblock, and the values of its fields.
pub(crate) mod superblock {
    pub const OFFSET: usize = 1024;
    #[cfg(feature = "write")]
    pub const SIZE: usize = 128;

    pub const MAGIC: usize = 0;
    pub const CHECKSUM: usize = 4;
    pub const FEATURE_COMPAT: usize = 8;
    pub const BLOCK_BITS: usize = 12;
    pub const ROOT_NID: usize = 14;
    pub const INODES: usize = 16;
    pub const BUILD_TIME: usize = 24;
    pub const BUILD_TIME_NSEC: usize = 32;
    pub const BLOCKS: usize = 36;
    pub const META_BLOCK: usize = 40;
    pub const UUID: usize = 48;
    pub const VOLUME_NAME: usize = 64;
    pub const FEATURE_INCOMPAT: usize = 80;
    pub const DIRECTORY_BLOCK_BITS: usize = 90;

    pub const MAGIC_VALUE: u32 = 0xE0F5_E1E2;
    pub const COMPAT_CHECKSUM: u32 = 1;
    #[cfg(feature = "write")]
    pub const COMPAT_MTIME: u32 = 2;
    /// Compression, chunks, fragments and attribute prefixes change what single inodes look like,
    /// and an inode says so itself. Everything else (device tables, 48-bit addresses, ...) would
    /// change how a flat inode must be read.
    pub const INCOMPAT_READABLE: u32 = 0x77;
}

/// Offsets in an inode, and the values of its fields.
pub(crate) mod inode {
    pub const COMPACT_SIZE: usize = 32;
    pub const EXTENDED_SIZE: usize = 64;

    pub const FORMAT: usize = 0;
    pub const XATTR_COUNT: usize = 2;
    pub const MODE: usize = 4;
    /// Start block of the data, or the device number.
    pub const UNION: usize = 16;
    #[cfg(feature = "write")]
    pub const INO: usize = 20;

    pub const COMPACT_NLINK: usize = 6;
    pub const COMPACT_SIZE_FIELD: usize = 8;
    pub const COMPACT_UID: usize = 24;
    pub const COMPACT_GID: usize = 26;

    pub const EXTENDED_SIZE_FIELD: usize = 8;
    pub const EXTENDED_UID: usize = 24;
    pub const EXTENDED_GID: usize = 28;
    pub const EXTENDED_MTIME: usize = 32;
    pub const EXTENDED_MTIME_NSEC: usize = 40;
    pub const EXTENDED_NLINK: usize = 44;

    pub const FORMAT_EXTENDED: u16 = 1;
    pub const LAYOUT_SHIFT: u32 = 1;
    pub const LAYOUT_MASK: u16 = 7;
    pub const FLAT_PLAIN: u16 = 0;
    pub const COMPRESSED_FULL: u16 = 1;
    pub const FLAT_INLINE: u16 = 2;
    pub const COMPRESSED_COMPACT: u16 = 3;
    pub const CHUNK_BASED: u16 = 4;
}

/// Offsets in the fixed part of a directory entry.
pub(crate) mod dirent {
    pub const NID: usize = 0;
    pub const NAME_OFFSET: usize = 8;
    pub const KIND: usize = 10;
}

/// The number of an inode: unique in its image, and what Linux reports as `st_ino`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(pub u64);

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}

impl Kind {
    /// The file type bits of `st_mode` (`S_IFMT`).
    pub const fn mode_bits(self) -> u16 {
        match self {
            Self::Fifo => 0o010_000,
            Self::CharacterDevice => 0o020_000,
            Self::Directory => 0o040_000,
            Self::BlockDevice => 0o060_000,
            Self::File => 0o100_000,
            Self::Symlink => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }

    /// The kind that `mode`'s file type bits name.
    pub const fn from_mode(mode: u16) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharacterDevice,
            0o040_000 => Self::Directory,
            0o060_000 => Self::BlockDevice,
            0o100_000 => Self::File,
            0o120_000 => Self::Symlink,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// The `file_type` that a directory entry gives.
    #[cfg(feature = "write")]
    pub(crate) const fn directory_code(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Directory => 2,
            Self::CharacterDevice => 3,
            Self::BlockDevice => 4,
            Self::Fifo => 5,
            Self::Socket => 6,
            Self::Symlink => 7,
        }
    }

    pub(crate) const fn from_directory_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::File,
            2 => Self::Directory,
            3 => Self::CharacterDevice,
            4 => Self::BlockDevice,
            5 => Self::Fifo,
            6 => Self::Socket,
            7 => Self::Symlink,
            _ => return None,
        })
    }
}

/// A moment, counted from 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, less than 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A moment at a whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// The same moment with less than a second of nanoseconds.
    #[cfg(feature = "write")]
    pub(crate) const fn normal(self) -> Self {
        const SECOND: u32 = 1_000_000_000;
        Self {
            seconds: self.seconds.saturating_add((self.nanoseconds / SECOND) as i64),
            nanoseconds: self.nanoseconds % SECOND,
        }
    }
}

/// The number of a device; 0:0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Device {
    /// The driver's number, at most 4095.
    pub major: u32,
    /// The number within the driver, at most 1,048,575.
    pub minor: u32,
}

impl Device {
    /// Largest major number that the format can hold.
    pub const MAJOR_MAX: u32 = 0xfff;
    /// Largest minor number that the format can hold.
    pub const MINOR_MAX: u32 = 0xf_ffff;

    pub(crate) const fn decode(raw: u32) -> Self {
        Self { major: (raw & 0xf_ff00) >> 8, minor: (raw & 0xff) | ((raw >> 12) & 0xf_ff00) }
    }

    /// The inverse of `decode`, or nothing if a number is too large for the format.
    #[cfg(feature = "write")]
    pub(crate) const fn encode(self) -> Option<u32> {
        if self.major > Self::MAJOR_MAX || self.minor > Self::MINOR_MAX {
            return None;
        }
        Some((self.minor & 0xff) | (self.major << 8) | ((self.minor & 0xf_ff00) << 12))
    }
}

/// EROFS takes CRC-32C without the final inversion.
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&Algorithm { xorout: 0, ..CRC_32_ISCSI });

/// The superblock's checksum, given the rest of block 0 from the superblock's start, where the
/// checksum's own field counts as zero.
pub(crate) fn superblock_checksum(before_field: &[u8], after_field: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(before_field);
    digest.update(&[0; 4]);
    digest.update(after_field);
    digest.finalize()
}

pub(crate) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
