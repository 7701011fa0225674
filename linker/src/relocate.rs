//! Puts addresses into the bytes of a component: the relocations of the x86-64 supplement.
//!
//! A value that does not fit is an error, never cut.

use crate::elf_object::RawRelocation;
use crate::layout::SLOT_BYTES;
use crate::plan::Addresses;
use crate::resolve::Reference;
use crate::slots::{self, Held, Rewrite, Slots};
use crate::target::Map;
use crate::{Class, Error, Relocation};
use object::LittleEndian;
use object::elf;

const LE: LittleEndian = LittleEndian;

/// What applying relocations needs to know.
pub(crate) struct Relocator<'p, 'a> {
    pub map: Map<'p, 'a>,
    pub slots: &'p Slots,
    pub addresses: Addresses,
}

/// How a value is stored.
#[derive(Clone, Copy)]
enum Field {
    Any64,
    Unsigned32,
    Signed32,
    /// Narrow fields hold numbers of either sign.
    Either16,
    Either8,
    Signed16,
    Signed8,
}

impl Relocator<'_, '_> {
    /// Applies one relocation to `bytes`, a section's, which start at `place`.
    pub(crate) fn apply(
        &self,
        relocation: &RawRelocation,
        object: u32,
        section: u32,
        bytes: &mut [u8],
        place: u64,
    ) -> Result<(), Error> {
        let offset = relocation.r_offset.get(LE);
        let reference = Reference {
            object,
            section,
            offset,
        };
        let symbol = relocation.r_sym(LE, false);
        let addend = relocation.r_addend.get(LE);
        let kind = relocation.r_type(LE, false);
        if kind == elf::R_X86_64_NONE {
            return Ok(());
        }
        if is_thread_local(kind) {
            return Err(Error::ThreadLocal {
                symbol: self.map.symbol_name(object, symbol as usize),
                site: self.map.site(reference),
            });
        }
        if slots::is_through_slot(relocation) {
            return self.through_slot(relocation, reference, symbol, bytes, place);
        }
        let value = self
            .map
            .symbol(reference, symbol as usize, addend)?
            .address(&self.addresses);
        let value = value.wrapping_add_signed(addend);
        let here = place.wrapping_add(offset);
        let relative = value.wrapping_sub(here);
        let (field, value) = match kind {
            elf::R_X86_64_64 => (Field::Any64, value),
            elf::R_X86_64_PC64 => (Field::Any64, relative),
            elf::R_X86_64_32 => (Field::Unsigned32, value),
            elf::R_X86_64_32S => (Field::Signed32, value),
            elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => (Field::Signed32, relative),
            elf::R_X86_64_16 => (Field::Either16, value),
            elf::R_X86_64_PC16 => (Field::Signed16, relative),
            elf::R_X86_64_8 => (Field::Either8, value),
            elf::R_X86_64_PC8 => (Field::Signed8, relative),
            elf::R_X86_64_GOTPC32 | elf::R_X86_64_GOTPC64 => {
                let table = self.slot_address(0).wrapping_add_signed(addend);
                let wide = kind == elf::R_X86_64_GOTPC64;
                let field = if wide { Field::Any64 } else { Field::Signed32 };
                (field, table.wrapping_sub(here))
            }
            elf::R_X86_64_GOTOFF64 => (Field::Any64, value.wrapping_sub(self.slot_address(0))),
            _ => {
                return Err(Error::UnsupportedRelocation {
                    relocation: Relocation(kind.0),
                    symbol: self.map.symbol_name(object, symbol as usize),
                    site: self.map.site(reference),
                });
            }
        };
        self.store(relocation, reference, field, value, bytes, offset)
    }

    fn through_slot(
        &self,
        relocation: &RawRelocation,
        reference: Reference,
        symbol: u32,
        bytes: &mut [u8],
        place: u64,
    ) -> Result<(), Error> {
        let resolution = self.map.resolution;
        let offset = reference.offset;
        let addend = relocation.r_addend.get(LE);
        let here = place.wrapping_add(offset);
        let near = !slots::is_absolute(resolution, reference.object, symbol)?;
        if near && let Some(rewrite) = slots::rewrite(relocation, bytes) {
            let target = self.map.symbol(reference, symbol as usize, addend)?;
            let target = target.address(&self.addresses);
            let (start, opcode): (u64, [u8; 2]) = match rewrite {
                // The register stays in the byte after the opcode.
                Rewrite::Load => (offset.wrapping_sub(2), [0x8d, byte(bytes, offset, 1)]),
                Rewrite::Call => (offset.wrapping_sub(2), [0x67, 0xe8]),
                Rewrite::Jump => (offset.wrapping_sub(2), [0xe9, 0x90]),
            };
            if let Some(found) = field(bytes, start, 2) {
                found.copy_from_slice(&opcode);
            }
            // A direct jump is one byte shorter: its field starts and ends one byte earlier.
            let earlier = u64::from(rewrite == Rewrite::Jump);
            let value = target.wrapping_add_signed(addend).wrapping_sub(here);
            let value = value.wrapping_add(earlier);
            let at = offset.wrapping_sub(earlier);
            self.store(relocation, reference, Field::Signed32, value, bytes, at)?;
            if rewrite == Rewrite::Jump
                && let Some(last) = field(bytes, offset.wrapping_add(3), 1)
            {
                last.fill(0x90);
            }
            return Ok(());
        }
        let slot = slots::held(resolution, reference.object, symbol)
            .and_then(|held| self.slots.number(held))
            .unwrap_or_default();
        let value = self
            .slot_address(slot)
            .wrapping_add_signed(addend)
            .wrapping_sub(here);
        let wide = relocation.r_type(LE, false) == elf::R_X86_64_GOTPCREL64;
        let kind = if wide { Field::Any64 } else { Field::Signed32 };
        self.store(relocation, reference, kind, value, bytes, offset)
    }

