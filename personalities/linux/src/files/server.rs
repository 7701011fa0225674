//! The servers' objects as this library holds them, and giving them back.
//!
//! Everything here goes through one carrier, so that tests put servers of their own at its end.

use kiln_interface::file::{File, FileTree};
use kiln_interface::kernel::FileCache;
use kiln_interface::name_space::NameSpace as NameSpaceInterface;
#[cfg(not(test))]
use kiln_object::{Error, RawReference};
use kiln_object::{Object, ProcessId, Reference};

#[cfg(not(test))]
pub use kiln_runtime::{Far as Carrier, Lasting as LastingCarrier};

#[cfg(test)]
pub use super::switchboard::{Carrier, Carrier as LastingCarrier};

/// A tree of files in a server, or in the one that was started in its place.
pub type Tree = Object<dyn FileTree, LastingCarrier>;

/// The mount table's server.
pub type NameSpace = Object<dyn NameSpaceInterface, LastingCarrier>;

/// The process that this library lives in.
#[must_use]
pub fn this_process() -> ProcessId {
    kiln_runtime::startup().process
}

/// The tree of the server with this bootstrap object.
///
/// # Errors
/// Why it could not be bound.
#[cfg(not(test))]
pub fn bind_tree(server: RawReference) -> Result<Tree, Error> {
    Tree::bind_at(server)
}

/// The name space of this image.
///
/// # Errors
/// Why it could not be bound.
#[cfg(not(test))]
pub fn bind_name_space() -> Result<NameSpace, Error> {
    NameSpace::bind("name_space")
}

#[cfg(test)]
pub use super::switchboard::{bind_name_space, bind_tree};

/// An open file in a server; given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    file: Object<dyn File, Carrier>,
}

impl Held {
    /// Holds what `reference` names.
    #[must_use]
    pub fn new(reference: Reference<dyn File>) -> Self {
        Self {
            file: Object::from(reference),
        }
    }

    /// The file.
    #[inline]
    #[must_use]
    pub const fn file(&self) -> &Object<dyn File, Carrier> {
        &self.file
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        give_back(self.file.reference());
    }
}

/// The pages of a file; given back when it is dropped. Mappings made of them stay.
#[derive(Debug)]
pub struct HeldPages {
    /// The pages.
    pub cache: Reference<dyn FileCache>,
    /// How many bytes there are.
    pub length: u64,
}

impl Drop for HeldPages {
    fn drop(&mut self) {
        give_back(self.cache);
    }
}

/// A server that is gone has forgotten the reference already: nothing is left to do about it.
pub(super) fn give_back<I: ?Sized>(reference: Reference<I>) {
    #[cfg(not(test))]
    let _ = kiln_runtime::release(reference);
    #[cfg(test)]
    super::switchboard::release(reference);
}
