//! The 32 bytes from which the image table is found.
//!
//! They stand in the kernel's data, under the symbol [`LOCATION_SYMBOL`], and at the end of the
//! image's first page, for tools that read an image file. The linker writes both.

use crate::bytes::read_u64;

/// Symbol of the kernel's copy.
///
/// The kernel must read it as memory that something else wrote (a volatile read or interior
/// mutability): its compiler knows only the initial value.
pub const LOCATION_SYMBOL: &str = "KILN_IMAGE_LOCATION";

/// Size of an encoded [`Location`].
pub const LOCATION_BYTES: usize = 32;

/// Image offset of the copy in the image's first page.
pub const LOCATION_IN_HEADER: usize = 4096 - LOCATION_BYTES;

const MAGIC: u64 = u64::from_le_bytes(*b"KILNIMG1");

/// Where the image table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Image offset of the table.
    pub table_offset: u64,
    /// Bytes of the table.
    pub table_bytes: u64,
    /// Bytes of the whole image file; the kernel's zero-filled data comes after them.
    pub image_bytes: u64,
}

impl Location {
    /// Reads an encoded location, or `None` if the magic number is missing or the table does not
    /// lie within the image.
    pub fn parse(bytes: &[u8; LOCATION_BYTES]) -> Option<Self> {
        let mut words = [0; LOCATION_BYTES / 8];
        for (index, word) in words.iter_mut().enumerate() {
            *word = read_u64(bytes, index * 8)?;
        }
        Self::from_words(words)
    }

    /// As [`Location::parse`], of the words that the bytes are, as the machine reads them.
    pub fn from_words(words: [u64; LOCATION_BYTES / 8]) -> Option<Self> {
        let [magic, table_offset, table_bytes, image_bytes] = words;
        let end = table_offset.checked_add(table_bytes)?;
        (u64::from_le(magic) == MAGIC && end <= image_bytes).then_some(Self {
            table_offset,
            table_bytes,
            image_bytes,
        })
    }

    /// The encoded form.
    pub fn to_bytes(self) -> [u8; LOCATION_BYTES] {
        let mut bytes = [0; LOCATION_BYTES];
        let words = [MAGIC, self.table_offset, self.table_bytes, self.image_bytes];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}
