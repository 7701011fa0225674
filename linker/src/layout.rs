//! Gives every kept section its class and its offset in the class.
//!
//! Within a class sections go by falling alignment, which saves padding, and otherwise in the order
//! of the inputs, so that the same inputs give the same layout.

use crate::elf_object::Section;
use crate::merge::Pools;
use crate::pieces::ReferredTo;
use crate::plan::{Class, Extent, Sizes};
use crate::resolve::{Meaning, Resolution};
use crate::{Error, Request, naming};
use object::elf;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// What a chunk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Section {
        object: u32,
        section: u32,
    },
    Pool(u32),
    /// The table of addresses for references through it.
    Slots,
}

/// A piece of a class that stays together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub content: Content,
    pub class: Class,
    pub alignment: u64,
    pub size: u64,
    /// Offset in the class.
    pub offset: u64,
}

/// The layout of a component, without addresses.
pub(crate) struct Layout<'a> {
    pub chunks: Vec<Chunk>,
    pub pools: Pools<'a>,
    /// Chunk of each pool.
    pub pool_chunks: Vec<u32>,
    /// Chunk of the address slots, if there are any.
    pub slots_chunk: Option<u32>,
    /// Places that names of the linker's own stand for.
    pub edges: Vec<(Class, u64)>,
    pub sizes: Sizes,
}

/// Bytes of an address slot.
pub(crate) const SLOT_BYTES: u64 = 8;

const SLOTS_NAME: &[u8] = b"_GLOBAL_OFFSET_TABLE_";

/// Whether the layout gives this name a meaning.
pub(crate) fn is_edge(name: &[u8]) -> bool {
    name == SLOTS_NAME || class_edge(name).is_some() || list_edge(name).is_some()
}

fn class_edge(name: &[u8]) -> Option<(Class, bool)> {
    let name = std::str::from_utf8(name).ok()?.strip_prefix("__")?;
    let (class, edge) = name.split_once('_')?;
    let class = match class {
        "text" => Class::Text,
        "rodata" => Class::Rodata,
        "data" => Class::Data,
        "bss" => Class::Bss,
        _ => return None,
    };
    match edge {
        "start" => Some((class, false)),
        "end" => Some((class, true)),
        _ => None,
    }
}

fn list_edge(name: &[u8]) -> Option<(&str, bool)> {
    let name = std::str::from_utf8(name).ok()?;
    let (list, end) = match name.strip_prefix("__start_") {
        Some(list) => (list, false),
        None => (name.strip_prefix("__stop_")?, true),
    };
    naming::is_identifier(list).then_some((list, end))
}

/// Sections of one list, or a single chunk: placed without anything in between.
struct Run {
    class: Class,
    rank: u32,
    alignment: u64,
    chunks: Vec<u32>,
}

pub(crate) fn lay_out<'a>(
    resolution: &mut Resolution<'a>,
    request: &Request<'_>,
    slots: usize,
) -> Result<Layout<'a>, Error> {
    let initialised: Vec<(u32, u32)> = request
        .initialised
        .iter()
        .filter_map(|name| match resolution.find(name)?.meaning {
            Meaning::Section {
                object, section, ..
            } => Some((object, section)),
            _ => None,
        })
        .collect();
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut pools = Pools::default();
    let referred_to = ReferredTo::collect(resolution)?;
    let mut runs: Vec<Run> = Vec::new();
    let mut lists: BTreeMap<&'a str, usize> = BTreeMap::new();
    for (number, object) in (0_u32..).zip(&mut resolution.objects) {
        for (index, section) in (0_u32..).zip(&mut object.sections) {
            if !section.is_kept() {
                continue;
            }
            let mut class = class_of(section, &object.name)?;
            if class == Class::Bss && initialised.contains(&(number, index)) {
                class = Class::Data;
            }
            let list = naming::list_of_section(section.name);
            if class == Class::Rodata
                && list.is_none()
                && pools.add(number, index, section, &referred_to)
            {
                continue;
            }
            let chunk = chunks.len() as u32;
            section.chunk = Some(chunk);
            let (alignment, size) = (section.alignment, section.size);
            let content = Content::Section {
                object: number,
                section: index,
            };
            chunks.push(Chunk {
                content,
                class,
                alignment,
                size,
                offset: 0,
            });
            if let Some(list) = list {
                // One writable member makes the whole list writable: it has one place.
                let known = lists.get(list).copied();
                if let Some(run) = known.and_then(|run| runs.get_mut(run)) {
                    run.class = run.class.joined(class);
                    run.alignment = run.alignment.max(alignment);
                    run.chunks.push(chunk);
                    continue;
                }
                lists.insert(list, runs.len());
            }
            let rank = rank(section.name, class, request);
            runs.push(Run {
                class,
                rank,
                alignment,
                chunks: vec![chunk],
            });
        }
    }
    for run in lists.values() {
        let Some(run) = runs.get_mut(*run) else {
            continue;
        };
        // Members go by name, so that a list does not depend on the order of the inputs.
        run.chunks
            .sort_by_key(|chunk| section_name(resolution, &chunks, *chunk));
    }
    let mut pool_chunks = Vec::new();
    for (index, pool) in (0_u32..).zip(&pools.pools) {
        pool_chunks.push(chunks.len() as u32);
        let content = Content::Pool(index);
        add_rodata(
            &mut chunks,
            &mut runs,
            content,
            pool.alignment,
            pool.bytes.len() as u64,
        );
    }
    let slots_chunk = (slots != 0).then_some(chunks.len() as u32);
    if slots != 0 {
        let bytes = slots as u64 * SLOT_BYTES;
        add_rodata(&mut chunks, &mut runs, Content::Slots, SLOT_BYTES, bytes);
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|index| {
        runs.get(*index)
            .map(|run| (run.rank, Reverse(run.alignment)))
    });
    let mut sizes = Sizes::default();
    let mut extents: HashMap<usize, (Class, u64, u64)> = HashMap::new();
    for index in order {
        let Some(run) = runs.get(index) else { continue };
        let extent = sizes.of_mut(run.class);
        extent.alignment = extent.alignment.max(run.alignment);
        let start = aligned(extent.bytes, run.alignment, request)?;
        extent.bytes = start;
        for chunk in &run.chunks {
            let Some(chunk) = chunks.get_mut(*chunk as usize) else {
                continue;
            };
            chunk.class = run.class;
            chunk.offset = aligned(extent.bytes, chunk.alignment, request)?;
            let end = chunk
                .offset
                .checked_add(chunk.size)
                .filter(|end| *end <= MAXIMUM_BYTES);
            extent.bytes = end.ok_or_else(|| too_large(request, chunk.offset))?;
        }
        extents.insert(index, (run.class, start, extent.bytes));
    }
    let slots_start = slots_chunk
        .and_then(|chunk| chunks.get(chunk as usize))
        .map_or((Class::Rodata, 0), |chunk| (chunk.class, chunk.offset));
    let mut edges = Vec::new();
    for global in &mut resolution.globals {
        if global.meaning != Meaning::Undefined || !global.wanted {
            continue;
        }
        let edge = if global.name == SLOTS_NAME {
            slots_start
        } else if let Some((class, end)) = class_edge(global.name) {
            (class, if end { sizes.of(class).bytes } else { 0 })
        } else if let Some((list, end)) = list_edge(global.name) {
            match lists.get(list).and_then(|run| extents.get(run)) {
                Some((class, first, last)) => (*class, if end { *last } else { *first }),
                None => (Class::Rodata, 0),
            }
        } else {
            continue;
        };
        global.meaning = Meaning::Edge(edges.len() as u32);
        edges.push(edge);
    }
    Ok(Layout {
        chunks,
        pools,
        pool_chunks,
        slots_chunk,
        edges,
        sizes,
    })
}

