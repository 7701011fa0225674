//! Address slots (the GOT) for references that go through one and cannot do without.
//!
//! Position-independent code reaches symbols that might be far through a slot. In a component
//! nothing is far, so most such instructions are rewritten to reach the symbol directly
//! (processor supplement, "Optimize GOTPCRELX relocations"). Planning and applying ask the same
//! question, [`rewrite`], so that they agree.

use crate::elf_object::{Definition, RawRelocation};
use crate::resolve::{Meaning, Resolution};
use crate::{Error, layout};
use object::LittleEndian;
use object::elf;
use std::collections::HashMap;

const LE: LittleEndian = LittleEndian;

/// An instruction that can reach its symbol without a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// `mov slot(%rip), %r` to `lea symbol(%rip), %r`.
    Load,
    /// `call *slot(%rip)` to `addr32 call symbol`.
    Call,
    /// `jmp *slot(%rip)` to `jmp symbol; nop`.
    Jump,
}

/// How the instruction around `offset` is rewritten, if it can be.
pub(crate) fn rewrite(relocation: &RawRelocation, bytes: &[u8]) -> Option<Rewrite> {
    let kind = relocation.r_type(LE, false);
    if kind != elf::R_X86_64_GOTPCRELX && kind != elf::R_X86_64_REX_GOTPCRELX {
        return None;
    }
    let offset = usize::try_from(relocation.r_offset.get(LE)).ok()?;
    let opcode = *bytes.get(offset.checked_sub(2)?)?;
    let modifier = *bytes.get(offset.checked_sub(1)?)?;
    if relocation.r_addend.get(LE) != -4 {
        return None;
    }
    match (opcode, modifier) {
        (0x8b, _) => Some(Rewrite::Load),
        (0xff, 0x15) => Some(Rewrite::Call),
        (0xff, 0x25) => Some(Rewrite::Jump),
        _ => None,
    }
}

/// Whether the reference is through a slot at all.
pub(crate) fn is_through_slot(relocation: &RawRelocation) -> bool {
    let kind = relocation.r_type(LE, false);
    [
        elf::R_X86_64_GOTPCREL,
        elf::R_X86_64_GOTPCRELX,
        elf::R_X86_64_REX_GOTPCRELX,
        elf::R_X86_64_GOTPCREL64,
    ]
    .contains(&kind)
}

/// What a slot holds the address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    Global(u32),
    Local { object: u32, symbol: u32 },
}

/// The slots of a component, in the order in which they were asked for.
#[derive(Default)]
pub(crate) struct Slots {
    pub held: Vec<Held>,
    numbers: HashMap<Held, u32>,
}

impl Slots {
    /// Finds the slots that the kept sections need.
    pub(crate) fn collect(resolution: &Resolution<'_>) -> Result<Self, Error> {
        let mut slots = Self::default();
        for (number, object) in (0_u32..).zip(&resolution.objects) {
            for section in object.sections.iter().filter(|section| section.is_kept()) {
                for relocation in section.relocations.iter().filter(|r| is_through_slot(r)) {
                    let symbol = relocation.r_sym(LE, false);
                    let near = !is_absolute(resolution, number, symbol)?;
                    if near && rewrite(relocation, section.bytes).is_some() {
                        continue;
                    }
                    let Some(held) = held(resolution, number, symbol) else {
                        continue;
                    };
                    let next = slots.held.len() as u32;
                    slots.numbers.entry(held).or_insert_with(|| {
                        slots.held.push(held);
                        next
                    });
                }
            }
        }
        Ok(slots)
    }

    pub(crate) fn number(&self, held: Held) -> Option<u32> {
        self.numbers.get(&held).copied()
    }
}

/// The slot content for an object's symbol.
pub(crate) fn held(resolution: &Resolution<'_>, number: u32, symbol: u32) -> Option<Held> {
    let object = resolution.objects.get(number as usize)?;
    match (symbol as usize).checked_sub(object.first_global) {
        Some(global) => object
            .globals
            .get(global)
            .map(|global| Held::Global(*global)),
        None => Some(Held::Local {
            object: number,
            symbol,
        }),
    }
}

/// Whether a symbol is a number, which may be too far from the code to be reached directly.
pub(crate) fn is_absolute(
    resolution: &Resolution<'_>,
    number: u32,
    symbol: u32,
) -> Result<bool, Error> {
    match held(resolution, number, symbol) {
        Some(Held::Global(global)) => {
            let global = resolution.globals.get(global as usize);
            Ok(global.is_none_or(|global| match global.meaning {
                Meaning::Section { .. } | Meaning::Edge(_) => false,
                Meaning::Absolute(_) => true,
                Meaning::Undefined => !layout::is_edge(global.name),
            }))
        }
        Some(Held::Local { .. }) => {
            let Some(object) = resolution.objects.get(number as usize) else {
                return Ok(true);
            };
            Ok(!matches!(
                object.definition(symbol as usize)?,
                Definition::Section(_)
            ))
        }
        None => Ok(true),
    }
}
