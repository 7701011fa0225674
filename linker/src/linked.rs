//! A component at its addresses.

use crate::elf_object::Definition;
use crate::plan::{Addresses, Plan};
use crate::{Class, ComponentReport, naming};
use kiln_image_format::{LaterEntries, Permissions};
use object::LittleEndian;
use object::elf;
use object::read::elf::Sym;

const LE: LittleEndian = LittleEndian;

/// One class of a component, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The class.
    pub class: Class,
    /// Address of the first byte.
    pub virtual_address: u64,
    /// The bytes; empty for [`Class::Bss`].
    pub bytes: Vec<u8>,
    /// Bytes in memory; those after `bytes` are zero.
    pub memory_bytes: u64,
    /// What the pages may be used for.
    pub permissions: Permissions,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolKind {
    /// Instructions.
    Function,
    /// Data.
    Object,
}

/// A symbol at its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// Its address.
    pub address: u64,
    /// Bytes that it names; 0 if the object does not say.
    pub size: u64,
    /// The class that it lies in.
    pub class: Class,
    /// What it names.
    pub kind: SymbolKind,
    /// Its name in the object, as the compiler made it.
    pub raw_name: String,
    /// Whether other objects can see it.
    pub global: bool,
}

impl Symbol {
    /// Its name as written in the source, without the compiler's hash.
    pub fn name(&self) -> String {
        naming::demangled(&self.raw_name)
    }
}

/// A component at its addresses, all relocations applied.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The component's name.
    pub name: String,
    /// The lowest address.
    pub base: u64,
    /// Address of the first instruction; 0 if the request named none.
    pub entry: u64,
    /// The addresses of the entries that the request names besides.
    pub later: LaterEntries,
    /// The parts that are not empty, by class.
    pub segments: Vec<Segment>,
    /// The symbols, by rising address.
    pub symbols: Vec<Symbol>,
    /// What takes the room.
    pub report: ComponentReport,
}

impl Linked {
    /// The symbol with this raw name; a global one before an object's own.
    pub fn symbol(&self, raw_name: &str) -> Option<&Symbol> {
        let named = || {
            self.symbols
                .iter()
                .filter(|symbol| symbol.raw_name == raw_name)
        };
        named()
            .find(|symbol| symbol.global)
            .or_else(|| named().next())
    }

    /// The segment of a class, unless it is empty.
    pub fn segment(&self, class: Class) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.class == class)
    }
}

/// The symbols of kept sections.
pub(crate) fn symbols(plan: &Plan<'_>, addresses: &Addresses) -> Vec<Symbol> {
    let map = plan.map();
    let mut symbols = Vec::new();
    for (number, object) in (0_u32..).zip(&plan.resolution.objects) {
        for index in 1..object.symbol_count() {
            let (Ok(symbol), Ok(Definition::Section(section))) =
                (object.symbol(index), object.definition(index))
            else {
                continue;
            };
            let found = object.sections.get(section as usize);
            let Some(found) = found.filter(|section| section.chunk.is_some()) else {
                continue;
            };
            let kind = match symbol.st_type() {
                elf::STT_FUNC => SymbolKind::Function,
                elf::STT_OBJECT => SymbolKind::Object,
                elf::STT_NOTYPE if found.has(elf::SHF_EXECINSTR) => SymbolKind::Function,
                elf::STT_NOTYPE => SymbolKind::Object,
                _ => continue,
            };
            let name = object.symbol_name(index).unwrap_or_default();
            if name.is_empty() || name.starts_with(b".L") {
                continue;
            }
            let Some(spot) = map.spot(number, section, symbol.st_value(LE)) else {
                continue;
            };
            let crate::target::Spot::In(class, _) = spot else {
                continue;
            };
            symbols.push(Symbol {
                address: spot.address(addresses),
                size: symbol.st_size(LE),
                class,
                kind,
                raw_name: naming::text(name),
                global: index >= object.first_global,
            });
        }
    }
    symbols.sort_unstable();
    symbols
}