/// No reference of the small or kernel code model reaches further.
const MAXIMUM_BYTES: u64 = 1 << 31;

fn too_large(request: &Request<'_>, bytes: u64) -> Error {
    let reason = format!("sections take more than {bytes} bytes");
    Error::Malformed {
        object: request.name.clone(),
        reason,
    }
}

fn aligned(offset: u64, alignment: u64, request: &Request<'_>) -> Result<u64, Error> {
    offset
        .checked_next_multiple_of(alignment)
        .ok_or_else(|| too_large(request, offset))
}

fn section_name<'a>(resolution: &Resolution<'a>, chunks: &[Chunk], chunk: u32) -> &'a str {
    let Some(Content::Section { object, section }) =
        chunks.get(chunk as usize).map(|chunk| chunk.content)
    else {
        return "";
    };
    let object = resolution.objects.get(object as usize);
    let section = object.and_then(|object| object.sections.get(section as usize));
    section.map_or("", |section| section.name)
}

fn add_rodata(
    chunks: &mut Vec<Chunk>,
    runs: &mut Vec<Run>,
    content: Content,
    alignment: u64,
    size: u64,
) {
    let chunk = chunks.len() as u32;
    chunks.push(Chunk {
        content,
        class: Class::Rodata,
        alignment,
        size,
        offset: 0,
    });
    runs.push(Run {
        class: Class::Rodata,
        rank: NORMAL,
        alignment,
        chunks: vec![chunk],
    });
}

fn class_of(section: &Section<'_>, object: &str) -> Result<Class, Error> {
    let writable = section.has(elf::SHF_WRITE);
    if section.has(elf::SHF_EXECINSTR) {
        if writable {
            return Err(Error::WritableCode {
                object: object.to_owned(),
                section: section.name.to_owned(),
            });
        }
        return Ok(Class::Text);
    }
    // Writable only until relocated, and here that is before the image exists.
    let settled = section.name == ".data.rel.ro" || section.name.starts_with(".data.rel.ro.");
    Ok(match (writable && !settled, section.has_bytes) {
        (false, _) => Class::Rodata,
        (true, true) => Class::Data,
        (true, false) => Class::Bss,
    })
}

const HOT: u32 = u32::MAX - 2;
const NORMAL: u32 = u32::MAX - 1;
const UNLIKELY: u32 = u32::MAX;

/// Text that runs together lies together.
fn rank(name: &str, class: Class, request: &Request<'_>) -> u32 {
    if class != Class::Text {
        return NORMAL;
    }
    if let Some(place) = request.first.iter().position(|first| first == name) {
        return place as u32;
    }
    if name.starts_with(".text.hot") {
        HOT
    } else if name.starts_with(".text.unlikely") {
        UNLIKELY
    } else {
        NORMAL
    }
}

impl Class {
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Rodata, Self::Rodata) => Self::Rodata,
            (Self::Bss, Self::Bss) => Self::Bss,
            (Self::Text, Self::Text) => Self::Text,
            _ => Self::Data,
        }
    }
}

impl Default for Sizes {
    fn default() -> Self {
        let empty = Extent {
            bytes: 0,
            alignment: kiln_image_format::PAGE_BYTES,
        };
        Self {
            text: empty,
            rodata: empty,
            data: empty,
            bss: empty,
        }
    }
}
