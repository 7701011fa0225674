//! Reads back what is in an image file.

use crate::Error;
use kiln_image_format::{
    ImageTable, Kind, LOCATION_BYTES, LOCATION_IN_HEADER, LaterEntries, Location, SegmentRecord,
    SymbolTable,
};

/// A component of an image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedComponent {
    /// Its name.
    pub name: String,
    /// What it is to the kernel.
    pub kind: Kind,
    /// Address of its first instruction; 0 if it is not run.
    pub entry: u64,
    /// Where else the kernel enters it.
    pub later: LaterEntries,
    /// Where its parts lie.
    pub segments: Vec<SegmentRecord>,
}

impl InspectedComponent {
    /// Bytes that it takes in the file.
    pub fn file_bytes(&self) -> u64 {
        self.segments
            .iter()
            .fold(0, |total, segment| total.saturating_add(segment.file_bytes))
    }

    /// Bytes that it takes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.segments.iter().fold(0, |total, segment| {
            total.saturating_add(segment.memory_bytes)
        })
    }
}

/// What is in an image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Bytes of the image file.
    pub image_bytes: u64,
    /// The components and blobs, the kernel first.
    pub components: Vec<InspectedComponent>,
    /// Functions of the kernel that its backtraces can name.
    pub symbols: usize,
}

/// Whether the bytes are the start of an image that says it is longer.
#[must_use]
pub fn is_cut_short(image: &[u8]) -> bool {
    let location = image
        .get(LOCATION_IN_HEADER..)
        .and_then(|rest| rest.first_chunk::<LOCATION_BYTES>())
        .and_then(Location::parse);
    location.is_some_and(|location| (image.len() as u64) < location.image_bytes)
}

/// Reads an image file's table. The file may have bytes after the image.
///
/// # Errors
/// If the bytes are not an image, are cut short, or the table is damaged.
pub fn inspect(image: &[u8]) -> Result<Inspection, Error> {
    if !image.starts_with(b"\x7fELF\x02\x01") {
        return Err(Error::NotAnImage("it does not start as a 64-bit ELF file"));
    }
    let location = image
        .get(LOCATION_IN_HEADER..)
        .and_then(|rest| rest.first_chunk::<LOCATION_BYTES>())
        .and_then(Location::parse)
        .ok_or(Error::NotAnImage(
            "its first page does not say where the image table is",
        ))?;
    let number = |value: u64| usize::try_from(value).ok();
    let whole = number(location.image_bytes)
        .and_then(|length| image.get(..length))
        .ok_or(Error::NotAnImage("it is cut short"))?;
    let table = number(location.table_offset)
        .and_then(|start| whole.get(start..)?.get(..number(location.table_bytes)?))
        .ok_or(Error::NotAnImage("the image table lies outside"))?;
    let table = ImageTable::parse(table)?;
    if table.image_bytes() != location.image_bytes {
        return Err(Error::NotAnImage("the image table tells another size"));
    }
    let mut symbols = 0;
    let mut components = Vec::new();
    for component in table.components() {
        if let Kind::Symbols(_) = component.kind {
            for segment in component.segments {
                let bytes = segment
                    .bytes(whole)
                    .ok_or(Error::NotAnImage("it is cut short"))?;
                symbols += SymbolTable::parse(bytes)?.len();
            }
        }
        components.push(InspectedComponent {
            name: component.name().to_owned(),
            kind: component.kind,
            entry: component.entry,
            later: component.later,
            segments: component.segments.collect(),
        });
    }
    Ok(Inspection {
        image_bytes: location.image_bytes,
        components,
        symbols,
    })
}
