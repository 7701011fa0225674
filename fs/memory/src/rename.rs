//! Renaming: the one operation that changes two names.
//!
//! A directory moves with the lower directory that shows through it, and an unchanged lower file
//! under its new name stays in the lower tree: nothing is copied.

use alloc::boxed::Box;
use alloc::sync::Arc;

use kiln_file_server::{Entry, Final, Last, Which};
use kiln_object::Error;

use crate::change::{Stopped, first};
use crate::directory::Named;
use crate::node::Node;
use crate::tree::{Leaf, MemoryTree, TreePlace};

/// The new name must not exist.
const NO_REPLACE: u32 = 1;
/// The two things exchange their names.
const EXCHANGE: u32 = 2;

/// One of the two names.
struct Side {
    place: TreePlace,
    parent: Arc<Node>,
    name: Box<[u8]>,
}

impl Side {
    fn new(place: TreePlace) -> Result<Option<Self>, Error> {
        let Last::Name(name) = &place.last else {
            return Ok(None);
        };
        let (name, parent) = (name.as_slice().into(), Arc::clone(place.parent()?));
        Ok(Some(Self {
            place,
            parent,
            name,
        }))
    }

    /// Whether it is a directory that `other` lies in.
    fn contains(&self, other: &Self) -> bool {
        matches!(&self.place.entry, Some(Entry::Directory(node))
            if other.place.directories.iter().any(|above| Arc::ptr_eq(above, node)))
    }
}

impl MemoryTree {
    pub(crate) fn rename(&self, from: &[u8], to: &[u8], flags: u32) -> Result<(), Stopped> {
        if flags & !(NO_REPLACE | EXCHANGE) != 0 || flags == NO_REPLACE | EXCHANGE {
            return Err(first(Error::BadArgument));
        }
        let _structure = self.structure.write();
        let from = self.walk(from, Final::Name).map_err(first)?;
        let to = self
            .walk(to, Final::Name)
            .map_err(|stop| (stop, Which::Second))?;
        self.rename_places(from, to, flags).map_err(first)
    }

    fn rename_places(&self, from: TreePlace, to: TreePlace, flags: u32) -> Result<(), Error> {
        let from = Side::new(from)?.ok_or(Error::Busy)?;
        let no_name = if flags & NO_REPLACE != 0 {
            Error::Exists
        } else {
            Error::Busy
        };
        let to = Side::new(to)?.ok_or(no_name)?;
        let exchange = flags & EXCHANGE != 0;
        let moved = from.place.entry.as_ref().ok_or(Error::NotFound)?;
        match &to.place.entry {
            Some(_) if flags & NO_REPLACE != 0 => return Err(Error::Exists),
            None if exchange => return Err(Error::NotFound),
            _ => {}
        }
        let is_directory = matches!(moved, Entry::Directory(_));
        let onto_directory = matches!(&to.place.entry, Some(Entry::Directory(_)));
        if !is_directory && (from.place.slash || (!exchange && to.place.slash)) {
            return Err(Error::NotDirectory);
        }
        if exchange && !onto_directory && to.place.slash {
            return Err(Error::NotDirectory);
        }
        if from.contains(&to) {
            return Err(Error::BadArgument);
        }
        if to.contains(&from) {
            return Err(if exchange {
                Error::BadArgument
            } else {
                Error::NotEmpty
            });
        }
        match &to.place.entry {
            Some(replaced) if same(moved, replaced) => return Ok(()),
            Some(replaced) if exchange => return self.exchange(&from, &to, moved, replaced),
            Some(replaced) => {
                if is_directory && !onto_directory {
                    return Err(Error::NotDirectory);
                }
                if !is_directory && onto_directory {
                    return Err(Error::IsDirectory);
                }
                if let Entry::Directory(node) = replaced
                    && !self.is_empty(node)?
                {
                    return Err(Error::NotEmpty);
                }
            }
            None => {}
        }
        self.relocate(&from, &to, moved)
    }

