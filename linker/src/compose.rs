//! Composes an image: the kernel, the other components, and opaque blobs, in one flat file.
//!
//! The order is: first page (headers), kernel text, kernel rodata, components, root file system,
//! configuration, image table, symbols, kernel data; the kernel's bss follows in memory and takes no
//! bytes. Everything starts on a page, except the two tables.

mod arrangement;
mod headers;
mod image;
mod inspection;

pub use image::{Image, LinkedComponent};
pub use inspection::{InspectedComponent, Inspection, inspect, is_cut_short};

use crate::plan::{Addresses, Plan};
use crate::{Error, Request};
use arrangement::Arrangement;
use kiln_image_format::{Kind, LOCATION_SYMBOL, PAGE_BYTES, SegmentRecord, VIRTUAL_BASE};
use std::borrow::Cow;

/// Where every component but the kernel is linked, in its own address space.
const COMPONENT_BASE: u64 = 0x6000_0000_0000;

/// Bytes from one component's base to the next. They could all have the same one, but a debugger
/// knows a place by its address alone.
const COMPONENT_DISTANCE: usize = 1 << 30;

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

/// A program of the root file system that the kernel puts into the personality's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInput {
    /// Its path in the root file system.
    pub name: String,
    /// Where it starts.
    pub entry: u64,
    /// Its segments; their offsets count from the start of the root file system.
    pub segments: Vec<SegmentRecord>,
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
    program: Option<ProgramInput>,
    symbols: bool,
    component_base: u64,
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
            program: None,
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

    /// Sets the program that is in its process from the start.
    #[must_use]
    pub fn program(mut self, program: Option<ProgramInput>) -> Self {
        self.program = program;
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
        let mut arrangement = Arrangement::new(&kernel)?;
        let bases = (self.component_base..).step_by(COMPONENT_DISTANCE);
        for (component, base) in self.components.iter().zip(bases) {
            let plan = Plan::new(&component.request)?;
            let addresses = Addresses::sequential(base, &plan.sizes());
            let linked = plan.place(addresses.ok_or_else(too_large)?)?;
            arrangement.add_component(component.kind, linked)?;
        }
        for (kind, name, bytes) in &self.blobs {
            arrangement.add_blob(*kind, name, Cow::Borrowed(*bytes), PAGE_BYTES)?;
        }
        if let Some(program) = &self.program {
            arrangement.add_program(program)?;
        }
        if self.symbols {
            arrangement.add_kernel_symbols()?;
        }
        arrangement.finish()
    }
}

fn too_large() -> Error {
    Error::TooLarge {
        bytes: u64::MAX,
        limit: PHYSICAL_LIMIT,
    }
}
