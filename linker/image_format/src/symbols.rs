//! The symbol table by which a backtrace gets its names.
//!
//! Layout, all little-endian: magic `KILNSYMB`, base address (u64), count (u32), name bytes (u32);
//! then per function, by rising address, its offset from the base (u32) and its name's offset (u32);
//! then the names, each behind one byte of length. Equal names are stored once. An address belongs
//! to the last function that starts at or before it.

use crate::bytes::{read_u32, read_u64, slice};

#[cfg(feature = "encode")]
mod encode;
#[cfg(feature = "encode")]
pub use encode::encode_symbols;

/// Longest name kept; the rest is cut off.
pub const MAXIMUM_NAME_BYTES: usize = 96;

const MAGIC: [u8; 8] = *b"KILNSYMB";
const HEADER_BYTES: usize = 24;
const ENTRY_BYTES: usize = 8;

/// Why bytes are not a symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolError {
    /// The magic number is missing.
    Magic,
    /// The bytes end before the entries and names that the header counts.
    Truncated,
}

impl core::fmt::Display for SymbolError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Magic => "no symbol table here",
            Self::Truncated => "symbol table cut short",
        })
    }
}

impl core::error::Error for SymbolError {}

/// A symbol table whose extents were checked.
///
/// Entries are checked when they are used: a faulty one costs its own name, and opening the table
/// costs the same however long it is.
#[derive(Clone, Copy, Debug)]
pub struct SymbolTable<'a> {
    base: u64,
    entries: &'a [u8],
    names: &'a [u8],
}

impl<'a> SymbolTable<'a> {
    /// Opens a table; `bytes` may be longer than it.
    ///
    /// # Errors
    /// If the magic number is missing or the bytes are too few.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SymbolError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(SymbolError::Magic);
        }
        Self::open(bytes).ok_or(SymbolError::Truncated)
    }

    fn open(bytes: &'a [u8]) -> Option<Self> {
        let entry_bytes = (read_u32(bytes, 16)? as usize).checked_mul(ENTRY_BYTES)?;
        let name_bytes = read_u32(bytes, 20)? as usize;
        Some(Self {
            base: read_u64(bytes, 8)?,
            entries: slice(bytes, HEADER_BYTES, entry_bytes)?,
            names: slice(bytes, HEADER_BYTES.checked_add(entry_bytes)?, name_bytes)?,
        })
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name of the function that `address` is in, and how far in.
    ///
    /// `None` before the first function. The table does not say where the last one ends.
    pub fn symbolise(&self, address: u64) -> Option<(&'a str, u64)> {
        let offset = address.checked_sub(self.base)?;
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if u64::from(self.entry(middle)?.0) <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (start, name) = self.entry(low.checked_sub(1)?)?;
        Some((self.name(name)?, offset.checked_sub(u64::from(start))?))
    }

    /// All functions: address and name, by rising address; unreadable names are left out.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &'a str)> + use<'a> {
        let table = *self;
        (0..table.len()).filter_map(move |index| {
            let (offset, name) = table.entry(index)?;
            Some((
                table.base.checked_add(u64::from(offset))?,
                table.name(name)?,
            ))
        })
    }

    fn entry(&self, index: usize) -> Option<(u32, u32)> {
        let at = index.checked_mul(ENTRY_BYTES)?;
        Some((
            read_u32(self.entries, at)?,
            read_u32(self.entries, at.checked_add(4)?)?,
        ))
    }

    fn name(&self, offset: u32) -> Option<&'a str> {
        let (length, rest) = self.names.get(offset as usize..)?.split_first()?;
        core::str::from_utf8(rest.get(..usize::from(*length))?).ok()
    }
}
