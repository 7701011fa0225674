//! Gives every part of an image its offset, and fills in what follows from the offsets.
//!
//! Parts are added in the order in which they lie; the kernel's data come last, so the kernel is
//! placed last, when the offsets of everything before its data are known.

use super::headers::{FirstPage, Load};
use super::image::{Image, LinkedComponent, Part};
use super::{
    MULTIBOOT1_ENTRY, MULTIBOOT2_ENTRY, PHYSICAL_LIMIT, PVH_ENTRY, ProgramInput, too_large,
};
use crate::linked::{Linked, Symbol, SymbolKind};
use crate::plan::{Addresses, Plan, Sizes};
use crate::report::{BlobReport, ImageReport};
use crate::{Class, Error};
use kiln_image_format::{
    ComponentRecord, KERNEL_OFFSET, Kind, LOCATION_SYMBOL, LaterEntries, Location, PAGE_BYTES,
    PHYSICAL_BASE, Permissions, SegmentRecord, VIRTUAL_BASE, encode, encode_symbols, encoded_bytes,
};
use std::borrow::Cow;

/// An image to which parts are added.
pub(super) struct Arrangement<'k, 'a> {
    kernel: &'k Plan<'k>,
    sizes: Sizes,
    cursor: Cursor,
    /// Image offsets of the kernel's text, its rodata, and what follows.
    text: u64,
    rodata: u64,
    blobs: u64,
    parts: Vec<Part<'a>>,
    /// The kernel's record first; its segments are filled in at the end.
    records: Vec<ComponentRecord>,
    components: Vec<LinkedComponent>,
    blob_reports: Vec<BlobReport>,
}

/// Offsets that are known when everything has its place.
struct Placed {
    addresses: Addresses,
    data: u64,
    blobs_end: u64,
    memory_bytes: u64,
    location: Location,
}

impl<'k, 'a> Arrangement<'k, 'a> {
    pub(super) fn new(kernel: &'k Plan<'k>) -> Result<Self, Error> {
        let sizes = kernel.sizes();
        let mut cursor = Cursor { offset: PAGE_BYTES };
        let text = cursor.place(sizes.text.bytes, sizes.text.alignment)?;
        let rodata = cursor.place(sizes.rodata.bytes, sizes.rodata.alignment)?;
        cursor.align(PAGE_BYTES)?;
        let record = ComponentRecord {
            name: kernel.name.to_owned(),
            kind: Kind::Kernel,
            entry: 0,
            later: LaterEntries::default(),
            segments: kernel_segments(sizes, None),
        };
        Ok(Self {
            kernel,
            sizes,
            text,
            rodata,
            blobs: cursor.offset,
            cursor,
            parts: Vec::new(),
            records: vec![record],
            components: Vec::new(),
            blob_reports: Vec::new(),
        })
    }

    pub(super) fn add_component(&mut self, kind: Kind, linked: Linked) -> Result<(), Error> {
        let mut segments = Vec::new();
        for segment in &linked.segments {
            let offset = match segment.bytes.len() {
                0 => 0,
                length => self.cursor.place(length as u64, PAGE_BYTES)?,
            };
            segments.push(SegmentRecord {
                virtual_address: segment.virtual_address,
                image_offset: offset,
                file_bytes: segment.bytes.len() as u64,
                memory_bytes: segment.memory_bytes,
                permissions: segment.permissions,
            });
            self.parts.push(Part {
                offset,
                bytes: Cow::Owned(segment.bytes.clone()),
            });
        }
        let (name, entry, later) = (linked.name.clone(), linked.entry, linked.later);
        self.records.push(ComponentRecord {
            name,
            kind,
            entry,
            later,
            segments,
        });
        self.components.push(LinkedComponent { kind, linked });
        Ok(())
    }

