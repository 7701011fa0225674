//! Composes an image: the kernel, the other components, and opaque blobs, in one flat file.
//!
//! The order is: first page (headers), kernel text, kernel rodata, components, root file system,
//! configuration, image table, symbols, kernel data; the kernel's bss follows in memory and takes no
//! bytes. Everything starts on a page, except the two tables.

mod headers;
mod image;
mod inspection;

pub use image::{Image, LinkedComponent};
pub use inspection::{InspectedComponent, Inspection, inspect};

use crate::linked::{Linked, Symbol, SymbolKind};
use crate::plan::{Addresses, Plan};
use crate::report::{BlobReport, ImageReport};
use crate::{Class, Error, Request};
use headers::{FirstPage, Load};
use kiln_image_format::{
    ComponentRecord, KERNEL_OFFSET, Kind, LOCATION_SYMBOL, Location, PAGE_BYTES, PHYSICAL_BASE,
    Permissions, SegmentRecord, VIRTUAL_BASE, encode, encode_symbols, encoded_bytes,
};
use std::borrow::Cow;

/// Where every component but the kernel is linked, in its own address space.
const COMPONENT_BASE: u64 = 0x6000_0000_0000;

/// Physical addresses that the kernel's static mapping can show.
const PHYSICAL_LIMIT: u64 = 0x8000_0000;

const PVH_ENTRY: &str = "pvh_entry";
const MULTIBOOT1_ENTRY: &str = "multiboot1_entry";
const MULTIBOOT2_ENTRY: &str = "multiboot2_entry";

/// A component besides the kernel.
#[derive(Clone, Debug)]
pub struct ComponentInput<'a> {
    /// What it is to the kernel.
    pub kind: Kind,
    /// What to link; its name is the component's.
    pub request: Request<'a>,
}

/// Collects what goes into an image.
///
/// ```no_run
/// # fn f(kernel: &[u8], server: &[u8], root: &[u8]) -> Result<Vec<u8>, kiln_linker::Error> {
/// use kiln_linker::{ComponentInput, Composer, Input, Kind, Request};
/// let input = |name, bytes| vec![Input { name, bytes }];
/// let image = Composer::new(Request::new("kernel", input("libkernel.a", kernel), None))
///     .component(ComponentInput {
///         kind: Kind::Server,
///         request: Request::new("image-root", input("libserver.a", server), Some("_start")),
///     })
///     .root(root)
///     .compose()?;
/// # Ok(image.to_bytes()) }
/// ```
#[derive(Clone, Debug)]
pub struct Composer<'a> {
    kernel: Request<'a>,
    components: Vec<ComponentInput<'a>>,
    blobs: Vec<(Kind, String, &'a [u8])>,
    symbols: bool,
    component_base: u64,
}

