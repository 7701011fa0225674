//! What reading an image can answer instead of a result.
//!
//! An image is outside input: every fault in it is one of these, never a panic.

use core::fmt;

/// Why a read from an image failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// The image breaks the format's rules.
    Corrupt {
        /// The part or rule that is broken.
        what: &'static str,
        /// Where in the image, in bytes from its start.
        offset: u64,
    },
    /// The image uses a part of EROFS that this reader does not implement.
    Unsupported {
        /// The part that would be needed.
        what: &'static str,
    },
    /// The directory holds no such name.
    NotFound,
    /// A directory was needed and the inode is something else.
    NotDirectory,
    /// A symbolic link was needed and the inode is something else.
    NotSymlink,
    /// A regular file was needed and the inode is something else.
    NotFile,
}

/// The result of reading from an image.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    pub(crate) const fn corrupt(what: &'static str, offset: u64) -> Self {
        Self::Corrupt { what, offset }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { what, offset } => {
                write!(out, "the file system image is corrupt at byte {offset}: {what}")
            }
            Self::Unsupported { what } => {
                write!(out, "the file system image needs what is not supported: {what}")
            }
            Self::NotFound => out.write_str("no such file or directory"),
            Self::NotDirectory => out.write_str("not a directory"),
            Self::NotSymlink => out.write_str("not a symbolic link"),
            Self::NotFile => out.write_str("not a regular file"),
        }
    }
}

impl core::error::Error for Error {}
