//! The image table: every component of an image, and where its segments lie.
//!
//! Layout, version 2, all little-endian and without gaps:
//!
//! | bytes | what |
//! | --- | --- |
//! | 32 | magic `KILNTABL`, version, component count, segment count, name bytes, image bytes (u64) |
//! | 48 each | components: kind, kind's argument, name offset, name length, first segment, segment count, then entry, reflection entry, trap entry (u64 each) |
//! | 40 each | segments: virtual address, image offset, file bytes, memory bytes (u64 each), permissions, reserved |
//! | rest | the names, UTF-8 |
//!
//! [`ImageTable::parse`] checks every record, so that what the accessors give back is in range.

use crate::bytes::{read_u32, read_u64, slice};
use crate::{PAGE_BYTES, Permissions};

#[cfg(feature = "encode")]
mod encode;
#[cfg(feature = "encode")]
pub use encode::{ComponentRecord, encode, encoded_bytes};

/// First eight bytes of a table.
pub const TABLE_MAGIC: [u8; 8] = *b"KILNTABL";

/// The version that this crate reads and writes.
pub const TABLE_VERSION: u32 = 2;

const HEADER_BYTES: usize = 32;
const COMPONENT_BYTES: usize = 48;
const SEGMENT_BYTES: usize = 40;

/// What a component is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel itself, already in place; its segments say what to protect how.
    Kernel,
    /// A server that runs in an address space of its own.
    Server,
    /// The library that makes a process one of a foreign system's.
    Personality,
    /// The root file system: one read-only segment.
    Root,
    /// Start-up data for the program and the servers: one read-only segment.
    Config,
    /// A [`crate::SymbolTable`] for the component with this index in the table.
    Symbols(u32),
    /// A kind that the composing tool and the kernel agreed on.
    Other(u32),
    /// A program in the root file system: its segments are parts of the file there, and come into the
    /// personality's process where they say. They are of an ELF file: a segment may begin and end
    /// within a page, of which the rest is what the file has there.
    Program,
}

impl Kind {
    const fn from_words(kind: u32, argument: u32) -> Option<Self> {
        match kind {
            1 => Some(Self::Kernel),
            2 => Some(Self::Server),
            3 => Some(Self::Personality),
            4 => Some(Self::Root),
            5 => Some(Self::Config),
            6 => Some(Self::Symbols(argument)),
            7 => Some(Self::Other(argument)),
            8 => Some(Self::Program),
            _ => None,
        }
    }

    #[cfg(feature = "encode")]
    const fn to_words(self) -> (u32, u32) {
        match self {
            Self::Kernel => (1, 0),
            Self::Server => (2, 0),
            Self::Personality => (3, 0),
            Self::Root => (4, 0),
            Self::Config => (5, 0),
            Self::Symbols(component) => (6, component),
            Self::Other(number) => (7, number),
            Self::Program => (8, 0),
        }
    }
}

/// Where the kernel enters a component that runs already: addresses, each 0 if it has none.
///
/// These need nothing that the component makes first, so they hold from its first instruction on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaterEntries {
    /// After a `syscall` instruction of a foreign system's program.
    pub reflected: u64,
    /// After a trap.
    pub trap: u64,
}

/// One range of a component's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Where the component expects it; 0 for data that may be anywhere.
    pub virtual_address: u64,
    /// Image offset of its bytes.
    pub image_offset: u64,
    /// Bytes that the image holds.
    pub file_bytes: u64,
    /// Bytes in memory; those after `file_bytes` are zero.
    pub memory_bytes: u64,
    /// What its pages may be used for.
    pub permissions: Permissions,
}