/// A part of the image other than the kernel's own.
struct Part<'a> {
    offset: u64,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Composer<'a> {
    /// An image with this kernel and nothing else.
    ///
    /// The kernel must define the 32-bit entry points `pvh_entry`, `multiboot1_entry` and
    /// `multiboot2_entry`, and [`LOCATION_SYMBOL`] with 32 bytes of data; they are roots of its link.
    /// It may use `__image_start`, the virtual address of image byte 0.
    pub fn new(mut kernel: Request<'a>) -> Self {
        for root in [
            PVH_ENTRY,
            MULTIBOOT1_ENTRY,
            MULTIBOOT2_ENTRY,
            LOCATION_SYMBOL,
        ] {
            if !kernel.roots.iter().any(|known| known == root) {
                kernel.roots.push(root.to_owned());
            }
        }
        kernel.initialised.push(LOCATION_SYMBOL.to_owned());
        kernel
            .absolute
            .push(("__image_start".to_owned(), VIRTUAL_BASE));
        Self {
            kernel,
            components: Vec::new(),
            blobs: Vec::new(),
            symbols: true,
            component_base: COMPONENT_BASE,
        }
    }

    /// Adds a component.
    #[must_use]
    pub fn component(mut self, component: ComponentInput<'a>) -> Self {
        self.components.push(component);
        self
    }

    /// Sets the root file system.
    #[must_use]
    pub fn root(self, bytes: &'a [u8]) -> Self {
        self.blob(Kind::Root, "root", bytes)
    }

    /// Sets the configuration.
    #[must_use]
    pub fn config(self, bytes: &'a [u8]) -> Self {
        self.blob(Kind::Config, "config", bytes)
    }

    /// Adds opaque bytes that start on a page.
    #[must_use]
    pub fn blob(mut self, kind: Kind, name: &str, bytes: &'a [u8]) -> Self {
        self.blobs.push((kind, name.to_owned(), bytes));
        self
    }

    /// Says whether the image has the kernel's symbols, for backtraces; it has unless told not to.
    #[must_use]
    pub fn symbols(mut self, wanted: bool) -> Self {
        self.symbols = wanted;
        self
    }

    /// Links everything and lays the image out.
    ///
    /// # Errors
    /// Whatever fails in linking a component; a kernel without the symbols that
    /// [`new`](Self::new) lists; an image too large for the kernel's addresses.
    pub fn compose(&self) -> Result<Image<'a>, Error> {
        let kernel = Plan::new(&self.kernel)?;
        let sizes = kernel.sizes();
        let mut cursor = Cursor { offset: PAGE_BYTES };
        let text = cursor.place(sizes.text.bytes, sizes.text.alignment)?;
        let rodata = cursor.place(sizes.rodata.bytes, sizes.rodata.alignment)?;
        let kernel_end = cursor.offset;

        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut records: Vec<ComponentRecord> = Vec::new();
        let mut linked_components = Vec::new();
        let mut blob_reports = Vec::new();
        records.push(ComponentRecord {
            name: self.kernel.name.clone(),
            kind: Kind::Kernel,
            entry: 0,
            segments: Vec::new(),
        });
        for component in &self.components {
            let plan = Plan::new(&component.request)?;
            let addresses = Addresses::sequential(self.component_base, &plan.sizes());
            let addresses = addresses.ok_or_else(too_large)?;
            let linked = plan.place(addresses)?;
            let mut segments = Vec::new();
            for segment in &linked.segments {
                let offset = match segment.bytes.len() {
                    0 => 0,
                    length => cursor.place(length as u64, PAGE_BYTES)?,
                };
                segments.push(SegmentRecord {
                    virtual_address: segment.virtual_address,
                    image_offset: offset,
                    file_bytes: segment.bytes.len() as u64,
                    memory_bytes: segment.memory_bytes,
                    permissions: segment.permissions,
                });
                parts.push(Part {
                    offset,
                    bytes: Cow::Owned(segment.bytes.clone()),
                });
            }
            records.push(ComponentRecord {
                name: linked.name.clone(),
                kind: component.kind,
                entry: linked.entry,
                segments,
            });
            linked_components.push(LinkedComponent {
                kind: component.kind,
                linked,
            });
        }
        let mut add_blob = |cursor: &mut Cursor, kind, name: &str, bytes: Cow<'a, [u8]>, align| {
            let offset = cursor.place(bytes.len() as u64, align)?;
            let bytes_here = bytes.len() as u64;
            records.push(blob_record(name, kind, offset, bytes_here));
            blob_reports.push(BlobReport {
                name: name.to_owned(),
                bytes: bytes_here,
            });
            parts.push(Part { offset, bytes });
            Ok::<(), Error>(())
        };
        for (kind, name, bytes) in &self.blobs {
            add_blob(&mut cursor, *kind, name, Cow::Borrowed(*bytes), PAGE_BYTES)?;
        }
        let mut addresses = Addresses {
            text: VIRTUAL_BASE + text,
            rodata: VIRTUAL_BASE + rodata,
            data: 0,
            bss: 0,
        };
        cursor.align(PAGE_BYTES)?;
        if self.symbols {
            let table = symbol_table(&kernel.symbols(&addresses)).ok_or_else(too_large)?;
            add_blob(
                &mut cursor,
                Kind::Symbols(0),
                "symbols",
                Cow::Owned(table),
                8,
            )?;
        }
        let counts = records
            .iter()
            .map(|record| (record.name.as_str(), record.segments.len()));
        // The kernel's own segments are added to its record below.
        let table_bytes = encoded_bytes(counts) + KERNEL_SEGMENTS * SEGMENT_RECORD_BYTES;
        let table = cursor.place(table_bytes as u64, 8)?;
        let blobs_end = cursor.offset;
        let data = cursor.place(sizes.data.bytes, sizes.data.alignment)?;
        let image_bytes = cursor.offset;
        let bss = cursor.place(sizes.bss.bytes, sizes.bss.alignment)?;
        let memory_bytes = cursor.offset;
        if PHYSICAL_BASE + memory_bytes > PHYSICAL_LIMIT {
            return Err(Error::TooLarge {
                bytes: memory_bytes,
                limit: PHYSICAL_LIMIT,
            });
        }
        addresses.data = VIRTUAL_BASE + data;
        addresses.bss = VIRTUAL_BASE + bss;

        let mut linked = kernel.place(addresses)?;
        let location = Location {
            table_offset: table,
            table_bytes: table_bytes as u64,
            image_bytes,
        };
        tell_location(&kernel, &mut linked, location)?;
        if let Some(record) = records.first_mut() {
            record.entry = linked.entry;
            record.segments = kernel_segments(&kernel, &addresses);
        }
        let encoded = encode(&records, image_bytes).ok_or_else(too_large)?;
        parts.push(Part {
            offset: table,
            bytes: Cow::Owned(encoded),
        });
        blob_reports.push(BlobReport {
            name: "image table".to_owned(),
            bytes: table_bytes as u64,
        });

        let entry = |name| -> Result<u64, Error> {
            kernel
                .address_of(name, &addresses)
                .ok_or(Error::KernelSymbol {
                    symbol: name.to_owned(),
                    reason: "is not a place in the kernel",
                })
        };
        let load = |offset: u64, file_end: u64, memory_end: u64, permissions| Load {
            offset,
            file_bytes: file_end - offset,
            memory_bytes: memory_end - offset,
            permissions,
        };
        let mut loads = vec![load(0, PAGE_BYTES, PAGE_BYTES, Permissions::Read)];
        let text_end = text + sizes.text.bytes;
        loads.push(load(text, text_end, text_end, Permissions::ReadExecute));
        let rodata_end = rodata + sizes.rodata.bytes;
        loads.push(load(rodata, rodata_end, rodata_end, Permissions::Read));
        let blobs = kernel_end.next_multiple_of(PAGE_BYTES);
        loads.push(load(blobs, blobs_end, blobs_end, Permissions::Read));
        loads.push(load(
            data,
            image_bytes,
            memory_bytes,
            Permissions::ReadWrite,
        ));
        loads.retain(|load| load.memory_bytes != 0);
        let page = FirstPage {
            pvh_entry: entry(PVH_ENTRY)?,
            multiboot1_entry: entry(MULTIBOOT1_ENTRY)?,
            multiboot2_entry: entry(MULTIBOOT2_ENTRY)?,
            loads,
            image_bytes,
            memory_bytes,
            location,
        };
        parts.push(Part {
            offset: 0,
            bytes: Cow::Owned(page.to_bytes()),
        });
        for segment in &linked.segments {
            let offset = segment.virtual_address.wrapping_sub(VIRTUAL_BASE);
            parts.push(Part {
                offset,
                bytes: Cow::Owned(segment.bytes.clone()),
            });
        }
        linked_components.insert(
            0,
            LinkedComponent {
                kind: Kind::Kernel,
                linked,
            },
        );
        let components = linked_components
            .iter()
            .map(|c| c.linked.report.clone())
            .collect();
        let report = ImageReport {
            file_bytes: image_bytes,
            memory_bytes,
            components,
            blobs: blob_reports,
        };
        parts.retain(|part| !part.bytes.is_empty());
        parts.sort_by_key(|part| part.offset);
        Ok(Image {
            parts,
            report,
            components: linked_components,
        })
    }
}

