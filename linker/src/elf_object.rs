//! One ELF relocatable, checked far enough that later steps need no more care.
//!
//! Every section's bytes and relocations are in range, every relocation's symbol exists, and every
//! symbol's section exists.

use crate::archive::malformed;
use crate::{Error, naming};
use object::LittleEndian;
use object::SymbolIndex;
use object::elf;
use object::read::elf::{FileHeader, SectionHeader, Sym, SymbolTable};

type Header = elf::FileHeader64<LittleEndian>;
pub(crate) type RawSymbol = elf::Sym64<LittleEndian>;
pub(crate) type RawRelocation = elf::Rela64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// What becomes of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Never part of a component: not loaded, or debug or unwind information.
    Excluded,
    /// Not reached so far.
    Unreached,
    /// Part of the component; reached first from this section, if from one.
    Kept { from: Option<(u32, u32)> },
}

/// A section of an object.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub name: &'a str,
    pub flags: u64,
    pub size: u64,
    pub alignment: u64,
    pub entry_bytes: u64,
    /// Empty if the section occupies no file space.
    pub bytes: &'a [u8],
    pub has_bytes: bool,
    pub relocations: &'a [RawRelocation],
    pub fate: Fate,
    /// Index into the plan's chunks, once there is one.
    pub chunk: Option<u32>,
}

impl Section<'_> {
    pub(crate) fn has(&self, flag: elf::SectionFlags) -> bool {
        self.flags & flag.0 != 0
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.fate, Fate::Kept { .. })
    }
}

/// Where an object says a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Definition {
    Undefined,
    Absolute,
    Common,
    Section(u32),
}

/// One object.
pub(crate) struct ElfObject<'a> {
    pub name: String,
    pub sections: Vec<Section<'a>>,
    symbols: SymbolTable<'a, Header>,
    /// Symbols below this index are the object's own.
    pub first_global: usize,
    /// Index of each global symbol in the link's table, once resolved.
    pub globals: Vec<u32>,
    /// COMDAT groups: signature and members.
    pub groups: Vec<(&'a [u8], Vec<u32>)>,
}

impl<'a> ElfObject<'a> {
    pub(crate) fn parse(name: String, bytes: &'a [u8]) -> Result<Self, Error> {
        let fault = |error: object::read::Error| malformed(&name, &error.to_string());
        if bytes.starts_with(b"BC\xc0\xde") || bytes.starts_with(b"\xde\xc0\x17\x0b") {
            return Err(malformed(&name, "compiler bitcode, not machine code"));
        }
        let header = Header::parse(bytes).map_err(fault)?;
        if !header.is_class_64() || header.e_machine(LE) != elf::EM_X86_64 {
            return Err(malformed(&name, "not an object for x86-64"));
        }
        if !header.is_little_endian() || header.e_type(LE) != elf::ET_REL {
            return Err(malformed(&name, "not a relocatable object"));
        }
        let table = header.sections(LE, bytes).map_err(fault)?;
        let symbols = table.symbols(LE, bytes, elf::SHT_SYMTAB).map_err(fault)?;
        let first_global = table
            .section(symbols.section())
            .map_or(0, |section| section.sh_info(LE) as usize)
            .clamp(1, symbols.len().max(1));
        let mut sections = Vec::with_capacity(table.len());
        for section in table.iter() {
            let section_name = table.section_name(LE, section).map_err(fault)?;
            let read = read_section(section, section_name, bytes);
            sections.push(read.map_err(|reason| malformed(&name, &reason))?);
        }
        let mut groups = Vec::new();
        for (index, section) in table.iter().enumerate() {
            let target = section.sh_info(LE) as usize;
            if let Some((relocations, _)) = section.rela(LE, bytes).map_err(fault)? {
                let in_range = relocations.iter().all(|relocation| {
                    (relocation.r_sym(LE, false) as usize) < symbols.len().max(1)
                });
                let target = sections.get_mut(target).filter(|_| in_range);
                target
                    .ok_or_else(|| malformed(&name, "relocations of nothing"))?
                    .relocations = relocations;
            } else if section.sh_type(LE) == elf::SHT_REL && section.sh_size.get(LE) != 0 {
                return Err(malformed(&name, "relocations without addends"));
            } else if let Some((flags, members)) = section.group(LE, bytes).map_err(fault)? {
                if flags != elf::GRP_COMDAT {
                    continue;
                }
                let signature = symbols.symbol(SymbolIndex(target)).map_err(fault)?;
                // A section symbol has no name; then the section's name is the signature.
                let mut key = symbols.symbol_name(LE, signature).map_err(fault)?;
                if key.is_empty() {
                    key = sections
                        .get(index)
                        .map_or(b"", |section| section.name.as_bytes());
                }
                groups.push((key, members.iter().map(|member| member.get(LE)).collect()));
            }
        }
        let object = Self {
            name,
            sections,
            symbols,
            first_global,
            globals: Vec::new(),
            groups,
        };
        for index in 1..object.symbols.len() {
            if let Definition::Section(section) = object.definition(index)?
                && object.sections.len() <= section as usize
            {
                return Err(malformed(
                    &object.name,
                    "symbol in a section that does not exist",
                ));
            }
        }
        Ok(object)
    }