    pub(super) fn add_blob(
        &mut self,
        kind: Kind,
        name: &str,
        bytes: Cow<'a, [u8]>,
        alignment: u64,
    ) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let offset = self.cursor.place(length, alignment)?;
        self.records.push(ComponentRecord {
            name: name.to_owned(),
            kind,
            entry: 0,
            later: LaterEntries::default(),
            segments: vec![SegmentRecord {
                virtual_address: 0,
                image_offset: offset,
                file_bytes: length,
                memory_bytes: length,
                permissions: Permissions::Read,
            }],
        });
        self.blob_reports.push(BlobReport {
            name: name.to_owned(),
            bytes: length,
        });
        self.parts.push(Part { offset, bytes });
        Ok(())
    }

    /// Adds a program that lies in the root file system, which was added before.
    pub(super) fn add_program(&mut self, program: &ProgramInput) -> Result<(), Error> {
        let root = self.records.iter().find(|record| record.kind == Kind::Root);
        let root = root.and_then(|record| record.segments.first());
        let start = root.map_or(0, |segment| segment.image_offset);
        let mut segments = program.segments.clone();
        for segment in &mut segments {
            let offset = segment.image_offset.checked_add(start);
            segment.image_offset = offset.ok_or_else(too_large)?;
        }
        self.records.push(ComponentRecord {
            name: program.name.clone(),
            kind: Kind::Program,
            entry: program.entry,
            later: LaterEntries::default(),
            segments,
        });
        Ok(())
    }

    /// Adds the names of the kernel's functions. Their addresses are known before its data's are.
    pub(super) fn add_kernel_symbols(&mut self) -> Result<(), Error> {
        let symbols = self.kernel.symbols(&self.kernel_addresses(0, 0));
        let table = symbol_table(&symbols).ok_or_else(too_large)?;
        self.cursor.align(PAGE_BYTES)?;
        self.add_blob(
            Kind::Symbols(0),
            "symbols",
            Cow::Owned(table),
            TABLE_ALIGNMENT,
        )
    }

    pub(super) fn finish(mut self) -> Result<Image<'a>, Error> {
        let placed = self.place_the_rest()?;
        let Placed {
            addresses,
            location,
            ..
        } = placed;
        let mut linked = self.kernel.place(addresses)?;
        tell_location(self.kernel, &mut linked, location)?;
        if let Some(record) = self.records.first_mut() {
            record.entry = linked.entry;
            record.segments = kernel_segments(self.sizes, Some(&addresses));
        }
        let table = encode(&self.records, location.image_bytes).ok_or_else(too_large)?;
        let bytes = table.len() as u64;
        self.blob_reports.push(BlobReport {
            name: "image table".to_owned(),
            bytes,
        });
        self.parts.push(Part {
            offset: location.table_offset,
            bytes: Cow::Owned(table),
        });
        let page = self.first_page(&placed)?.to_bytes();
        self.parts.push(Part {
            offset: 0,
            bytes: Cow::Owned(page),
        });
        for segment in &linked.segments {
            let offset = segment.virtual_address.wrapping_sub(VIRTUAL_BASE);
            self.parts.push(Part {
                offset,
                bytes: Cow::Owned(segment.bytes.clone()),
            });
        }
        self.components.insert(
            0,
            LinkedComponent {
                kind: Kind::Kernel,
                linked,
            },
        );
        let report = ImageReport {
            file_bytes: location.image_bytes,
            memory_bytes: placed.memory_bytes,
            components: self
                .components
                .iter()
                .map(|c| c.linked.report.clone())
                .collect(),
            blobs: self.blob_reports,
        };
        self.parts.retain(|part| !part.bytes.is_empty());
        self.parts.sort_by_key(|part| part.offset);
        Ok(Image {
            parts: self.parts,
            report,
            components: self.components,
        })
    }

    fn place_the_rest(&mut self) -> Result<Placed, Error> {
        let counts = self
            .records
            .iter()
            .map(|r| (r.name.as_str(), r.segments.len()));
        let table_bytes = encoded_bytes(counts) as u64;
        let table_offset = self.cursor.place(table_bytes, TABLE_ALIGNMENT)?;
        let blobs_end = self.cursor.offset;
        let data = self
            .cursor
            .place(self.sizes.data.bytes, self.sizes.data.alignment)?;
        let image_bytes = self.cursor.offset;
        let bss = self
            .cursor
            .place(self.sizes.bss.bytes, self.sizes.bss.alignment)?;
        Ok(Placed {
            addresses: self.kernel_addresses(data, bss),
            data,
            blobs_end,
            memory_bytes: self.cursor.offset,
            location: Location {
                table_offset,
                table_bytes,
                image_bytes,
            },
        })
    }

    fn kernel_addresses(&self, data: u64, bss: u64) -> Addresses {
        Addresses {
            text: VIRTUAL_BASE + self.text,
            rodata: VIRTUAL_BASE + self.rodata,
            data: VIRTUAL_BASE + data,
            bss: VIRTUAL_BASE + bss,
        }
    }

    fn first_page(&self, placed: &Placed) -> Result<FirstPage, Error> {
        let entry = |name: &str| {
            self.kernel
                .address_of(name, &placed.addresses)
                .ok_or(Error::KernelSymbol {
                    symbol: name.to_owned(),
                    reason: "is not a place in the kernel",
                })
        };
        let whole = |offset, bytes, permissions| Load {
            offset,
            file_bytes: bytes,
            memory_bytes: bytes,
            permissions,
        };
        let mut loads = vec![
            whole(0, PAGE_BYTES, Permissions::Read),
            whole(self.text, self.sizes.text.bytes, Permissions::ReadExecute),
            whole(self.rodata, self.sizes.rodata.bytes, Permissions::Read),
            whole(self.blobs, placed.blobs_end - self.blobs, Permissions::Read),
            Load {
                offset: placed.data,
                file_bytes: placed.location.image_bytes - placed.data,
                memory_bytes: placed.memory_bytes - placed.data,
                permissions: Permissions::ReadWrite,
            },
        ];
        loads.retain(|load| load.memory_bytes != 0);
        Ok(FirstPage {
            pvh_entry: entry(PVH_ENTRY)?,
            multiboot1_entry: entry(MULTIBOOT1_ENTRY)?,
            multiboot2_entry: entry(MULTIBOOT2_ENTRY)?,
            loads,
            image_bytes: placed.location.image_bytes,
            memory_bytes: placed.memory_bytes,
            location: placed.location,
        })
    }
}

