//! How an image tells its kernel, and every tool, where everything in it lies.
//!
//! An image is flat: the byte at file offset `n` is at physical address
//! [`PHYSICAL_BASE`]` + n`, and the kernel sees it at [`VIRTUAL_BASE`]` + n`. So one number, the
//! *image offset*, locates anything, and all offsets in these formats are image offsets.
//!
//! Everything is little-endian. Nothing here trusts its input: a parser either gives back a value
//! all of whose offsets were checked, or says what is wrong.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "encode")]
extern crate alloc;

mod bytes;
mod location;
mod permissions;
mod symbols;
mod table;

pub use location::{LOCATION_BYTES, LOCATION_IN_HEADER, LOCATION_SYMBOL, Location};
pub use permissions::Permissions;
#[cfg(feature = "encode")]
pub use symbols::encode_symbols;
pub use symbols::{MAXIMUM_NAME_BYTES, SymbolError, SymbolTable};
pub use table::{
    Component, ImageTable, Kind, LaterEntries, SegmentRecord, Segments, TABLE_MAGIC, TABLE_VERSION,
    TableError,
};
#[cfg(feature = "encode")]
pub use table::{ComponentRecord, encode, encoded_bytes};

/// Bytes in a page: what segments and mappable blobs are aligned to.
pub const PAGE_BYTES: u64 = 4096;

/// Physical address of image byte 0, unless the boot loader moved the image.
pub const PHYSICAL_BASE: u64 = 0x20_0000;

/// What the kernel adds to a physical address to get its own virtual address of it.
pub const KERNEL_OFFSET: u64 = 0xffff_ffff_8000_0000;

/// Kernel virtual address of image byte 0.
pub const VIRTUAL_BASE: u64 = KERNEL_OFFSET + PHYSICAL_BASE;
