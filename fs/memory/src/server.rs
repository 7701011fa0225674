//! The tree's interface: paths in, open files and attributes out.

use alloc::sync::Arc;

use kiln_file_server::{
    Entry, Export, Final, Stop, Tree, Which, take_attributes, write_attributes,
};
use kiln_interface::FourWords;
use kiln_interface::file::{FileDispatch, FileTree, Opened, change, kind, open};
use kiln_interface::kernel::Pager;
use kiln_object::{Error, ProcessId, Reference, Rights};

use crate::change::Stopped;
use crate::open::Opening;
use crate::open_file::OpenFile;
use crate::tree::{Leaf, MemoryTree};

/// The server of a memory tree.
pub struct MemoryServer {
    tree: Arc<MemoryTree>,
    export: Export,
}

/// The tree as a pager: the keys are the tree's own.
pub struct MemoryPager(Arc<MemoryTree>);

impl Pager for MemoryPager {
    fn fill(&self, key: u64, offset: u64) -> Result<(), Error> {
        self.0.fill(key, offset)
    }
}

/// The final link as `follow` says.
const fn last(follow: bool) -> Final {
    if follow { Final::Follow } else { Final::Stay }
}

fn done(outcome: Result<(), Stopped>, elsewhere: &mut [u8]) -> Result<(), Error> {
    outcome.map_err(|(stop, which)| stop.answer(which, elsewhere))
}

impl MemoryServer {
    /// Serves `tree`; open files are handed out by `export`.
    pub fn new(tree: MemoryTree, export: Export) -> Self {
        Self {
            tree: Arc::new(tree),
            export,
        }
    }

    /// What brings the pages of files that are mapped.
    #[must_use]
    pub fn pager(&self) -> MemoryPager {
        MemoryPager(Arc::clone(&self.tree))
    }

    fn try_open(
        &self,
        path: &[u8],
        flags: u32,
        mode: u32,
        owner: ProcessId,
    ) -> Result<Opened, Stop> {
        let node = match self.tree.open(path, flags, mode)? {
            Opening::Here(node) => node,
            Opening::Lower(file) => {
                let lower = self.tree.lower.as_ref().ok_or(Error::NotFound)?;
                return Ok(lower.open(&file.path, flags & (open::READ | open::PATH), owner)?);
            }
        };
        let mut rights = Rights::LOOKUP | Rights::GRANT;
        if flags & open::PATH == 0 {
            rights |= Rights::CONTROL;
            if flags & open::READ != 0 {
                rights |= Rights::READ | Rights::MAP;
            }
            if flags & open::WRITE != 0 {
                rights |= Rights::WRITE;
            }
        }
        let attributes = node.attributes(self.tree.number());
        let writable = rights.contains(Rights::WRITE);
        let file = OpenFile {
            tree: Arc::clone(&self.tree),
            node,
            writable,
        };
        let reference = (self.export)(Arc::new(FileDispatch(file)), owner, rights)?;
        Ok(Opened {
            file: Reference::new(reference),
            mode: attributes.mode,
            length: attributes.length,
        })
    }

    fn try_set_attributes(
        &self,
        path: &[u8],
        attributes: &[u8],
        fields: u32,
        last: Final,
    ) -> Result<(), Stop> {
        let to = take_attributes(attributes)?;
        let node = match self.tree.find(path, last)? {
            Entry::Directory(node) | Entry::Leaf(Leaf::Node(node)) => node,
            Entry::Leaf(Leaf::Lower(file)) => {
                let sets_length = fields & change::LENGTH != 0;
                if sets_length && file.attributes.mode & kind::MASK != kind::REGULAR {
                    return Err(Error::BadArgument.into());
                }
                let with_contents = !sets_length || to.length > 0;
                self.tree.copy_up(path, last, with_contents)?
            }
        };
        Ok(node.set_attributes(&to, fields, self.tree.now())?)
    }
}

impl FileTree for MemoryServer {
    fn open(
        &self,
        path: &[u8],
        flags: u32,
        mode: u32,
        owner: ProcessId,
        elsewhere: &mut [u8],
    ) -> Result<Opened, Error> {
        if flags & open::CHANGING != 0 {
            return Err(Error::Denied);
        }
        self.open_writable(path, flags, mode, owner, elsewhere)
    }

    fn open_writable(
        &self,
        path: &[u8],
        flags: u32,
        mode: u32,
        owner: ProcessId,
        elsewhere: &mut [u8],
    ) -> Result<Opened, Error> {
        self.try_open(path, flags, mode, owner)
            .map_err(|stop| stop.answer(Which::First, elsewhere))
    }

    fn attributes(&self, path: &[u8], follow: bool, answer: &mut [u8]) -> Result<usize, Error> {
        match self.tree.attributes(path, last(follow)) {
            Ok(attributes) => write_attributes(&attributes, answer),
            Err(stop) => Err(stop.answer(Which::First, answer)),
        }
    }

    fn read_link(&self, path: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        let leaf = match self.tree.find(path, Final::Stay) {
            Ok(Entry::Leaf(leaf)) => leaf,
            Ok(Entry::Directory(_)) => return Err(Error::BadArgument),
            Err(stop) => return Err(stop.answer(Which::First, answer)),
        };
        let mut target = alloc::vec::Vec::new();
        if !self.tree.append_target(&leaf, &mut target)? {
            return Err(Error::BadArgument);
        }
        answer
            .get_mut(..target.len())
            .ok_or(Error::TooLarge)?
            .copy_from_slice(&target);
        Ok(target.len())
    }

    fn make_directory(&self, path: &[u8], mode: u32, elsewhere: &mut [u8]) -> Result<(), Error> {
        done(self.tree.make_directory(path, mode), elsewhere)
    }

    fn remove(&self, path: &[u8], directory: bool, elsewhere: &mut [u8]) -> Result<(), Error> {
        done(self.tree.remove(path, directory), elsewhere)
    }

    fn rename(
        &self,
        from: &[u8],
        to: &[u8],
        flags: u32,
        elsewhere: &mut [u8],
    ) -> Result<(), Error> {
        done(self.tree.rename(from, to, flags), elsewhere)
    }

    fn link(&self, from: &[u8], to: &[u8], elsewhere: &mut [u8]) -> Result<(), Error> {
        done(self.tree.link(from, to), elsewhere)
    }

    fn make_link(&self, target: &[u8], path: &[u8], elsewhere: &mut [u8]) -> Result<(), Error> {
        done(self.tree.make_link(target, path), elsewhere)
    }

    fn make_node(
        &self,
        path: &[u8],
        mode: u32,
        device: u64,
        elsewhere: &mut [u8],
    ) -> Result<(), Error> {
        done(self.tree.make_node(path, mode, device), elsewhere)
    }

    fn set_attributes(
        &self,
        path: &[u8],
        attributes: &[u8],
        fields: u32,
        follow: bool,
        elsewhere: &mut [u8],
    ) -> Result<(), Error> {
        self.try_set_attributes(path, attributes, fields, last(follow))
            .map_err(|stop| stop.answer(Which::First, elsewhere))
    }

    fn statistics(&self) -> Result<FourWords, Error> {
        Ok(self.tree.statistics())
    }
}