impl SegmentRecord {
    /// The segment's bytes, where `image` starts at image byte 0.
    pub fn bytes<'a>(&self, image: &'a [u8]) -> Option<&'a [u8]> {
        slice(
            image,
            usize::try_from(self.image_offset).ok()?,
            usize::try_from(self.file_bytes).ok()?,
        )
    }

    fn read(bytes: &[u8; SEGMENT_BYTES]) -> Option<Result<Self, TableError>> {
        let Some(permissions) = Permissions::from_bits(read_u32(bytes, 32)?) else {
            return Some(Err(TableError::Permissions));
        };
        Some(Ok(Self {
            virtual_address: read_u64(bytes, 0)?,
            image_offset: read_u64(bytes, 8)?,
            file_bytes: read_u64(bytes, 16)?,
            memory_bytes: read_u64(bytes, 24)?,
            permissions,
        }))
    }

    fn check(&self, image_bytes: u64) -> Result<(), TableError> {
        let end = self.image_offset.checked_add(self.file_bytes);
        if end.is_none_or(|end| end > image_bytes) || self.file_bytes > self.memory_bytes {
            return Err(TableError::SegmentOutside);
        }
        if self
            .virtual_address
            .checked_add(self.memory_bytes)
            .is_none()
        {
            return Err(TableError::SegmentOutside);
        }
        // A page can be mapped in place only if it is a page of the image too.
        let difference = self.virtual_address ^ self.image_offset;
        if self.virtual_address != 0 && !difference.is_multiple_of(PAGE_BYTES) {
            return Err(TableError::Misaligned);
        }
        Ok(())
    }
}

/// Why bytes are not an image table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The bytes do not start with [`TABLE_MAGIC`].
    Magic,
    /// Another version of the format.
    Version(u32),
    /// The bytes end before the records that the header counts.
    Truncated,
    /// A component's kind is unknown.
    UnknownKind(u32),
    /// A name lies outside the names or is not UTF-8.
    Name,
    /// A component's segments are not all in the table.
    SegmentRange,
    /// A segment lies outside the image or the address space.
    SegmentOutside,
    /// A segment's address and its image offset differ within a page.
    Misaligned,
    /// A segment's permissions are none of the known ones.
    Permissions,
}

impl core::fmt::Display for TableError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Magic => formatter.write_str("no image table here"),
            Self::Version(found) => write!(
                formatter,
                "image table of version {found}; only version {TABLE_VERSION} is known"
            ),
            Self::Truncated => formatter.write_str("image table cut short"),
            Self::UnknownKind(kind) => write!(formatter, "component of unknown kind {kind}"),
            Self::Name => formatter.write_str("component name outside the table or not UTF-8"),
            Self::SegmentRange => formatter.write_str("component claims segments beyond the table"),
            Self::SegmentOutside => formatter.write_str("segment outside the image"),
            Self::Misaligned => formatter.write_str("segment not aligned as its address is"),
            Self::Permissions => formatter.write_str("segment with unknown permissions"),
        }
    }
}

impl core::error::Error for TableError {}

/// A checked image table.
#[derive(Clone, Copy, Debug)]
pub struct ImageTable<'a> {
    components: &'a [[u8; COMPONENT_BYTES]],
    segments: &'a [[u8; SEGMENT_BYTES]],
    names: &'a [u8],
    image_bytes: u64,
}