    pub(crate) fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    pub(crate) fn symbol(&self, index: usize) -> Result<&'a RawSymbol, Error> {
        self.symbols
            .symbol(SymbolIndex(index))
            .map_err(|error| malformed(&self.name, &error.to_string()))
    }

    pub(crate) fn symbol_name(&self, index: usize) -> Result<&'a [u8], Error> {
        let symbol = self.symbol(index)?;
        self.symbols
            .symbol_name(LE, symbol)
            .map_err(|error| malformed(&self.name, &error.to_string()))
    }

    pub(crate) fn definition(&self, index: usize) -> Result<Definition, Error> {
        let symbol = self.symbol(index)?;
        let section = symbol.st_shndx(LE);
        if section == elf::SHN_UNDEF {
            return Ok(Definition::Undefined);
        }
        if section == elf::SHN_ABS {
            return Ok(Definition::Absolute);
        }
        if section == elf::SHN_COMMON {
            return Ok(Definition::Common);
        }
        let section = self
            .symbols
            .symbol_section(LE, symbol, SymbolIndex(index))
            .map_err(|error| malformed(&self.name, &error.to_string()))?;
        match section.and_then(|section| u32::try_from(section.0).ok()) {
            Some(section) => Ok(Definition::Section(section)),
            None => Err(malformed(&self.name, "symbol in a reserved section")),
        }
    }

    /// Calls `found` with the name of each global symbol that the object defines.
    pub(crate) fn for_each_definition(&self, mut found: impl FnMut(&'a [u8])) -> Result<(), Error> {
        for index in self.first_global..self.symbols.len() {
            if self.definition(index)? != Definition::Undefined {
                found(self.symbol_name(index)?);
            }
        }
        Ok(())
    }

    /// The item that the byte at `offset` of a section belongs to, for messages.
    pub(crate) fn item_at(&self, section: u32, offset: u64) -> String {
        let mut best: Option<(u64, usize)> = None;
        for index in 1..self.symbols.len() {
            let Ok(symbol) = self.symbol(index) else {
                continue;
            };
            let value = symbol.st_value(LE);
            if self.definition(index) == Ok(Definition::Section(section))
                && symbol.st_type() != elf::STT_SECTION
                && value <= offset
                && best.is_none_or(|(start, _)| start <= value)
            {
                best = Some((value, index));
            }
        }
        let named = best.and_then(|(_, index)| self.symbol_name(index).ok());
        match named.filter(|name| !name.is_empty()) {
            Some(name) => naming::demangled(&naming::text(name)),
            None => self
                .sections
                .get(section as usize)
                .map_or_else(String::new, |section| section.name.to_owned()),
        }
    }
}

/// Whether an object has a section for which `wanted` holds; what is not an object has none.
pub(crate) fn has_section(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> bool {
    let Ok(table) = Header::parse(bytes).and_then(|header| header.sections(LE, bytes)) else {
        return false;
    };
    table.iter().any(|section| {
        let name = table.section_name(LE, section).ok();
        name.and_then(|name| std::str::from_utf8(name).ok())
            .is_some_and(&wanted)
    })
}

fn read_section<'a>(
    header: &elf::SectionHeader64<LittleEndian>,
    name: &'a [u8],
    bytes: &'a [u8],
) -> Result<Section<'a>, String> {
    let name = std::str::from_utf8(name).unwrap_or("(section name that is not UTF-8)");
    let flags = header.sh_flags(LE).0;
    let has_bytes = header.sh_type(LE) != elf::SHT_NOBITS;
    let loaded = flags & elf::SHF_ALLOC.0 != 0 && flags & elf::SHF_EXCLUDE.0 == 0;
    let fate = if loaded && !is_never_loaded(name) {
        Fate::Unreached
    } else {
        Fate::Excluded
    };
    let alignment = header.sh_addralign(LE).max(1);
    let compressed = flags & elf::SHF_COMPRESSED.0 != 0;
    if loaded && (!alignment.is_power_of_two() || alignment > MAXIMUM_ALIGNMENT || compressed) {
        return Err(format!(
            "section {name} is compressed or has an impossible alignment"
        ));
    }
    Ok(Section {
        name,
        flags,
        size: header.sh_size(LE),
        alignment,
        entry_bytes: header.sh_entsize(LE),
        bytes: header.data(LE, bytes).map_err(|error| error.to_string())?,
        has_bytes,
        relocations: &[],
        fate,
        chunk: None,
    })
}

/// More than any processor structure needs; keeps a damaged object from making a huge image.
const MAXIMUM_ALIGNMENT: u64 = 1 << 30;

fn is_never_loaded(name: &str) -> bool {
    const BEGINNINGS: [&str; 10] = [
        ".debug",
        ".zdebug",
        ".comment",
        ".note.GNU-stack",
        ".note.gnu.property",
        ".eh_frame",
        ".gcc_except_table",
        ".llvm",
        ".gnu.lto_",
        ".stack_sizes",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| name.starts_with(beginning))
}
