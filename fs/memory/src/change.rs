//! Making and removing names.
//!
//! The order of the checks is Linux's, since programs see which error comes first.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::lock::Mutex;
use kiln_file_server::{Entry, Final, Last, PATH_MAX, Stop, Which};
use kiln_interface::file::kind;
use kiln_object::Error;

use crate::directory::{Directory, Named};
use crate::node::{Body, Metadata, Node, PERMISSIONS};
use crate::pages::Pages;
use crate::tree::{Leaf, MemoryTree, TreePlace};

/// Names that a file may have.
const LINKS_MAX: u32 = 1 << 30;

/// A walk that stopped, and on which path.
pub type Stopped = (Stop, Which);

/// For a method with a single path.
pub fn first(stop: impl Into<Stop>) -> Stopped {
    (stop.into(), Which::First)
}

impl MemoryTree {
    /// Where something new can go: the directory, and the name.
    fn new_place(&self, path: &[u8], is_directory: bool) -> Result<(Arc<Node>, Box<[u8]>), Stop> {
        let place = self.walk(path, Final::Name)?;
        let parent = Arc::clone(place.parent()?);
        match (place.last, place.entry) {
            (Last::Name(_), Some(_)) => Err(Error::Exists.into()),
            (Last::Name(_), None) if place.slash && !is_directory => Err(Error::NotFound.into()),
            (Last::Name(name), None) => Ok((parent, name.into_boxed_slice())),
            _ => Err(Error::Exists.into()),
        }
    }

    /// Gives `name` in `parent`, which has no such name, to `named`.
    pub(crate) fn insert(&self, parent: &Node, name: &[u8], named: Named) -> Result<(), Error> {
        let directory = parent.directory().ok_or(Error::NotDirectory)?;
        // A name that was looked up and is missing is either removed here, and has an entry, or is
        // not in the lower directory.
        directory.names().attach(name, named, false, &self.budget)?;
        parent.metadata.lock().touch(self.now());
        Ok(())
    }

    /// A new regular file without a name.
    pub(crate) fn new_file(&self, mode: u32, links: u32) -> Result<Arc<Node>, Error> {
        let metadata = Metadata::new(kind::REGULAR | mode & PERMISSIONS, links, self.now());
        let contents = Body::Regular(Mutex::new(Pages::new(self.budget.take(0)?)));
        Node::new(self.new_number(), metadata, contents, &self.budget)
    }

    /// Makes something that is no directory at `path`.
    fn make(&self, path: &[u8], mode: u32, body: Body) -> Result<(), Stopped> {
        let _structure = self.structure.write();
        let (parent, name) = self.new_place(path, false).map_err(first)?;
        let metadata = Metadata::new(mode, 1, self.now());
        let node = Node::new(self.new_number(), metadata, body, &self.budget).map_err(first)?;
        self.insert(&parent, &name, Named::Node(node))
            .map_err(first)
    }

    pub(crate) fn make_directory(&self, path: &[u8], mode: u32) -> Result<(), Stopped> {
        let _structure = self.structure.write();
        let (parent, name) = self.new_place(path, true).map_err(first)?;
        let metadata = Metadata::new(kind::DIRECTORY | mode & PERMISSIONS, 2, self.now());
        let body = Body::Directory(Directory::new());
        let node = Node::new(self.new_number(), metadata, body, &self.budget).map_err(first)?;
        self.insert(&parent, &name, Named::Node(node))
            .map_err(first)?;
        let mut metadata = parent.metadata.lock();
        metadata.links = metadata.links.saturating_add(1);
        Ok(())
    }

    pub(crate) fn make_link(&self, target: &[u8], path: &[u8]) -> Result<(), Stopped> {
        if target.is_empty() {
            return Err(first(Error::NotFound));
        }
        if target.len() > PATH_MAX {
            return Err(first(Error::NameTooLong));
        }
        if target.contains(&0) {
            return Err(first(Error::BadArgument));
        }
        self.make(path, kind::LINK | 0o777, Body::Link(target.into()))
    }

