//! Writes a symbol table.
//!
//! The size depends on the names and their number, not on the addresses.

use super::{HEADER_BYTES, MAGIC, MAXIMUM_NAME_BYTES};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The table of these functions (address and name), in any order.
///
/// Functions below `base` or 4 GiB beyond it are left out, as are all but the first of several at
/// one address. `None` if the names together exceed 4 GiB.
pub fn encode_symbols(base: u64, functions: &mut [(u64, &str)]) -> Option<Vec<u8>> {
    functions.sort_unstable();
    let mut entries: Vec<(u32, u32)> = Vec::with_capacity(functions.len());
    let mut names: Vec<u8> = Vec::new();
    let mut known: BTreeMap<&str, u32> = BTreeMap::new();
    for (address, name) in functions.iter() {
        let offset = address
            .checked_sub(base)
            .and_then(|offset| u32::try_from(offset).ok());
        let Some(offset) = offset else { continue };
        if entries.last().is_some_and(|(last, _)| *last == offset) {
            continue;
        }
        let name = cut(name);
        let at = match known.get(name) {
            Some(at) => *at,
            None => {
                let at = u32::try_from(names.len()).ok()?;
                names.push(u8::try_from(name.len()).ok()?);
                names.extend_from_slice(name.as_bytes());
                known.insert(name, at);
                at
            }
        };
        entries.push((offset, at));
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * 8 + names.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&base.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(names.len()).ok()?.to_le_bytes());
    for (offset, name) in entries {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&name.to_le_bytes());
    }
    bytes.extend_from_slice(&names);
    Some(bytes)
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAXIMUM_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or("")
}
