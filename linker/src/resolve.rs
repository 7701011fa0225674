//! Symbol resolution: one definition for each name, archive members taken in only when needed.
//!
//! A strong definition beats a weak one, an earlier weak one a later. Of COMDAT groups with one
//! signature the first is kept. A weak reference takes no archive member in.

use crate::archive::{self, Archive, Opened};
use crate::elf_object::{Definition, ElfObject, Fate};
use crate::{Error, Request, naming};
use object::LittleEndian;
use object::elf;
use object::read::elf::Sym;
use std::collections::{HashMap, HashSet};

const LE: LittleEndian = LittleEndian;

/// What a global symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing so far.
    Undefined,
    /// A place in a section of an object.
    Section {
        object: u32,
        section: u32,
        value: u64,
    },
    /// A number.
    Absolute(u64),
    /// An edge of the layout, by its index there.
    Edge(u32),
}

/// A global symbol of the link.
pub(crate) struct Global<'a> {
    pub name: &'a [u8],
    pub meaning: Meaning,
    /// The definition may be replaced by a strong one.
    pub weak: bool,
    /// Object that defines it.
    pub definer: u32,
    /// Something kept refers to it.
    pub wanted: bool,
    /// Something kept cannot do without it; where from, or `None` for a root.
    pub needed: Option<Option<Reference>>,
}

/// A relocation that refers to a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub object: u32,
    pub section: u32,
    pub offset: u64,
}

/// All objects taken in and all names known.
pub(crate) struct Resolution<'a> {
    pub objects: Vec<ElfObject<'a>>,
    pub globals: Vec<Global<'a>>,
    by_name: HashMap<&'a [u8], u32>,
    archives: Vec<Archive<'a>>,
    /// Archive and offset of the member that defines a name.
    offered: HashMap<&'a [u8], (u32, u64)>,
    taken: HashSet<(u32, u64)>,
    groups: HashSet<&'a [u8]>,
    /// Wanted symbols that got a new definition, to be followed.
    pub redefined: Vec<u32>,
}

impl<'a> Resolution<'a> {
    pub(crate) fn new(request: &'a Request<'a>) -> Result<Self, Error> {
        let mut resolution = Self {
            objects: Vec::new(),
            globals: Vec::new(),
            by_name: HashMap::new(),
            archives: Vec::new(),
            offered: HashMap::new(),
            taken: HashSet::new(),
            groups: HashSet::new(),
            redefined: Vec::new(),
        };
        for input in &request.inputs {
            match archive::open(input)? {
                Opened::Object(object) => resolution.take(object, request)?,
                Opened::Archive(archive) => {
                    let index = resolution.archives.len() as u32;
                    archive.for_each_symbol(|name, offset| {
                        resolution.offered.entry(name).or_insert((index, offset));
                    })?;
                    resolution.archives.push(archive);
                }
            }
        }
        if !request.keep.is_empty() {
            for archive in 0..resolution.archives.len() {
                let Some(found) = resolution.archives.get(archive) else {
                    break;
                };
                for offset in found.members_with(|section| request.keeps(section))? {
                    resolution.take_member(archive as u32, offset, request)?;
                }
            }
        }
        Ok(resolution)
    }

    /// Index of the global symbol called `name`.
    pub(crate) fn intern(&mut self, name: &'a [u8]) -> u32 {
        let globals = &mut self.globals;
        *self.by_name.entry(name).or_insert_with(|| {
            globals.push(Global {
                name,
                meaning: Meaning::Undefined,
                weak: false,
                definer: 0,
                wanted: false,
                needed: None,
            });
            (globals.len() - 1) as u32
        })
    }

