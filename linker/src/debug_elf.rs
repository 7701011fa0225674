//! A symbol file for a debugger: the addresses and names of a linked component, without its bytes.

use crate::linked::{Linked, SymbolKind};
use crate::{Class, Segment, naming};

const HEADER_BYTES: u64 = 64;
const SYMBOL_BYTES: u64 = 24;
const SECTION_BYTES: u64 = 64;

/// An ELF file for `add-symbol-file` or `symbol-file`: sections without content at their linked
/// addresses, and the symbols under the names that a person gave them.
pub fn debug_elf(linked: &Linked) -> Vec<u8> {
    let mut section_names = vec![0_u8];
    let mut name = |text: &str| {
        let offset = section_names.len() as u32;
        section_names.extend_from_slice(text.as_bytes());
        section_names.push(0);
        offset
    };
    let mut sections = vec![SectionHeader::default()];
    for segment in &linked.segments {
        sections.push(loaded(name(&format!(".{}", segment.class)), segment));
    }
    let mut strings = vec![0_u8];
    let mut symbols = vec![0_u8; SYMBOL_BYTES as usize];
    let (own, global): (Vec<_>, Vec<_>) = linked.symbols.iter().partition(|symbol| !symbol.global);
    let first_global = own.len() as u32 + 1;
    for symbol in own.into_iter().chain(global) {
        let index = linked
            .segments
            .iter()
            .position(|segment| segment.class == symbol.class);
        let kind = match symbol.kind {
            SymbolKind::Function => 2,
            SymbolKind::Object => 1,
        };
        symbols.extend_from_slice(&(strings.len() as u32).to_le_bytes());
        symbols.push(u8::from(symbol.global) << 4 | kind);
        symbols.push(0);
        symbols.extend_from_slice(&index.map_or(0, |index| index as u16 + 1).to_le_bytes());
        symbols.extend_from_slice(&symbol.address.to_le_bytes());
        symbols.extend_from_slice(&symbol.size.to_le_bytes());
        strings.extend_from_slice(naming::demangled(&symbol.raw_name).as_bytes());
        strings.push(0);
    }
    let symbols_at = HEADER_BYTES;
    let strings_at = symbols_at + symbols.len() as u64;
    let names_at = strings_at + strings.len() as u64;
    let symbol_section = sections.len() as u32;
    sections.push(SectionHeader {
        name: name(".symtab"),
        kind: 2,
        offset: symbols_at,
        size: symbols.len() as u64,
        link: symbol_section + 1,
        info: first_global,
        alignment: 8,
        entry: SYMBOL_BYTES,
        ..SectionHeader::default()
    });
    let table = |name, offset, size| SectionHeader {
        name,
        kind: 3,
        offset,
        size,
        alignment: 1,
        ..SectionHeader::default()
    };
    sections.push(table(name(".strtab"), strings_at, strings.len() as u64));
    let own_name = name(".shstrtab");
    sections.push(table(own_name, names_at, section_names.len() as u64));
    let headers_at = (names_at + section_names.len() as u64).next_multiple_of(8);

    let mut file = Vec::new();
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend_from_slice(&2_u16.to_le_bytes());
    file.extend_from_slice(&62_u16.to_le_bytes());
    file.extend_from_slice(&1_u32.to_le_bytes());
    for word in [linked.entry, 0, headers_at] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&0_u32.to_le_bytes());
    let counts = [
        HEADER_BYTES as u16,
        0,
        0,
        SECTION_BYTES as u16,
        sections.len() as u16,
    ];
    for half in counts.into_iter().chain([sections.len() as u16 - 1]) {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&symbols);
    file.extend_from_slice(&strings);
    file.extend_from_slice(&section_names);
    file.resize(headers_at as usize, 0);
    for section in &sections {
        section.write(&mut file);
    }
    file
}

fn loaded(name: u32, segment: &Segment) -> SectionHeader {
    SectionHeader {
        name,
        kind: 8,
        flags: match segment.class {
            Class::Text => 2 | 4,
            Class::Rodata => 2,
            Class::Data | Class::Bss => 2 | 1,
        },
        address: segment.virtual_address,
        size: segment.memory_bytes,
        alignment: 4096,
        ..SectionHeader::default()
    }
}

#[derive(Clone, Copy, Default)]
struct SectionHeader {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    alignment: u64,
    entry: u64,
}

impl SectionHeader {
    fn write(&self, file: &mut Vec<u8>) {
        file.extend_from_slice(&self.name.to_le_bytes());
        file.extend_from_slice(&self.kind.to_le_bytes());
        for word in [self.flags, self.address, self.offset, self.size] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&self.link.to_le_bytes());
        file.extend_from_slice(&self.info.to_le_bytes());
        for word in [self.alignment, self.entry] {
            file.extend_from_slice(&word.to_le_bytes());
        }
    }
}
