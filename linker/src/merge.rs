//! Stores equal constants once: strings and fixed-size values of mergeable sections.
//!
//! Pieces that nothing refers to are left out.
//! Only sections whose compiler said that identity does not matter (`SHF_MERGE`), that are read-only
//! and hold no relocations. A piece keeps its section's alignment.

use crate::elf_object::Section;
use crate::pieces::ReferredTo;
use object::elf;
use std::collections::HashMap;

/// Equal pieces of one shape, each stored once.
pub(crate) struct Pool<'a> {
    pub alignment: u64,
    pub bytes: Vec<u8>,
    strings: bool,
    unit: usize,
    known: HashMap<&'a [u8], u64>,
}

/// Where the pieces of one section went.
struct Moved {
    pool: u32,
    /// Of each piece that is kept, its offset in the section, rising, its offset in the pool, and its
    /// length.
    pieces: Vec<(u64, u64, u64)>,
}

/// All pools, and what went into them.
#[derive(Default)]
pub(crate) struct Pools<'a> {
    pub pools: Vec<Pool<'a>>,
    moved: HashMap<(u32, u32), Moved>,
}

impl<'a> Pools<'a> {
    /// Takes a section in if it can be merged; says whether it did.
    pub(crate) fn add(
        &mut self,
        object: u32,
        number: u32,
        section: &Section<'a>,
        referred_to: &ReferredTo,
    ) -> bool {
        let unit = usize::try_from(section.entry_bytes).unwrap_or(0);
        let mergeable = section.has(elf::SHF_MERGE)
            && !section.has(elf::SHF_WRITE)
            && !section.has(elf::SHF_EXECINSTR)
            && section.relocations.is_empty()
            && section.has_bytes
            && (1..=64).contains(&unit)
            && section.bytes.len().is_multiple_of(unit);
        if !mergeable || section.bytes.is_empty() {
            return false;
        }
        let strings = section.has(elf::SHF_STRINGS);
        let last = section.bytes.rchunks_exact(unit).next();
        if strings && last.is_none_or(|last| last.iter().any(|byte| *byte != 0)) {
            return false;
        }
        let shape = |pool: &Pool<'_>| {
            pool.strings == strings && pool.unit == unit && pool.alignment == section.alignment
        };
        let index = self.pools.iter().position(shape).unwrap_or_else(|| {
            self.pools.push(Pool {
                alignment: section.alignment,
                bytes: Vec::new(),
                strings,
                unit,
                known: HashMap::new(),
            });
            self.pools.len() - 1
        });
        let Some(pool) = self.pools.get_mut(index) else {
            return false;
        };
        let mut pieces = Vec::new();
        let mut rest = section.bytes;
        let mut offset = 0_u64;
        while !rest.is_empty() {
            let length = if strings {
                string_bytes(rest, unit)
            } else {
                unit
            };
            let (piece, after) = rest.split_at(length.min(rest.len()));
            let bytes = piece.len() as u64;
            if referred_to.contains((object, number), offset, bytes) {
                pieces.push((offset, pool.intern(piece), bytes));
            }
            offset += bytes;
            rest = after;
        }
        self.moved.insert(
            (object, number),
            Moved {
                pool: index as u32,
                pieces,
            },
        );
        true
    }

    /// The pool, and the offset in it, of an offset in a section that was taken in.
    pub(crate) fn translate(&self, object: u32, section: u32, offset: u64) -> Option<(u32, u64)> {
        let moved = self.moved.get(&(object, section))?;
        let after = moved.pieces.partition_point(|(start, ..)| *start <= offset);
        let (start, to, bytes) = *moved.pieces.get(after.checked_sub(1)?)?;
        // The end of a piece is a place in it: some references point behind what they mean.
        let inside = offset.wrapping_sub(start);
        (inside <= bytes).then(|| (moved.pool, to.wrapping_add(inside)))
    }
}

impl<'a> Pool<'a> {
    fn intern(&mut self, piece: &'a [u8]) -> u64 {
        if let Some(offset) = self.known.get(piece) {
            return *offset;
        }
        let start = self
            .bytes
            .len()
            .next_multiple_of(usize::try_from(self.alignment).unwrap_or(1));
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(piece);
        self.known.insert(piece, start as u64);
        start as u64
    }
}

fn string_bytes(bytes: &[u8], unit: usize) -> usize {
    if unit == 1 {
        return bytes
            .iter()
            .position(|byte| *byte == 0)
            .map_or(bytes.len(), |end| end + 1);
    }
    let end = bytes
        .chunks_exact(unit)
        .position(|unit| unit.iter().all(|byte| *byte == 0));
    end.map_or(bytes.len(), |end| (end + 1) * unit)
}