    fn slot_address(&self, slot: u32) -> u64 {
        let chunk = self.map.layout.slots_chunk;
        let start = chunk
            .and_then(|chunk| self.map.layout.chunks.get(chunk as usize))
            .map_or(0, |chunk| chunk.offset);
        let base = self.addresses.of(Class::Rodata);
        base.wrapping_add(start)
            .wrapping_add(u64::from(slot) * SLOT_BYTES)
    }

    /// The content of the slots.
    pub(crate) fn slot_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for held in &self.slots.held {
            let spot = match *held {
                Held::Global(global) => self.map.global(global),
                Held::Local { object, symbol } => {
                    let reference = Reference {
                        object,
                        section: 0,
                        offset: 0,
                    };
                    Some(self.map.symbol(reference, symbol as usize, 0)?)
                }
            };
            let address = spot.map_or(0, |spot| spot.address(&self.addresses));
            bytes.extend_from_slice(&address.to_le_bytes());
        }
        Ok(bytes)
    }

    fn store(
        &self,
        relocation: &RawRelocation,
        reference: Reference,
        shape: Field,
        value: u64,
        bytes: &mut [u8],
        offset: u64,
    ) -> Result<(), Error> {
        let signed = value.cast_signed();
        let (length, fits) = match shape {
            Field::Any64 => (8, true),
            Field::Unsigned32 => (4, u32::try_from(value).is_ok()),
            Field::Signed32 => (4, i32::try_from(signed).is_ok()),
            Field::Either16 => (2, (-0x8000..0x1_0000).contains(&signed)),
            Field::Signed16 => (2, i16::try_from(signed).is_ok()),
            Field::Either8 => (1, (-0x80..0x100).contains(&signed)),
            Field::Signed8 => (1, i8::try_from(signed).is_ok()),
        };
        let symbol = || {
            let index = relocation.r_sym(LE, false) as usize;
            self.map.symbol_name(reference.object, index)
        };
        let relocation = Relocation(relocation.r_type(LE, false).0);
        if !fits {
            let (symbol, site) = (symbol(), self.map.site(reference));
            return Err(Error::Overflow {
                relocation,
                symbol,
                value,
                site,
            });
        }
        match field(bytes, offset, length) {
            Some(field) => {
                for (byte, value) in field.iter_mut().zip(value.to_le_bytes()) {
                    *byte = value;
                }
                Ok(())
            }
            None => Err(Error::Malformed {
                object: self.map.site(reference).object,
                reason: format!("relocation {relocation} outside its section"),
            }),
        }
    }
}

fn field(bytes: &mut [u8], offset: u64, length: usize) -> Option<&mut [u8]> {
    let offset = usize::try_from(offset).ok()?;
    bytes.get_mut(offset..offset.checked_add(length)?)
}

fn byte(bytes: &[u8], offset: u64, before: u64) -> u8 {
    let index = usize::try_from(offset.wrapping_sub(before)).unwrap_or(usize::MAX);
    bytes.get(index).copied().unwrap_or_default()
}

fn is_thread_local(kind: elf::RelocationType) -> bool {
    matches!(
        kind,
        elf::R_X86_64_DTPMOD64
            | elf::R_X86_64_DTPOFF64
            | elf::R_X86_64_TPOFF64
            | elf::R_X86_64_TLSGD
            | elf::R_X86_64_TLSLD
            | elf::R_X86_64_DTPOFF32
            | elf::R_X86_64_GOTTPOFF
            | elf::R_X86_64_TPOFF32
            | elf::R_X86_64_GOTPC32_TLSDESC
            | elf::R_X86_64_TLSDESC_CALL
            | elf::R_X86_64_TLSDESC
            | elf::R_X86_64_CODE_4_GOTTPOFF
    )
}

/// The name of a relocation type.
pub(crate) fn name(number: u32) -> Option<&'static str> {
    const NAMES: [(u32, &str); 26] = [
        (1, "R_X86_64_64"),
        (2, "R_X86_64_PC32"),
        (3, "R_X86_64_GOT32"),
        (4, "R_X86_64_PLT32"),
        (9, "R_X86_64_GOTPCREL"),
        (10, "R_X86_64_32"),
        (11, "R_X86_64_32S"),
        (12, "R_X86_64_16"),
        (13, "R_X86_64_PC16"),
        (14, "R_X86_64_8"),
        (15, "R_X86_64_PC8"),
        (17, "R_X86_64_DTPOFF64"),
        (18, "R_X86_64_TPOFF64"),
        (19, "R_X86_64_TLSGD"),
        (20, "R_X86_64_TLSLD"),
        (21, "R_X86_64_DTPOFF32"),
        (22, "R_X86_64_GOTTPOFF"),
        (23, "R_X86_64_TPOFF32"),
        (24, "R_X86_64_PC64"),
        (25, "R_X86_64_GOTOFF64"),
        (26, "R_X86_64_GOTPC32"),
        (29, "R_X86_64_GOTPC64"),
        (31, "R_X86_64_PLTOFF64"),
        (32, "R_X86_64_SIZE32"),
        (41, "R_X86_64_GOTPCRELX"),
        (42, "R_X86_64_REX_GOTPCRELX"),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}
