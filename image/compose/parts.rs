//! The freestanding parts that `kiln` carries: archives that `build.rs` compiled.

use super::ComposeError;

include!(concat!(env!("OUT_DIR"), "/parts.rs"));

/// The archive of the part called `name`.
///
/// # Errors
/// It is not there, or damaged.
pub fn part(name: &str) -> Result<Vec<u8>, ComposeError> {
    let found = PARTS.iter().find(|(known, _, _)| *known == name);
    let (_, length, packed) = found.ok_or_else(|| ComposeError::NoPart(name.to_owned()))?;
    let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, *length);
    bytes
        .ok()
        .filter(|bytes| bytes.len() == *length)
        .ok_or_else(|| ComposeError::DamagedPart(name.to_owned()))
}
