//! A component resolved and sized, ready to be placed.
//!
//! Sizes do not depend on addresses, so a composer can decide where each class goes when it knows
//! the sizes of everything, and only then have the relocations applied.

use crate::layout::{Content, Layout, lay_out};
use crate::linked::{Linked, Segment, Symbol};
use crate::reach::reach;
use crate::relocate::Relocator;
use crate::resolve::{Meaning, Resolution};
use crate::slots::Slots;
use crate::target::Map;
use crate::{Error, Request, linked, report};
use kiln_image_format::{LaterEntries, PAGE_BYTES, Permissions};

/// What a section is placed by: what its pages may be used for, and whether it has bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Instructions.
    Text,
    /// Data that nothing writes, and address slots.
    Rodata,
    /// Data that is written and does not start as zeros.
    Data,
    /// Data that starts as zeros; it takes no bytes of a file.
    Bss,
}

impl Class {
    /// All classes, in their usual order.
    pub const ALL: [Self; 4] = [Self::Text, Self::Rodata, Self::Data, Self::Bss];

    /// What the pages of the class may be used for.
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Text => Permissions::ReadExecute,
            Self::Rodata => Permissions::Read,
            Self::Data | Self::Bss => Permissions::ReadWrite,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Rodata => "rodata",
            Self::Data => "data",
            Self::Bss => "bss",
        })
    }
}

/// Size of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes in memory.
    pub bytes: u64,
    /// What its address must be a multiple of; a page or more.
    pub alignment: u64,
}

/// Sizes of the classes of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of [`Class::Text`].
    pub text: Extent,
    /// Of [`Class::Rodata`].
    pub rodata: Extent,
    /// Of [`Class::Data`].
    pub data: Extent,
    /// Of [`Class::Bss`].
    pub bss: Extent,
}

impl Sizes {
    /// Size of one class.
    pub const fn of(&self, class: Class) -> Extent {
        match class {
            Class::Text => self.text,
            Class::Rodata => self.rodata,
            Class::Data => self.data,
            Class::Bss => self.bss,
        }
    }

    pub(crate) const fn of_mut(&mut self, class: Class) -> &mut Extent {
        match class {
            Class::Text => &mut self.text,
            Class::Rodata => &mut self.rodata,
            Class::Data => &mut self.data,
            Class::Bss => &mut self.bss,
        }
    }
}

/// Virtual addresses of the classes of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Of [`Class::Text`].
    pub text: u64,
    /// Of [`Class::Rodata`].
    pub rodata: u64,
    /// Of [`Class::Data`].
    pub data: u64,
    /// Of [`Class::Bss`].
    pub bss: u64,
}

impl Addresses {
    /// The classes one after the other from `base` on, each on its own pages.
    ///
    /// `None` if they reach past the end of the address space.
    pub fn sequential(base: u64, sizes: &Sizes) -> Option<Self> {
        let mut next = base;
        let mut place = |extent: Extent| {
            let start = next.checked_next_multiple_of(extent.alignment)?;
            next = start
                .checked_add(extent.bytes)?
                .checked_next_multiple_of(PAGE_BYTES)?;
            Some(start)
        };
        Some(Self {
            text: place(sizes.text)?,
            rodata: place(sizes.rodata)?,
            data: place(sizes.data)?,
            bss: place(sizes.bss)?,
        })
    }

    /// Address of one class.
    pub const fn of(&self, class: Class) -> u64 {
        match class {
            Class::Text => self.text,
            Class::Rodata => self.rodata,
            Class::Data => self.data,
            Class::Bss => self.bss,
        }
    }
}

/// A component whose symbols are resolved and whose sections have their places in their classes.
pub struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) resolution: Resolution<'a>,
    pub(crate) layout: Layout<'a>,
    slots: Slots,
    request: &'a Request<'a>,
}

impl<'a> Plan<'a> {
    /// Resolves symbols, drops what nothing reaches, and lays out the rest.
    ///
    /// # Errors
    /// Inputs that are damaged or for another machine; symbols undefined or defined twice; code
    /// that a component cannot have. See [`Error`].
    pub fn new(request: &'a Request<'a>) -> Result<Self, Error> {
        let mut resolution = Resolution::new(request)?;
        reach(&mut resolution, request)?;
        let slots = Slots::collect(&resolution)?;
        let layout = lay_out(&mut resolution, request, slots.held.len())?;
        Ok(Self {
            name: &request.name,
            resolution,
            layout,
            slots,
            request,
        })
    }

    /// Sizes of the component's classes.
    pub fn sizes(&self) -> Sizes {
        self.layout.sizes
    }

    pub(crate) fn map(&self) -> Map<'_, 'a> {
        Map {
            resolution: &self.resolution,
            layout: &self.layout,
        }
    }

