//! The memory file system server: what is written at run time.
//!
//! Alone it is a tree that starts empty. Over a *lower* tree that never changes, it shows that tree
//! until something is written: then the file is copied up here. Files nobody wrote are opened at the
//! lower server itself, so that reading and mapping them never comes through here. The price: who
//! opened such a file to read it goes on with the old contents when somebody writes the copy, and
//! cannot change its attributes through that reference.
//!
//! Times of access are kept as set; reading does not change them.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod budget;
mod change;
mod copy_up;
mod directory;
#[cfg(kiln_freestanding)]
mod kernel_file;
mod listing;
mod lock;
mod lower;
mod node;
mod open;
mod open_file;
mod pages;
mod rename;
mod server;
mod tree;

pub use lower::{Lower, LowerServer};
pub use pages::{KeepFile, Kept};
pub use server::{MemoryPager, MemoryServer};
pub use tree::{Clock, MemoryTree};

#[cfg(kiln_freestanding)]
kiln_runtime::server!("memory_fs", main);

#[cfg(kiln_freestanding)]
fn main() {
    use alloc::boxed::Box;
    use alloc::sync::Arc;
    use kiln_interface::file::FileTreeDispatch;
    use kiln_object::configuration::key;
    use kiln_runtime::{Lasting, Object, configuration, objects, startup, time};

    let process = startup().process;
    let limit = configuration()
        .value(key::MEMORY_FS_LIMIT)
        .and_then(|text| core::str::from_utf8(text).ok()?.parse().ok())
        .unwrap_or(startup().memory_bytes / 2);
    let lower =
        configuration()
            .is_set(key::ROOT_WRITABLE)
            .then(|| match Object::bind("image_root") {
                Ok(root) => Box::new(LowerServer::new(root, Lasting, process)) as Box<dyn Lower>,
                Err(error) => panic!("the root to lie over cannot be reached: {error}"),
            });
    let clock: Clock = || i64::try_from(time::wall_clock_ns()).unwrap_or(i64::MAX);
    match MemoryTree::new(lower, limit, clock, process.raw()) {
        Ok(tree) => {
            let tree = tree.with_mapping(kernel_file::make);
            let server = MemoryServer::new(tree, objects::export);
            kernel_file::serve(server.pager());
            objects::serve(Arc::new(FileTreeDispatch(server)));
        }
        Err(error) => panic!("the root to lie over cannot be read: {error}"),
    }
}
