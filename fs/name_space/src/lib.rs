//! The name space server: which server answers for which path.
//!
//! It keeps a table of mounts and gives it out whole, with a version: clients resolve paths against
//! their own copy and fetch it again when the version has grown.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod arrangement;
mod server;
mod snapshot;
mod table;

use kiln_object::primitives;

pub use arrangement::{ArrangementError, arrange};
pub use server::NameSpaceServer;
pub use table::{Mount, MountTable};

#[cfg(kiln_freestanding)]
kiln_runtime::server!("name_space", main);

#[cfg(kiln_freestanding)]
fn main() {
    use alloc::sync::Arc;
    use kiln_interface::name_space::NameSpaceDispatch;
    use kiln_runtime::{configuration, objects, startup};

    match arrange(&configuration(), |server| startup().server(server)) {
        Ok(table) => objects::serve(Arc::new(NameSpaceDispatch(NameSpaceServer::new(table)))),
        Err(error) => panic!("{error}"),
    }
}