    /// Address of the symbol called `name`, if the component defines it and keeps it.
    pub fn address_of(&self, name: &str, addresses: &Addresses) -> Option<u64> {
        let (class, offset) = self.place_of(name)?;
        Some(addresses.of(class).wrapping_add(offset))
    }

    /// Class of the symbol called `name` and its offset there.
    pub fn place_of(&self, name: &str) -> Option<(Class, u64)> {
        match self.resolution.find(name)?.meaning {
            Meaning::Section {
                object,
                section,
                value,
            } => match self.map().spot(object, section, value)? {
                crate::target::Spot::In(class, offset) => Some((class, offset)),
                crate::target::Spot::Absolute(_) => None,
            },
            Meaning::Edge(edge) => self.layout.edges.get(edge as usize).copied(),
            _ => None,
        }
    }

    /// The component's symbols as they would be at these addresses, by rising address.
    pub fn symbols(&self, addresses: &Addresses) -> Vec<Symbol> {
        linked::symbols(self, addresses)
    }

    /// Applies all relocations for these addresses.
    ///
    /// # Errors
    /// A class at an address that it cannot have, or a relocation that is unknown or does not fit.
    pub fn place(&self, addresses: Addresses) -> Result<Linked, Error> {
        self.check(&addresses)?;
        let relocator = Relocator {
            map: self.map(),
            slots: &self.slots,
            addresses,
        };
        let mut segments: Vec<Segment> = Class::ALL
            .into_iter()
            .map(|class| self.empty_segment(class, &addresses))
            .collect();
        for chunk in &self.layout.chunks {
            let Some(segment) = segments.iter_mut().find(|s| s.class == chunk.class) else {
                continue;
            };
            let place = segment.virtual_address.wrapping_add(chunk.offset);
            let start = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
            let Some(bytes) = segment.bytes.get_mut(start..) else {
                continue;
            };
            match chunk.content {
                Content::Pool(pool) => {
                    let pool = self.layout.pools.pools.get(pool as usize);
                    copy(bytes, pool.map_or(&[], |pool| &pool.bytes));
                }
                Content::Slots => copy(bytes, &relocator.slot_bytes()?),
                Content::Section { object, section } => {
                    let found = self.resolution.objects.get(object as usize);
                    let found = found.and_then(|object| object.sections.get(section as usize));
                    let Some(found) = found else { continue };
                    let size = usize::try_from(chunk.size).unwrap_or(usize::MAX);
                    let Some(bytes) = bytes.get_mut(..size) else {
                        continue;
                    };
                    if found.has_bytes {
                        copy(bytes, found.bytes);
                    } else {
                        bytes.fill(0);
                    }
                    for relocation in found.relocations {
                        relocator.apply(relocation, object, section, bytes, place)?;
                    }
                }
            }
        }
        segments.retain(|segment| segment.memory_bytes != 0);
        let entry = |symbol: &Option<String>| {
            let address = |symbol: &String| self.address_of(symbol, &addresses);
            symbol.as_ref().and_then(address).unwrap_or(0)
        };
        Ok(Linked {
            name: self.name.to_owned(),
            base: segments
                .iter()
                .map(|segment| segment.virtual_address)
                .min()
                .unwrap_or(0),
            entry: entry(&self.request.entry),
            later: LaterEntries {
                reflected: entry(&self.request.reflected),
                trap: entry(&self.request.trap),
            },
            segments,
            symbols: self.symbols(&addresses),
            report: report::component(self),
        })
    }

    fn empty_segment(&self, class: Class, addresses: &Addresses) -> Segment {
        let extent = self.layout.sizes.of(class);
        let length = if class == Class::Bss { 0 } else { extent.bytes };
        // Between functions lie breakpoints, so that a stray jump is noticed.
        let filler = if class == Class::Text { 0xcc } else { 0 };
        Segment {
            class,
            virtual_address: addresses.of(class),
            bytes: vec![filler; usize::try_from(length).unwrap_or(0)],
            memory_bytes: extent.bytes,
            permissions: class.permissions(),
        }
    }

    fn check(&self, addresses: &Addresses) -> Result<(), Error> {
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for class in Class::ALL {
            let Extent { bytes, alignment } = self.layout.sizes.of(class);
            let address = addresses.of(class);
            let component = self.name.to_owned();
            if bytes == 0 {
                continue;
            }
            if !address.is_multiple_of(alignment) {
                return Err(Error::Misaligned {
                    component,
                    class,
                    address,
                    alignment,
                });
            }
            let Some(end) = address.checked_add(bytes) else {
                return Err(Error::Overlap {
                    component,
                    class,
                    address,
                });
            };
            if taken
                .iter()
                .any(|(start, stop)| address < *stop && *start < end)
            {
                return Err(Error::Overlap {
                    component,
                    class,
                    address,
                });
            }
            taken.push((address, end));
        }
        Ok(())
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}
