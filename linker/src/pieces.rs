//! Which parts of mergeable sections anything refers to.
//!
//! A mergeable section holds constants of many functions; those of functions that are not linked
//! shall not be in the image either. A reference says its place only up to what the instruction
//! adds (the distance from the field to the instruction's end), so all places that it can mean
//! count as referred to: too much is kept sometimes, too little never.

use crate::elf_object::{Definition, ElfObject, RawRelocation};
use crate::resolve::{Meaning, Resolution};
use object::LittleEndian;
use std::collections::{BTreeSet, HashMap};

const LE: LittleEndian = LittleEndian;

/// Bytes between the start of a PC-relative field and the end of its instruction: the field
/// itself, and an immediate of no, one, two or four bytes.
const BIASES: [i64; 5] = [0, 4, 5, 6, 8];

/// Offsets that kept sections refer to, by object and section.
#[derive(Default)]
pub(crate) struct ReferredTo(HashMap<(u32, u32), BTreeSet<u64>>);

impl ReferredTo {
    /// Collects the references of everything that is kept.
    pub(crate) fn collect(resolution: &Resolution<'_>) -> Result<Self, crate::Error> {
        let mut found = Self::default();
        for (number, object) in (0_u32..).zip(&resolution.objects) {
            for section in object.sections.iter().filter(|section| section.is_kept()) {
                for relocation in section.relocations {
                    if let Some((place, value)) = target(resolution, number, object, relocation)? {
                        found.add(place, value, relocation.r_addend.get(LE));
                    }
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, place: (u32, u32), value: u64, addend: i64) {
        let offsets = self.0.entry(place).or_default();
        offsets.insert(value);
        for bias in BIASES {
            offsets.insert(value.wrapping_add_signed(addend.wrapping_add(bias)));
        }
    }

    /// Whether something may refer to `start..start + length` of the section.
    pub(crate) fn contains(&self, place: (u32, u32), start: u64, length: u64) -> bool {
        self.0
            .get(&place)
            .is_some_and(|offsets| offsets.range(start..start + length).next().is_some())
    }
}

/// A section, by object and number, and an offset in it.
type Place = ((u32, u32), u64);

/// The section that a relocation refers to, and the symbol's offset there.
fn target(
    resolution: &Resolution<'_>,
    number: u32,
    object: &ElfObject<'_>,
    relocation: &RawRelocation,
) -> Result<Option<Place>, crate::Error> {
    let index = relocation.r_sym(LE, false) as usize;
    if index == 0 {
        return Ok(None);
    }
    let Some(global) = index.checked_sub(object.first_global) else {
        return Ok(match object.definition(index)? {
            Definition::Section(section) => {
                let value = object.symbol(index)?.st_value.get(LE);
                Some(((number, section), value))
            }
            _ => None,
        });
    };
    let meaning = object
        .globals
        .get(global)
        .and_then(|global| resolution.globals.get(*global as usize))
        .map(|global| global.meaning);
    Ok(match meaning {
        Some(Meaning::Section {
            object,
            section,
            value,
        }) => Some(((object, section), value)),
        _ => None,
    })
}