const KERNEL_SEGMENTS: usize = 4;
const SEGMENT_RECORD_BYTES: usize = 40;

/// Hands out image offsets in rising order.
struct Cursor {
    offset: u64,
}

impl Cursor {
    /// Places `bytes` where the *address* has this alignment.
    fn place(&mut self, bytes: u64, alignment: u64) -> Result<u64, Error> {
        self.align(alignment)?;
        let start = self.offset;
        self.offset = start
            .checked_add(bytes)
            .filter(|end| *end <= PHYSICAL_LIMIT)
            .ok_or(Error::TooLarge {
                bytes: start.saturating_add(bytes),
                limit: PHYSICAL_LIMIT,
            })?;
        Ok(start)
    }

    fn align(&mut self, alignment: u64) -> Result<(), Error> {
        let address = (PHYSICAL_BASE + self.offset).checked_next_multiple_of(alignment);
        self.offset = address.ok_or_else(too_large)? - PHYSICAL_BASE;
        Ok(())
    }
}

fn too_large() -> Error {
    Error::TooLarge {
        bytes: u64::MAX,
        limit: PHYSICAL_LIMIT,
    }
}

fn blob_record(name: &str, kind: Kind, offset: u64, bytes: u64) -> ComponentRecord {
    ComponentRecord {
        name: name.to_owned(),
        kind,
        entry: 0,
        segments: vec![SegmentRecord {
            virtual_address: 0,
            image_offset: offset,
            file_bytes: bytes,
            memory_bytes: bytes,
            permissions: Permissions::Read,
        }],
    }
}

fn kernel_segments(kernel: &Plan<'_>, addresses: &Addresses) -> Vec<SegmentRecord> {
    Class::ALL
        .into_iter()
        .map(|class| {
            let virtual_address = addresses.of(class);
            let memory_bytes = kernel.sizes().of(class).bytes;
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
