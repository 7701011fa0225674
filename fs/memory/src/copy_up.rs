//! Copying a file of the lower tree up, so that it can be changed.
//!
//! The contents are copied with no lock held; then the name is looked at again, and if it does not
//! stand for the same file any more, the copy is thrown away and the walk starts anew.

use alloc::sync::Arc;

use crate::lock::Mutex;
use kiln_file_server::{Entry, Final, Last, Stop, Tree};
use kiln_interface::file::kind;
use kiln_object::Error;

use crate::directory::Named;
use crate::lower::LowerFile;
use crate::node::{Body, Metadata, Node};
use crate::pages::Pages;
use crate::tree::{Leaf, MemoryTree};

/// How often a copy is made of a file whose name others keep changing.
const ATTEMPTS: usize = 8;

impl MemoryTree {
    /// The node of what is at `path`, copied up if it was not here; without its contents unless
    /// `with_contents`.
    pub(crate) fn copy_up(
        &self,
        path: &[u8],
        last: Final,
        with_contents: bool,
    ) -> Result<Arc<Node>, Stop> {
        for _ in 0..ATTEMPTS {
            let structure = self.structure.read();
            let place = self.walk(path, last)?;
            let (Last::Name(name), Some(Entry::Leaf(Leaf::Lower(file)))) =
                (&place.last, &place.entry)
            else {
                return Ok(match place.existing()? {
                    Entry::Directory(node) | Entry::Leaf(Leaf::Node(node)) => node,
                    Entry::Leaf(Leaf::Lower(_)) => return Err(Error::BadArgument.into()),
                });
            };
            if place.slash {
                return Err(Error::NotDirectory.into());
            }
            drop(structure);
            let node = self.copy_of(file, with_contents)?;
            if self.install(place.parent()?, name, file, &node)? {
                return Ok(node);
            }
        }
        Err(Error::Busy.into())
    }

    fn copy_of(&self, file: &LowerFile, with_contents: bool) -> Result<Arc<Node>, Error> {
        let lower = self.lower.as_ref().ok_or(Error::NotFound)?;
        let body = match (file.attributes.mode & kind::MASK, &file.target) {
            (kind::LINK, Some(target)) => Body::Link(target.clone()),
            (kind::REGULAR, _) => {
                let mut pages = Pages::new(self.budget.take(0)?);
                if with_contents {
                    let mut offset = 0u64;
                    lower.read(&file.path, &mut |piece| {
                        if pages.write(offset, piece)? < piece.len() {
                            return Err(Error::NoSpace);
                        }
                        offset = offset.saturating_add(piece.len() as u64);
                        Ok(())
                    })?;
                }
                Body::Regular(Mutex::new(pages))
            }
            _ => Body::Special(file.attributes.device),
        };
        let metadata = Metadata {
            changed: self.now(),
            ..Metadata::of_lower(&file.attributes)
        };
        Node::new(file.attributes.number, metadata, body, &self.budget)
    }

    /// Lets `node` take the place of `file` as `name` in `parent`, if that is what is there.
    fn install(
        &self,
        parent: &Arc<Node>,
        name: &[u8],
        file: &LowerFile,
        node: &Arc<Node>,
    ) -> Result<bool, Error> {
        let _structure = self.structure.write();
        match self.lookup(parent, name) {
            Ok(Entry::Leaf(Leaf::Lower(found))) if found.path == file.path => {}
            Ok(_) | Err(Error::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        }
        let directory = parent.directory().ok_or(Error::NotDirectory)?;
        // A lower file without an entry has the name it has in the lower directory.
        directory
            .names()
            .attach(name, Named::Node(Arc::clone(node)), true, &self.budget)?;
        if file.attributes.links > 1 {
            let mut links = self.lower_links.lock();
            let links = links.entry(node.number).or_default();
            let mut metadata = node.metadata.lock();
            metadata.links = metadata.links.saturating_sub(links.removed);
            links.copied = Some(Arc::clone(node));
        }
        Ok(true)
    }
}
