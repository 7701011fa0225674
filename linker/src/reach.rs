//! Section garbage collection: what the roots reach is kept, and nothing else is.
//!
//! Archive members are taken in as references to them are met, so that an object that only dead
//! code refers to is not even read.

use crate::elf_object::{Definition, Fate, RawRelocation, Section};
use crate::request::is_named;
use crate::resolve::{Meaning, Reference, Resolution};
use crate::{Error, Request, UndefinedSymbol, layout, naming};
use object::LittleEndian;
use object::elf;
use std::collections::VecDeque;

const LE: LittleEndian = LittleEndian;

/// Marks all that is kept. Gives the symbols that stay undefined and are not the layout's.
pub(crate) fn reach<'a>(
    resolution: &mut Resolution<'a>,
    request: &'a Request<'a>,
) -> Result<(), Error> {
    let mut walk = Walk {
        resolution,
        request,
        pending: VecDeque::new(),
        seen_objects: 0,
    };
    for root in request.named() {
        let global = walk.resolution.intern(root.as_bytes());
        walk.want(global, true, None)?;
    }
    loop {
        walk.keep_the_retained();
        while let Some(global) = walk.resolution.redefined.pop() {
            walk.follow(global, None);
        }
        let Some((object, section)) = walk.pending.pop_front() else {
            break;
        };
        walk.visit(object, section)?;
    }
    for name in &request.keep {
        let named = |section: &Section<'_>| section.is_kept() && is_named(section.name, name);
        if !walk
            .resolution
            .objects
            .iter()
            .any(|object| object.sections.iter().any(named))
        {
            return Err(Error::NothingToKeep {
                component: request.name.clone(),
                section: name.clone(),
            });
        }
    }
    walk.settle()
}

struct Walk<'w, 'a> {
    resolution: &'w mut Resolution<'a>,
    request: &'a Request<'a>,
    pending: VecDeque<(u32, u32)>,
    seen_objects: usize,
}

impl Walk<'_, '_> {
    fn keep_the_retained(&mut self) {
        for number in self.seen_objects..self.resolution.objects.len() {
            let Some(object) = self.resolution.objects.get(number) else {
                break;
            };
            let kept: Vec<u32> = (0_u32..)
                .zip(&object.sections)
                .filter(|(_, section)| {
                    section.has(elf::SHF_GNU_RETAIN)
                        || section.name.starts_with(".kiln.keep")
                        || self.request.first.iter().any(|first| first == section.name)
                        || self.request.keeps(section.name)
                })
                .map(|(index, _)| index)
                .collect();
            for section in kept {
                self.keep(number as u32, section, None);
            }
        }
        self.seen_objects = self.resolution.objects.len();
    }

    fn keep(&mut self, object: u32, section: u32, from: Option<(u32, u32)>) {
        let found = self
            .resolution
            .objects
            .get_mut(object as usize)
            .and_then(|object| object.sections.get_mut(section as usize));
        if let Some(found) = found
            && found.fate == Fate::Unreached
        {
            found.fate = Fate::Kept { from };
            self.pending.push_back((object, section));
        }
    }

    fn follow(&mut self, global: u32, from: Option<(u32, u32)>) {
        let meaning = self
            .resolution
            .globals
            .get(global as usize)
            .map(|global| global.meaning);
        if let Some(Meaning::Section {
            object, section, ..
        }) = meaning
        {
            self.keep(object, section, from);
        }
    }

    fn want(
        &mut self,
        global: u32,
        strong: bool,
        reference: Option<Reference>,
    ) -> Result<(), Error> {
        let Some(known) = self.resolution.globals.get_mut(global as usize) else {
            return Ok(());
        };
        let name = known.name;
        known.wanted = true;
        let first_need = strong && known.needed.is_none();
        if first_need {
            known.needed = Some(reference);
        }
        if first_need && known.meaning == Meaning::Undefined {
            self.resolution.fetch(name, self.request)?;
        }
        self.follow(
            global,
            reference.map(|reference| (reference.object, reference.section)),
        );
        Ok(())
    }

    fn visit(&mut self, number: u32, section: u32) -> Result<(), Error> {
        let Some(object) = self.resolution.objects.get(number as usize) else {
            return Ok(());
        };
        let relocations: &[RawRelocation] = object
            .sections
            .get(section as usize)
            .map_or(&[], |section| section.relocations);
        for relocation in relocations {
            let index = relocation.r_sym(LE, false) as usize;
            let Some(object) = self.resolution.objects.get(number as usize) else {
                break;
            };
            if index == 0 {
                continue;
            }
            if index < object.first_global {
                if let Definition::Section(target) = object.definition(index)? {
                    self.keep(number, target, Some((number, section)));
                }
                continue;
            }
            let strong = object.symbol(index)?.st_bind() != elf::STB_WEAK;
            let Some(&global) = object.globals.get(index - object.first_global) else {
                continue;
            };
            let offset = relocation.r_offset.get(LE);
            self.want(
                global,
                strong,
                Some(Reference {
                    object: number,
                    section,
                    offset,
                }),
            )?;
        }
        Ok(())
    }

    /// Gives names that no object defines the caller's or the layout's meaning.
    fn settle(self) -> Result<(), Error> {
        let mut undefined = Vec::new();
        for index in 0..self.resolution.globals.len() {
            let Some(global) = self.resolution.globals.get_mut(index) else {
                break;
            };
            if global.meaning != Meaning::Undefined || !global.wanted {
                continue;
            }
            let name = global.name;
            let given = self
                .request
                .absolute
                .iter()
                .find(|(given, _)| given.as_bytes() == name);
            if let Some((_, value)) = given {
                global.meaning = Meaning::Absolute(*value);
            } else if layout::is_edge(name) {
                // The layout numbers its edges itself.
            } else if let Some(reference) = global.needed {
                let objects = &self.resolution.objects;
                let referrer = reference.and_then(|reference| site(objects, reference));
                undefined.push(UndefinedSymbol {
                    symbol: naming::demangled(&naming::text(name)),
                    referrer,
                });
            }
        }
        if undefined.is_empty() {
            return Ok(());
        }
        Err(Error::Undefined {
            component: self.request.name.clone(),
            symbols: undefined,
        })
    }
}

/// The place of a reference, in words.
pub(crate) fn site(
    objects: &[crate::elf_object::ElfObject<'_>],
    reference: Reference,
) -> Option<crate::Site> {
    let object = objects.get(reference.object as usize)?;
    Some(crate::Site {
        object: object.name.clone(),
        item: object.item_at(reference.section, reference.offset),
    })
}
