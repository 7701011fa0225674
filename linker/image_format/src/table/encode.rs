//! Writes an image table.
//!
//! The size depends only on counts and names, so it is known before the addresses are.

use super::{
    HEADER_BYTES, Kind, LaterEntries, SEGMENT_BYTES, SegmentRecord, TABLE_MAGIC, TABLE_VERSION,
};
use alloc::string::String;
use alloc::vec::Vec;

/// A component to be written.
#[derive(Clone, Debug)]
pub struct ComponentRecord {
    /// Its name, as the manifest has it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Virtual address of its first instruction; 0 if it is not run.
    pub entry: u64,
    /// Where else the kernel enters it.
    pub later: LaterEntries,
    /// Where its parts lie.
    pub segments: Vec<SegmentRecord>,
}

/// Bytes that [`encode`] will give for components with these names and segment counts.
pub fn encoded_bytes<'a>(components: impl IntoIterator<Item = (&'a str, usize)>) -> usize {
    components
        .into_iter()
        .fold(HEADER_BYTES, |total, (name, segments)| {
            total + super::COMPONENT_BYTES + segments * SEGMENT_BYTES + name.len()
        })
}

/// The table's bytes, or `None` if a count does not fit the format's 32 bits.
pub fn encode(components: &[ComponentRecord], image_bytes: u64) -> Option<Vec<u8>> {
    let segment_count: usize = components
        .iter()
        .map(|component| component.segments.len())
        .sum();
    let name_bytes: usize = components
        .iter()
        .map(|component| component.name.len())
        .sum();
    let mut bytes = Vec::with_capacity(encoded_bytes(
        components
            .iter()
            .map(|component| (component.name.as_str(), component.segments.len())),
    ));
    bytes.extend_from_slice(&TABLE_MAGIC);
    for count in [components.len(), segment_count, name_bytes] {
        if bytes.len() == TABLE_MAGIC.len() {
            bytes.extend_from_slice(&TABLE_VERSION.to_le_bytes());
        }
        bytes.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    }
    bytes.extend_from_slice(&image_bytes.to_le_bytes());
    let (mut name_offset, mut first_segment) = (0_u32, 0_u32);
    for component in components {
        let (kind, argument) = component.kind.to_words();
        let name_length = u32::try_from(component.name.len()).ok()?;
        let segments = u32::try_from(component.segments.len()).ok()?;
        for word in [
            kind,
            argument,
            name_offset,
            name_length,
            first_segment,
            segments,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for entry in [
            component.entry,
            component.later.reflected,
            component.later.trap,
        ] {
            bytes.extend_from_slice(&entry.to_le_bytes());
        }
        name_offset = name_offset.checked_add(name_length)?;
        first_segment = first_segment.checked_add(segments)?;
    }
    for segment in components.iter().flat_map(|component| &component.segments) {
        for word in [
            segment.virtual_address,
            segment.image_offset,
            segment.file_bytes,
            segment.memory_bytes,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&segment.permissions.bits().to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
    }
    for component in components {
        bytes.extend_from_slice(component.name.as_bytes());
    }
    Some(bytes)
}
