//! Reads little-endian integers out of untrusted bytes.
//!
//! Every read is checked: outside the bytes, or an offset that overflows, is `None`.

/// The `length` bytes at `offset`.
pub(crate) fn slice(bytes: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    bytes.get(offset..offset.checked_add(length)?)
}

/// The `u32` at `offset`.
pub(crate) fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let (head, _) = bytes.get(offset..)?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*head))
}

/// The `u64` at `offset`.
pub(crate) fn read_u64(bytes: &[u8], offset: usize) -> Option<u64> {
    let (head, _) = bytes.get(offset..)?.split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*head))
}