    pub(crate) fn make_node(&self, path: &[u8], mode: u32, device: u64) -> Result<(), Stopped> {
        let permissions = mode & PERMISSIONS;
        let body = match mode & kind::MASK {
            0 | kind::REGULAR => {
                let charge = self.budget.take(0).map_err(first)?;
                Body::Regular(Mutex::new(Pages::new(charge)))
            }
            kind::CHARACTER | kind::BLOCK => Body::Special(device),
            kind::PIPE | kind::SOCKET => Body::Special(0),
            kind::DIRECTORY => return Err(first(Error::Denied)),
            _ => return Err(first(Error::BadArgument)),
        };
        let kind = match mode & kind::MASK {
            0 => kind::REGULAR,
            kind => kind,
        };
        self.make(path, kind | permissions, body)
    }

    pub(crate) fn link(&self, from: &[u8], to: &[u8]) -> Result<(), Stopped> {
        let second = |stop| (stop, Which::Second);
        loop {
            let structure = self.structure.write();
            let entry = self
                .walk(from, Final::Stay)
                .and_then(|place| Ok(place.existing()?));
            let entry = entry.map_err(first)?;
            let (parent, name) = self.new_place(to, false).map_err(second)?;
            let node = match entry {
                Entry::Directory(_) => return Err(first(Error::Denied)),
                Entry::Leaf(Leaf::Node(node)) => node,
                Entry::Leaf(Leaf::Lower(_)) => {
                    // Only what is kept here can have a name of its own.
                    drop(structure);
                    self.copy_up(from, Final::Stay, true).map_err(first)?;
                    continue;
                }
            };
            if node.metadata.lock().links >= LINKS_MAX {
                return Err(first(Error::Exhausted));
            }
            self.insert(&parent, &name, Named::Node(Arc::clone(&node)))
                .map_err(first)?;
            let mut metadata = node.metadata.lock();
            metadata.links = metadata.links.saturating_add(1);
            metadata.changed = self.now();
            return Ok(());
        }
    }

    pub(crate) fn remove(&self, path: &[u8], wants_directory: bool) -> Result<(), Stopped> {
        let _structure = self.structure.write();
        let place = self.walk(path, Final::Name).map_err(first)?;
        let last = match &place.last {
            Last::Name(name) => name.clone(),
            _ if !wants_directory => return Err(first(Error::IsDirectory)),
            Last::Root => return Err(first(Error::Busy)),
            Last::Dot => return Err(first(Error::BadArgument)),
            Last::DotDot => return Err(first(Error::NotEmpty)),
        };
        self.remove_place(&place, &last, wants_directory)
            .map_err(first)
    }

    fn remove_place(
        &self,
        place: &TreePlace,
        name: &[u8],
        wants_directory: bool,
    ) -> Result<(), Error> {
        let parent = place.parent()?;
        let entry = place.entry.as_ref().ok_or(Error::NotFound)?;
        match (entry, wants_directory) {
            (Entry::Directory(_), false) => return Err(Error::IsDirectory),
            (Entry::Leaf(_), true) => return Err(Error::NotDirectory),
            (Entry::Leaf(_), false) if place.slash => return Err(Error::NotDirectory),
            (Entry::Directory(node), true) if !self.is_empty(node)? => return Err(Error::NotEmpty),
            _ => {}
        }
        let directory = parent.directory().ok_or(Error::NotDirectory)?;
        directory.names().detach(name, &self.budget)?;
        self.unnamed(entry, parent);
        parent.metadata.lock().touch(self.now());
        Ok(())
    }

    /// Notes that `entry` has lost a name that it had in `parent`.
    pub(crate) fn unnamed(&self, entry: &Entry<Arc<Node>, Leaf>, parent: &Node) {
        match entry {
            Entry::Directory(node) => {
                node.metadata.lock().links = 0;
                let mut metadata = parent.metadata.lock();
                metadata.links = metadata.links.saturating_sub(1);
            }
            Entry::Leaf(Leaf::Node(node)) => {
                let links = {
                    let mut metadata = node.metadata.lock();
                    metadata.links = metadata.links.saturating_sub(1);
                    metadata.changed = self.now();
                    metadata.links
                };
                if links == 0 && self.lower.is_some() {
                    self.lower_links.lock().remove(&node.number);
                }
            }
            Entry::Leaf(Leaf::Lower(file)) if file.attributes.links > 1 => {
                let mut links = self.lower_links.lock();
                let links = links.entry(file.attributes.number).or_default();
                links.removed = links.removed.saturating_add(1);
            }
            Entry::Leaf(Leaf::Lower(_)) => {}
        }
    }
}
