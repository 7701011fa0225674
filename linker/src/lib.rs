//! The last link: component objects in, one bootable ELF image out.
//!
//! Making an image needs no compiler and no system linker. This crate reads the archives and ELF
//! objects that a compiler left, keeps what the roots reach, and
//!
//! - links one component at fixed addresses ([`Request`] → [`Plan`] → [`Linked`]), and
//! - composes the image from the kernel, the other components and opaque blobs ([`Composer`]).
//!
//! The same inputs give the same bytes. No input, however broken, is trusted: every fault is an
//! [`Error`] that names the object and, where there is one, the function.
#![forbid(unsafe_code)]

mod archive;
mod compose;
mod debug_elf;
mod elf_object;
mod error;
mod layout;
mod linked;
mod merge;
mod naming;
mod pieces;
mod plan;
mod reach;
mod relocate;
mod report;
mod request;
mod resolve;
mod slots;
mod target;

pub use compose::{
    ComponentInput, Composer, Image, InspectedComponent, Inspection, LinkedComponent, ProgramInput,
    inspect, is_cut_short,
};
pub use debug_elf::debug_elf;
pub use error::{Error, Relocation, Site, UndefinedSymbol};
pub use kiln_image_format as format;
pub use kiln_image_format::{Kind, Permissions, SegmentRecord};
pub use linked::{Linked, Segment, Symbol, SymbolKind};
pub use plan::{Addresses, Class, Extent, Plan, Sizes};
pub use report::{BlobReport, ComponentReport, CrateReport, ImageReport, SectionReport};
pub use request::{Input, Request};