/// The tables hold integers of up to eight bytes.
const TABLE_ALIGNMENT: u64 = 8;

/// Hands out image offsets in rising order.
struct Cursor {
    offset: u64,
}

impl Cursor {
    /// Places `bytes` where the *address* has this alignment.
    fn place(&mut self, bytes: u64, alignment: u64) -> Result<u64, Error> {
        self.align(alignment)?;
        let start = self.offset;
        let end = start.saturating_add(bytes);
        if end > PHYSICAL_LIMIT - PHYSICAL_BASE {
            return Err(Error::TooLarge {
                bytes: end,
                limit: PHYSICAL_LIMIT,
            });
        }
        self.offset = end;
        Ok(start)
    }

    fn align(&mut self, alignment: u64) -> Result<(), Error> {
        let address = (PHYSICAL_BASE + self.offset).checked_next_multiple_of(alignment);
        self.offset = address.ok_or_else(too_large)? - PHYSICAL_BASE;
        Ok(())
    }
}

/// The kernel's segments; without addresses only their number is right.
fn kernel_segments(sizes: Sizes, addresses: Option<&Addresses>) -> Vec<SegmentRecord> {
    let filled = Class::ALL
        .into_iter()
        .filter(|class| sizes.of(*class).bytes != 0);
    filled
        .map(|class| {
            let virtual_address = addresses.map_or(VIRTUAL_BASE, |addresses| addresses.of(class));
            let memory_bytes = sizes.of(class).bytes;
            let in_file = class != Class::Bss;
            SegmentRecord {
                virtual_address,
                image_offset: if in_file {
                    virtual_address - VIRTUAL_BASE
                } else {
                    0
                },
                file_bytes: if in_file { memory_bytes } else { 0 },
                memory_bytes,
                permissions: class.permissions(),
            }
        })
        .collect()
}

fn symbol_table(symbols: &[Symbol]) -> Option<Vec<u8>> {
    let functions: Vec<(u64, String)> = symbols
        .iter()
        .filter(|symbol| symbol.class == Class::Text && symbol.kind == SymbolKind::Function)
        .map(|symbol| (symbol.address, symbol.name()))
        .collect();
    let mut borrowed: Vec<(u64, &str)> = functions
        .iter()
        .map(|(address, name)| (*address, name.as_str()))
        .collect();
    encode_symbols(KERNEL_OFFSET, &mut borrowed)
}

/// Writes the table's location into the kernel's data.
fn tell_location(kernel: &Plan<'_>, linked: &mut Linked, location: Location) -> Result<(), Error> {
    let fault = |reason| Error::KernelSymbol {
        symbol: LOCATION_SYMBOL.to_owned(),
        reason,
    };
    let (class, offset) = kernel
        .place_of(LOCATION_SYMBOL)
        .ok_or(fault("is not a place in the kernel"))?;
    if class != Class::Data {
        return Err(fault("is not in data: give it interior mutability"));
    }
    let bytes = location.to_bytes();
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    linked
        .segments
        .iter_mut()
        .find(|segment| segment.class == class)
        .and_then(|segment| {
            segment
                .bytes
                .get_mut(start..start.checked_add(bytes.len())?)
        })
        .ok_or(fault("is smaller than 32 bytes"))?
        .copy_from_slice(&bytes);
    Ok(())
}
