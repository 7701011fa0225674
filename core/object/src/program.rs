//! A program that is in its process from the start, as the build tool laid it out.
//!
//! The kernel maps its segments from the image's table; the personality is told the rest by the
//! configuration's [`PROGRAM_LAID_OUT`](crate::configuration::key::PROGRAM_LAID_OUT).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the personality needs to know of the program; its absolute path, without links, follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LaidOut {
    /// Its first instruction.
    pub entry: u64,
    /// Where its program headers are; zero if they are nowhere.
    pub table_address: u64,
    /// How many program headers there are.
    pub table_entries: u64,
    /// Its first page.
    pub start: u64,
    /// The end of its last page.
    pub end: u64,
    /// From here to the end of the page are bytes of the file that have to be zero before it runs;
    /// none if this is the start of a page.
    pub clear: u64,
}

impl LaidOut {
    /// Takes a value of the configuration apart: what it says, and the path.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<(Self, &[u8])> {
        Self::read_from_prefix(value).ok()
    }
}
