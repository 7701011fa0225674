//! What takes the room in a component and in an image.

use crate::Class;
use crate::elf_object::{ElfObject, Fate};
use crate::layout::Content;
use crate::naming;
use crate::plan::Plan;
use std::collections::{BTreeMap, HashMap};

/// Bytes by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrateReport {
    /// The crate, or the object's stem for other languages.
    pub name: String,
    /// Instructions.
    pub text: u64,
    /// Data that nothing writes.
    pub rodata: u64,
    /// Data that is written.
    pub data: u64,
    /// Data that starts as zeros.
    pub bss: u64,
}

impl CrateReport {
    /// Bytes that it takes in a file.
    pub fn file_bytes(&self) -> u64 {
        self.text + self.rodata + self.data
    }

    fn add(&mut self, class: Class, bytes: u64) {
        match class {
            Class::Text => self.text += bytes,
            Class::Rodata => self.rodata += bytes,
            Class::Data => self.data += bytes,
            Class::Bss => self.bss += bytes,
        }
    }
}

/// A section that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionReport {
    /// The function or datum, demangled, or else the section's name.
    pub name: String,
    /// The object that it comes from.
    pub object: String,
    /// The class that it went to.
    pub class: Class,
    /// Its size.
    pub bytes: u64,
}

/// What takes the room in one component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentReport {
    /// The component's name.
    pub name: String,
    /// Bytes by class, padding included.
    pub total: CrateReport,
    /// By crate, the largest first; constants merged across crates are one entry.
    pub crates: Vec<CrateReport>,
    /// The largest sections, the largest first.
    pub largest: Vec<SectionReport>,
    /// Objects that something was kept of.
    pub objects: usize,
    /// Sections kept.
    pub sections: usize,
}

/// A blob of an image: a root file system, a configuration, a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobReport {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What takes the room in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReport {
    /// Bytes of the image file.
    pub file_bytes: u64,
    /// Bytes of memory that the image takes where the loader puts it.
    pub memory_bytes: u64,
    /// The kernel first, then the others in the order given.
    pub components: Vec<ComponentReport>,
    /// Everything else.
    pub blobs: Vec<BlobReport>,
}

const LARGEST: usize = 40;

pub(crate) fn component(plan: &Plan<'_>) -> ComponentReport {
    let mut crates: BTreeMap<String, CrateReport> = BTreeMap::new();
    let mut owners = Owners {
        plan,
        known: HashMap::new(),
    };
    let mut sections: Vec<(u64, usize)> = Vec::new();
    let mut objects = std::collections::BTreeSet::new();
    for (index, chunk) in plan.layout.chunks.iter().enumerate() {
        let owner = match chunk.content {
            Content::Section { object, section } => {
                objects.insert(object);
                sections.push((chunk.size, index));
                owners.of(object, section)
            }
            Content::Pool(_) => "(merged constants)".to_owned(),
            Content::Slots => "(address slots)".to_owned(),
        };
        let entry = crates.entry(owner.clone()).or_default();
        entry.name = owner;
        entry.add(chunk.class, chunk.size);
    }
    let mut crates: Vec<CrateReport> = crates.into_values().collect();
    crates.sort_by_key(|entry| std::cmp::Reverse(entry.file_bytes()));
    sections.sort_by_key(|(size, index)| (std::cmp::Reverse(*size), *index));
    let count = sections.len();
    let largest = sections
        .into_iter()
        .take(LARGEST)
        .filter_map(|(bytes, index)| section_report(plan, index, bytes))
        .collect();
    let mut total = CrateReport {
        name: plan.name.to_owned(),
        ..CrateReport::default()
    };
    for class in Class::ALL {
        total.add(class, plan.sizes().of(class).bytes);
    }
    let name = plan.name.to_owned();
    ComponentReport {
        name,
        total,
        crates,
        largest,
        objects: objects.len(),
        sections: count,
    }
}

fn section_report(plan: &Plan<'_>, chunk: usize, bytes: u64) -> Option<SectionReport> {
    let chunk = plan.layout.chunks.get(chunk)?;
    let Content::Section { object, section } = chunk.content else {
        return None;
    };
    let object = plan.resolution.objects.get(object as usize)?;
    Some(SectionReport {
        name: object.item_at(section, 0),
        object: object.name.clone(),
        class: chunk.class,
        bytes,
    })
}

struct Owners<'p, 'a> {
    plan: &'p Plan<'a>,
    known: HashMap<(u32, u32), String>,
}

impl Owners<'_, '_> {
    /// The crate that a section belongs to. One without a name of its own, such as a constant,
    /// belongs to whatever it was first reached from.
    fn of(&mut self, object: u32, section: u32) -> String {
        let mut path = Vec::new();
        let mut next = Some((object, section));
        let mut owner = None;
        while let Some(key) = next {
            if let Some(known) = self.known.get(&key) {
                owner = Some(known.clone());
                break;
            }
            path.push(key);
            let Some(found) = self.plan.resolution.objects.get(key.0 as usize) else {
                break;
            };
            owner = own_name(found, key.1);
            if owner.is_some() {
                break;
            }
            next = match found
                .sections
                .get(key.1 as usize)
                .map(|section| section.fate)
            {
                // Reached first from there, so the chain leads to a root and ends.
                Some(Fate::Kept { from }) => from,
                _ => None,
            };
        }
        let owner = owner.unwrap_or_else(|| {
            let object = self.plan.resolution.objects.get(object as usize);
            object
                .map_or("", |object| naming::crate_of_object(&object.name))
                .to_owned()
        });
        for key in path {
            self.known.insert(key, owner.clone());
        }
        owner
    }
}

fn own_name(object: &ElfObject<'_>, section: u32) -> Option<String> {
    let section = object.sections.get(section as usize)?;
    let of_object = || naming::crate_of_object(&object.name).to_owned();
    match naming::symbol_of_section(section.name) {
        Some(symbol) => {
            let path = naming::demangled(symbol);
            Some(naming::crate_of_path(&path).map_or_else(of_object, str::to_owned))
        }
        None if section.name.starts_with(".rodata") => None,
        None => Some(of_object()),
    }
}
