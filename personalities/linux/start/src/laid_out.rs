//! A program that is in its process from the start, as the build tool laid it out.
//!
//! The kernel maps its segments from the image's table; the library is told the rest by the
//! configuration's `program.laid_out`, a [`LaidOut`] with three pieces of bytes behind it.

use alloc::vec::Vec;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::stack::Places;

/// What the library needs to know of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LaidOut {
    /// Its first instruction.
    pub entry: u64,
    /// Its first page.
    pub start: u64,
    /// The end of its last page.
    pub end: u64,
    /// From here to the end of the page are bytes of the file that have to be zero before it runs;
    /// none if this is the start of a page.
    pub clear: u64,
    /// Not zero if system calls are to be reported.
    pub traced: u64,
    /// Bytes of its absolute path, without links.
    pub path_bytes: u64,
    /// Bytes of its working directory.
    pub directory_bytes: u64,
    /// What lies where on its stack.
    pub places: Places,
}

/// The bytes that belong to a [`LaidOut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces<'a> {
    /// The program's absolute path, without links.
    pub path: &'a [u8],
    /// The working directory.
    pub directory: &'a [u8],
    /// Its stack, not settled yet.
    pub stack: &'a [u8],
}

impl LaidOut {
    /// The value of the configuration: this, whose lengths are made right, and the pieces.
    #[must_use]
    pub fn write(mut self, pieces: &Pieces<'_>) -> Vec<u8> {
        self.path_bytes = pieces.path.len() as u64;
        self.directory_bytes = pieces.directory.len() as u64;
        let mut value = self.as_bytes().to_vec();
        for piece in [pieces.path, pieces.directory, pieces.stack] {
            value.extend_from_slice(piece);
        }
        value
    }

    /// Takes a value of the configuration apart.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<(Self, Pieces<'_>)> {
        let (told, rest) = Self::read_from_prefix(value).ok()?;
        let (path, rest) = rest.split_at_checked(told.path_bytes as usize)?;
        let (directory, stack) = rest.split_at_checked(told.directory_bytes as usize)?;
        Some((
            told,
            Pieces {
                path,
                directory,
                stack,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn what_is_written_is_read() {
        let told = LaidOut {
            entry: 0x40_1000,
            path_bytes: 6,
            directory_bytes: 1,
            ..LaidOut::new_zeroed()
        };
        let pieces = Pieces {
            path: b"/hello",
            directory: b"/",
            stack: b"stack",
        };
        let value = told.write(&pieces);
        assert_eq!(LaidOut::parse(&value), Some((told, pieces)));
        assert_eq!(LaidOut::parse(&value[..size_of::<LaidOut>() + 6]), None);
        assert_eq!(LaidOut::parse(&value[..size_of::<LaidOut>() - 1]), None);
        assert_eq!(LaidOut::parse(b""), None);
    }
}