    fn relocate(
        &self,
        from: &Side,
        to: &Side,
        moved: &Entry<Arc<Node>, Leaf>,
    ) -> Result<(), Error> {
        let lower_has = to.place.entry.is_some() && self.needs_lower_name(to)?;
        self.attach(to, moved, lower_has)?;
        let source = from.parent.directory().ok_or(Error::NotDirectory)?;
        if let Err(error) = source.names().detach(&from.name, &self.budget) {
            self.restore(to);
            return Err(error);
        }
        if let Some(replaced) = &to.place.entry {
            self.unnamed(replaced, &to.parent);
        }
        if matches!(moved, Entry::Directory(_)) {
            shift_link(&from.parent, &to.parent);
        }
        self.moved([&from.parent, &to.parent], [Some(moved), None]);
        Ok(())
    }

    fn exchange(
        &self,
        from: &Side,
        to: &Side,
        moved: &Entry<Arc<Node>, Leaf>,
        replaced: &Entry<Arc<Node>, Leaf>,
    ) -> Result<(), Error> {
        let from_lower_has = self.needs_lower_name(from)?;
        let to_lower_has = self.needs_lower_name(to)?;
        self.attach(to, moved, to_lower_has)?;
        if let Err(error) = self.attach(from, replaced, from_lower_has) {
            self.restore(to);
            return Err(error);
        }
        match (moved, replaced) {
            (Entry::Directory(_), Entry::Leaf(_)) => shift_link(&from.parent, &to.parent),
            (Entry::Leaf(_), Entry::Directory(_)) => shift_link(&to.parent, &from.parent),
            _ => {}
        }
        self.moved([&from.parent, &to.parent], [Some(moved), Some(replaced)]);
        Ok(())
    }

    /// Whether a name that stands for something and has no entry yet must get one that covers the
    /// lower directory's. Without an entry it can only be the lower directory's own.
    fn needs_lower_name(&self, side: &Side) -> Result<bool, Error> {
        let directory = side.parent.directory().ok_or(Error::NotDirectory)?;
        Ok(directory.names().entry(&side.name).is_none())
    }

    fn attach(
        &self,
        side: &Side,
        entry: &Entry<Arc<Node>, Leaf>,
        lower_has: bool,
    ) -> Result<(), Error> {
        let directory = side.parent.directory().ok_or(Error::NotDirectory)?;
        directory
            .names()
            .attach(&side.name, named(entry), lower_has, &self.budget)
    }

    /// Puts back what `side` stood for, which takes no memory: its name has an entry by now.
    fn restore(&self, side: &Side) {
        let Some(directory) = side.parent.directory() else {
            return;
        };
        let mut names = directory.names();
        let _ = match &side.place.entry {
            Some(entry) => names.attach(&side.name, named(entry), true, &self.budget),
            None => names.detach(&side.name, &self.budget),
        };
    }

    fn moved(&self, parents: [&Node; 2], things: [Option<&Entry<Arc<Node>, Leaf>>; 2]) {
        let now = self.now();
        for parent in parents {
            parent.metadata.lock().touch(now);
        }
        for entry in things.into_iter().flatten() {
            if let Entry::Directory(node) | Entry::Leaf(Leaf::Node(node)) = entry {
                node.metadata.lock().changed = now;
            }
        }
    }
}

fn named(entry: &Entry<Arc<Node>, Leaf>) -> Named {
    match entry {
        Entry::Directory(node) => Named::Node(Arc::clone(node)),
        Entry::Leaf(leaf) => leaf.clone().into(),
    }
}

/// Whether both are one file.
fn same(one: &Entry<Arc<Node>, Leaf>, other: &Entry<Arc<Node>, Leaf>) -> bool {
    match (one, other) {
        (Entry::Directory(one), Entry::Directory(other))
        | (Entry::Leaf(Leaf::Node(one)), Entry::Leaf(Leaf::Node(other))) => Arc::ptr_eq(one, other),
        (Entry::Leaf(Leaf::Lower(one)), Entry::Leaf(Leaf::Lower(other))) => {
            one.attributes.number == other.attributes.number
        }
        _ => false,
    }
}

/// A subdirectory moved from one directory to another.
fn shift_link(from: &Node, to: &Node) {
    let mut metadata = from.metadata.lock();
    metadata.links = metadata.links.saturating_sub(1);
    drop(metadata);
    let mut metadata = to.metadata.lock();
    metadata.links = metadata.links.saturating_add(1);
}
