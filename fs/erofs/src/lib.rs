//! Reading and writing uncompressed EROFS, the format of the image's root.
//!
//! The reader (always there, neither std nor alloc) works on an image in memory: [`Image`]. Every
//! offset and length in the image is checked where it is used, so corrupt bytes give an [`Error`]
//! and never a panic or an endless loop. The writer (feature `write`) makes the image from a
//! `write::Tree`: each regular file in one page-aligned piece, zero up to the end of its last page,
//! so that file pages can be mapped straight from where the boot loader put the image.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate std;

// Readers take outside bytes: what could panic on them does not compile.
macro_rules! checked_modules {
    ($($name:ident)*) => {$(
        #[deny(
            clippy::arithmetic_side_effects,
            clippy::indexing_slicing,
            clippy::unwrap_used,
            clippy::expect_used,
            clippy::panic
        )]
        mod $name;
    )*};
}

checked_modules! { data directory error format image inode }
#[cfg(feature = "write")]
pub mod write;

pub use data::Extent;
pub use directory::{Entries, Entry};
pub use error::{Error, Result};
pub use format::{BLOCK_SIZE, Device, Kind, NAME_MAX, Nid, SYMLINK_MAX, Timestamp};
pub use image::Image;
pub use inode::{Inode, Layout};
