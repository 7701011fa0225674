//! The file server of the image's own root file system.
//!
//! It reads nothing at start but the superblock, copies file bytes only for clients that do not map
//! them, and keeps no state but the files that are open: the tree cannot change.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod contents;
mod file;
mod names;
mod recent;
mod server;

pub use server::ImageRoot;

#[cfg(kiln_freestanding)]
kiln_runtime::server!("image_root", main);

/// Status of a server whose root file system is no file system.
#[cfg(kiln_freestanding)]
const UNUSABLE: u32 = 1;

#[cfg(kiln_freestanding)]
fn main() {
    use alloc::sync::Arc;
    use kiln_interface::file::FileTreeDispatch;
    use kiln_runtime::{objects, root_image, root_pages, startup};

    let image = match kiln_erofs::Image::new(root_image()) {
        Ok(image) => image,
        Err(error) => {
            kiln_runtime::log_line!("the root file system cannot be used: {error}");
            kiln_runtime::entry::exit(UNUSABLE)
        }
    };
    let server = ImageRoot::new(
        image,
        startup().process.raw(),
        root_pages(),
        objects::export,
    );
    objects::serve(Arc::new(FileTreeDispatch(server)));
}
