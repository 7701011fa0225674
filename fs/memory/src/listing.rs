//! Listing a directory: the lower directory's names first, in its order, then the others.
//!
//! Cookies below [`OWN`] are the lower directory's; the others are a name's place in the order in
//! which names came. Both stay good whatever is added or removed meanwhile.

use alloc::sync::Arc;

use kiln_file_server::{Listing, listed};
use kiln_interface::file::{DirectoryEntry, kind};
use kiln_object::Error;
use kiln_object::call::MESSAGE_BYTES;

use crate::directory::Named;
use crate::node::Node;
use crate::tree::MemoryTree;

/// Where the cookies start of names that the lower directory does not have.
const OWN: u64 = 1 << 61;

impl MemoryTree {
    /// As `File::read_directory`.
    pub(crate) fn list(
        &self,
        node: &Node,
        mut cookie: u64,
        answer: &mut [u8],
    ) -> Result<usize, Error> {
        let directory = node.directory().ok_or(Error::NotDirectory)?;
        let _structure = self.structure.read();
        let mut listing = Listing::new(answer);
        if cookie < OWN {
            let rest = self.each_lower(node, cookie, |entry, name| {
                let names = directory.names();
                match names.entry(name) {
                    None => listing.push(entry.number, entry.cookie, entry.kind, name),
                    Some(None) => true,
                    Some(Some(named)) => {
                        let (number, kind) = identity(named);
                        listing.push(number, entry.cookie, kind, name)
                    }
                }
            });
            rest?;
            cookie = OWN;
        }
        let place = cookie.saturating_sub(OWN);
        for (place, name, named) in directory.names().own_after(place) {
            let (number, kind) = identity(named);
            if !listing.push(number, OWN.saturating_add(place), kind, name) {
                break;
            }
        }
        listing.finish()
    }

    /// Whether nothing is left in the directory `node`.
    pub(crate) fn is_empty(&self, node: &Arc<Node>) -> Result<bool, Error> {
        let directory = node.directory().ok_or(Error::NotDirectory)?;
        if directory.names().has_named() {
            return Ok(false);
        }
        let mut empty = true;
        self.each_lower(node, 0, |_, name| {
            empty = directory.names().entry(name).is_some();
            empty
        })?;
        Ok(empty)
    }

    /// Passes the names of the lower directory after `cookie` on until one is refused.
    fn each_lower(
        &self,
        node: &Node,
        mut cookie: u64,
        mut each: impl FnMut(DirectoryEntry, &[u8]) -> bool,
    ) -> Result<(), Error> {
        let path = node
            .directory()
            .and_then(|directory| directory.lower.as_ref());
        let (Some(lower), Some(path)) = (&self.lower, path) else {
            return Ok(());
        };
        let mut answer = alloc::vec![0; MESSAGE_BYTES];
        loop {
            let length = lower.read_directory(path, cookie, &mut answer)?;
            let before = cookie;
            for (entry, name) in listed(answer.get(..length).unwrap_or_default()) {
                if !each(entry, name) {
                    return Ok(());
                }
                cookie = entry.cookie;
            }
            if length == 0 {
                return Ok(());
            }
            // A listing that does not get on would never end.
            if cookie <= before || cookie >= OWN {
                return Err(Error::Corrupt);
            }
        }
    }
}

fn identity(named: &Named) -> (u64, u32) {
    match named {
        Named::Node(node) => (node.number, node.metadata.lock().mode & kind::MASK),
        Named::Lower(file) => (file.attributes.number, file.attributes.mode & kind::MASK),
    }
}