impl<'a> ImageTable<'a> {
    /// Checks all of `bytes`, which may be longer than the table.
    ///
    /// # Errors
    /// The first fault found; nothing of a faulty table can be used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TableError> {
        let table = Self::open(bytes)?;
        for record in table.segments {
            SegmentRecord::read(record)
                .ok_or(TableError::Truncated)??
                .check(table.image_bytes)?;
        }
        for index in 0..table.len() {
            let component = table.read_component(index)?;
            core::str::from_utf8(component.name_bytes).map_err(|_| TableError::Name)?;
        }
        Ok(table)
    }

    /// As [`ImageTable::parse`] for a reader that is part of the image, and as good as its table: where
    /// segments lie is not checked, and what is wrong with a component is found when it is asked for.
    ///
    /// # Errors
    /// What is wrong with the head.
    pub fn open(bytes: &'a [u8]) -> Result<Self, TableError> {
        if !bytes.starts_with(&TABLE_MAGIC) {
            return Err(TableError::Magic);
        }
        let version = read_u32(bytes, 8).ok_or(TableError::Truncated)?;
        if version != TABLE_VERSION {
            return Err(TableError::Version(version));
        }
        // Arrays, so that what lies in them is not checked word by word.
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(TableError::Truncated)?;
        let word = |offset| read_u32(head, offset).ok_or(TableError::Truncated);
        let image_bytes = read_u64(head, 24).ok_or(TableError::Truncated)?;
        let mut offset = HEADER_BYTES;
        let mut part = |count: u32, size: usize| {
            let length = (count as usize).checked_mul(size)?;
            let taken = slice(bytes, offset, length)?;
            offset = offset.checked_add(length)?;
            Some(taken)
        };
        Ok(Self {
            components: part(word(12)?, COMPONENT_BYTES)
                .ok_or(TableError::Truncated)?
                .as_chunks()
                .0,
            segments: part(word(16)?, SEGMENT_BYTES)
                .ok_or(TableError::Truncated)?
                .as_chunks()
                .0,
            names: part(word(20)?, 1).ok_or(TableError::Truncated)?,
            image_bytes,
        })
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// Bytes of the whole image file.
    pub fn image_bytes(&self) -> u64 {
        self.image_bytes
    }

    /// The component with this index.
    pub fn component(&self, index: usize) -> Option<Component<'a>> {
        self.read_component(index).ok()
    }

    /// All components, in the table's order.
    pub fn components(&self) -> impl Iterator<Item = Component<'a>> + Clone + use<'a> {
        let table = *self;
        (0..table.len()).filter_map(move |index| table.component(index))
    }

    /// The first component of this kind.
    pub fn first(&self, kind: Kind) -> Option<Component<'a>> {
        self.components().find(|component| component.kind == kind)
    }

    /// The component of this name.
    pub fn named(&self, name: &[u8]) -> Option<Component<'a>> {
        self.components()
            .find(|component| component.name_bytes == name)
    }

    #[inline(never)]
    fn read_component(&self, index: usize) -> Result<Component<'a>, TableError> {
        let record = self.components.get(index).ok_or(TableError::Truncated)?;
        let word = |offset| read_u32(record, offset).ok_or(TableError::Truncated);
        let kind = Kind::from_words(word(0)?, word(4)?).ok_or(TableError::UnknownKind(word(0)?))?;
        let name_bytes =
            slice(self.names, word(8)? as usize, word(12)? as usize).ok_or(TableError::Name)?;
        let first = word(16)? as usize;
        let segments = first
            .checked_add(word(20)? as usize)
            .and_then(|end| self.segments.get(first..end))
            .ok_or(TableError::SegmentRange)?;
        let address = |offset| read_u64(record, offset).ok_or(TableError::Truncated);
        Ok(Component {
            index,
            name_bytes,
            kind,
            entry: address(24)?,
            later: LaterEntries {
                reflected: address(32)?,
                trap: address(40)?,
            },
            segments: Segments { records: segments },
        })
    }
}

/// One component of an image.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// Its index in the table.
    pub index: usize,
    /// The bytes of its name, as the manifest has it: UTF-8 in a table that was checked.
    pub name_bytes: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// Virtual address of its first instruction; 0 if it is not run.
    pub entry: u64,
    /// Where else the kernel enters it.
    pub later: LaterEntries,
    /// Where its parts lie.
    pub segments: Segments<'a>,
}

impl<'a> Component<'a> {
    /// Its name; empty if that is not UTF-8.
    pub fn name(&self) -> &'a str {
        core::str::from_utf8(self.name_bytes).unwrap_or_default()
    }
}

/// The segments of a component, in the order of their addresses.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    records: &'a [[u8; SEGMENT_BYTES]],
}

impl Segments<'_> {
    /// Number of segments.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Iterator for Segments<'_> {
    type Item = SegmentRecord;

    fn next(&mut self) -> Option<SegmentRecord> {
        let (record, rest) = self.records.split_first()?;
        self.records = rest;
        SegmentRecord::read(record)?.ok()
    }
}