    /// The global symbol called `name`, if anything mentions it.
    pub(crate) fn find(&self, name: &str) -> Option<&Global<'a>> {
        self.by_name
            .get(name.as_bytes())
            .and_then(|index| self.globals.get(*index as usize))
    }

    /// Takes in the archive member that defines a symbol, if there is one not taken in yet.
    pub(crate) fn fetch(&mut self, name: &[u8], request: &Request<'_>) -> Result<(), Error> {
        match self.offered.get(name) {
            Some(&(archive, offset)) => self.take_member(archive, offset, request),
            None => Ok(()),
        }
    }

    fn take_member(
        &mut self,
        archive: u32,
        offset: u64,
        request: &Request<'_>,
    ) -> Result<(), Error> {
        if !self.taken.insert((archive, offset)) {
            return Ok(());
        }
        let Some(archive) = self.archives.get(archive as usize) else {
            return Ok(());
        };
        let object = archive.member(offset)?;
        self.take(object, request)
    }

    fn take(&mut self, mut object: ElfObject<'a>, request: &Request<'_>) -> Result<(), Error> {
        let number = self.objects.len() as u32;
        for (signature, members) in std::mem::take(&mut object.groups) {
            if self.groups.insert(signature) {
                continue;
            }
            for member in members {
                if let Some(section) = object.sections.get_mut(member as usize) {
                    section.fate = Fate::Excluded;
                }
            }
        }
        for section in &mut object.sections {
            if section.fate == Fate::Excluded {
                continue;
            }
            let begins = |beginning: &String| section.name.starts_with(beginning.as_str());
            if request.discard.iter().any(begins) {
                section.fate = Fate::Excluded;
            } else if is_constructor_list(section.name) && section.size != 0 {
                return Err(Error::Constructors {
                    object: object.name,
                    section: section.name.to_owned(),
                });
            }
        }
        let mut globals =
            Vec::with_capacity(object.symbol_count().saturating_sub(object.first_global));
        for index in object.first_global..object.symbol_count() {
            let global = self.intern(object.symbol_name(index)?);
            globals.push(global);
            self.define(global, number, &object, index)?;
        }
        object.globals = globals;
        self.objects.push(object);
        Ok(())
    }

    fn define(
        &mut self,
        global: u32,
        number: u32,
        object: &ElfObject<'a>,
        index: usize,
    ) -> Result<(), Error> {
        let symbol = object.symbol(index)?;
        let value = symbol.st_value(LE);
        let weak = symbol.st_bind() == elf::STB_WEAK;
        let Some(known) = self.globals.get_mut(global as usize) else {
            return Ok(());
        };
        let meaning = match object.definition(index)? {
            Definition::Undefined => return Ok(()),
            Definition::Common => {
                return Err(Error::CommonSymbol {
                    symbol: naming::text(known.name),
                    object: object.name.clone(),
                });
            }
            Definition::Absolute => Meaning::Absolute(value),
            Definition::Section(section) => {
                let dropped = |section: &crate::elf_object::Section<'_>| {
                    section.fate == Fate::Excluded && section.has(elf::SHF_GROUP)
                };
                if object.sections.get(section as usize).is_some_and(dropped) {
                    return Ok(());
                }
                Meaning::Section {
                    object: number,
                    section,
                    value,
                }
            }
        };
        if symbol.st_type() == elf::STT_GNU_IFUNC {
            return Err(Error::IndirectFunction {
                symbol: naming::demangled(&naming::text(known.name)),
                object: object.name.clone(),
            });
        }
        let replaces = known.meaning == Meaning::Undefined || (known.weak && !weak);
        if replaces {
            known.meaning = meaning;
            known.weak = weak;
            known.definer = number;
            if known.wanted {
                self.redefined.push(global);
            }
        } else if !weak && !known.weak {
            let first = self.objects.get(known.definer as usize);
            return Err(Error::Duplicate {
                symbol: naming::demangled(&naming::text(known.name)),
                first: first.map_or_else(|| object.name.clone(), |first| first.name.clone()),
                second: object.name.clone(),
            });
        }
        Ok(())
    }
}

fn is_constructor_list(section: &str) -> bool {
    [
        ".init_array",
        ".fini_array",
        ".preinit_array",
        ".ctors",
        ".dtors",
    ]
    .iter()
    .any(|list| {
        section
            .strip_prefix(list)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
