//! Where a symbol lies, before and after addresses are known.

use crate::archive::malformed;
use crate::elf_object::Definition;
use crate::layout::Layout;
use crate::plan::{Addresses, Class};
use crate::resolve::{Meaning, Reference, Resolution};
use crate::{Error, naming, reach};
use object::LittleEndian;
use object::elf;
use object::read::elf::Sym;

const LE: LittleEndian = LittleEndian;

/// A place in the component, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Absolute(u64),
    /// An offset in a class; it may lie before or after the class.
    In(Class, u64),
}

impl Spot {
    pub(crate) fn address(self, addresses: &Addresses) -> u64 {
        match self {
            Self::Absolute(value) => value,
            Self::In(class, offset) => addresses.of(class).wrapping_add(offset),
        }
    }
}

/// The parts of a plan that say where things lie.
pub(crate) struct Map<'p, 'a> {
    pub resolution: &'p Resolution<'a>,
    pub layout: &'p Layout<'a>,
}

impl Map<'_, '_> {
    /// Where a place in a section lies; `None` if the section is not part of the component.
    pub(crate) fn spot(&self, object: u32, section: u32, offset: u64) -> Option<Spot> {
        if let Some((pool, offset)) = self.layout.pools.translate(object, section, offset) {
            let chunk = *self.layout.pool_chunks.get(pool as usize)?;
            let chunk = self.layout.chunks.get(chunk as usize)?;
            return Some(Spot::In(chunk.class, chunk.offset.wrapping_add(offset)));
        }
        let found = self.resolution.objects.get(object as usize)?;
        let chunk = found.sections.get(section as usize)?.chunk?;
        let chunk = self.layout.chunks.get(chunk as usize)?;
        Some(Spot::In(chunk.class, chunk.offset.wrapping_add(offset)))
    }

    /// Where a global symbol lies; an undefined one, which must be weak, is at 0.
    pub(crate) fn global(&self, global: u32) -> Option<Spot> {
        match self.resolution.globals.get(global as usize)?.meaning {
            Meaning::Undefined => Some(Spot::Absolute(0)),
            Meaning::Absolute(value) => Some(Spot::Absolute(value)),
            Meaning::Edge(edge) => {
                let (class, offset) = *self.layout.edges.get(edge as usize)?;
                Some(Spot::In(class, offset))
            }
            Meaning::Section {
                object,
                section,
                value,
            } => self.spot(object, section, value),
        }
    }

    /// Where the symbol of a relocation lies, such that adding `addend` gives the right place.
    pub(crate) fn symbol(
        &self,
        reference: Reference,
        index: usize,
        addend: i64,
    ) -> Result<Spot, Error> {
        let number = reference.object;
        let Some(object) = self.resolution.objects.get(number as usize) else {
            return Err(malformed(
                "",
                "reference from an object that does not exist",
            ));
        };
        if index == 0 {
            return Ok(Spot::Absolute(0));
        }
        let symbol = object.symbol(index)?;
        let mut section = None;
        let spot = if let Some(global) = index.checked_sub(object.first_global) {
            let global = object.globals.get(global).copied();
            if let Some(Meaning::Section {
                object,
                section: target,
                ..
            }) = global
                .and_then(|global| self.resolution.globals.get(global as usize))
                .map(|global| global.meaning)
            {
                section = Some((object, target));
            }
            global.and_then(|global| self.global(global))
        } else {
            match object.definition(index)? {
                Definition::Section(target) => {
                    section = Some((number, target));
                    let value = symbol.st_value(LE);
                    if symbol.st_type() == elf::STT_SECTION {
                        // The addend picks the piece of a merged section.
                        let inside = value.wrapping_add_signed(addend);
                        self.spot(number, target, inside)
                            .map(|spot| spot.before(addend))
                    } else {
                        self.spot(number, target, value)
                    }
                }
                _ => Some(Spot::Absolute(symbol.st_value(LE))),
            }
        };
        spot.ok_or_else(|| {
            let target = section.and_then(|(object, section)| {
                self.resolution
                    .objects
                    .get(object as usize)?
                    .sections
                    .get(section as usize)
            });
            Error::Discarded {
                symbol: self.symbol_name(number, index),
                section: target.map_or_else(String::new, |target| target.name.to_owned()),
                site: self.site(reference),
            }
        })
    }

    /// The name of an object's symbol for a message.
    pub(crate) fn symbol_name(&self, object: u32, index: usize) -> String {
        let Some(object) = self.resolution.objects.get(object as usize) else {
            return String::new();
        };
        let name = object
            .symbol_name(index)
            .map(naming::text)
            .unwrap_or_default();
        if !name.is_empty() {
            return naming::demangled(&name);
        }
        match object.definition(index) {
            Ok(Definition::Section(section)) => object
                .sections
                .get(section as usize)
                .map_or_else(String::new, |section| section.name.to_owned()),
            _ => String::new(),
        }
    }

    /// The place of a reference for a message.
    pub(crate) fn site(&self, reference: Reference) -> crate::Site {
        reach::site(&self.resolution.objects, reference).unwrap_or(crate::Site {
            object: String::new(),
            item: String::new(),
        })
    }
}

impl Spot {
    fn before(self, addend: i64) -> Self {
        match self {
            Self::Absolute(value) => Self::Absolute(value.wrapping_sub_signed(addend)),
            Self::In(class, offset) => Self::In(class, offset.wrapping_sub_signed(addend)),
        }
    }
}
