//! The tree: lookups across both layers, and what all operations share.
//!
//! Locks, in the order in which they are taken: `structure` (held for reading by walks, for writing
//! by whatever changes names), a directory's names, `lower_links`, a node's pages or metadata,
//! `mapped` (in which no node that others have is looked into). The lower tree is asked with at most `structure` held; it never asks back. Names found by a walk hold
//! as long as `structure` does.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::lock::{Mutex, RwLock};
use kiln_file_server::{Entry, Final, Place, Stop, Tree, walk};
use kiln_interface::FourWords;
use kiln_interface::file::{Attributes, kind};
use kiln_interface::kernel::FileCache;
use kiln_object::{Error, ProcessId, Reference, Rights};

use crate::budget::Budget;
use crate::directory::{Directory, Known, Named};
use crate::lower::{Lower, LowerFile, join};
use crate::node::{Body, Metadata, Node};
use crate::pages::{KeepFile, PAGE};

/// Tells the wall-clock time, ns since 1970.
pub type Clock = fn() -> i64;

/// Numbers of new files start here, so that they differ from those of the lower tree.
const FIRST_NUMBER: u64 = 1 << 40;

/// A tree of files in memory.
pub struct MemoryTree {
    pub(crate) root: Arc<Node>,
    pub(crate) lower: Option<Box<dyn Lower>>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) structure: RwLock<()>,
    /// What happened to lower files with several names, by number.
    pub(crate) lower_links: Mutex<BTreeMap<u64, LowerLinks>>,
    clock: Clock,
    /// Makes files of the kernel's; without it no file can be mapped.
    keep_file: Option<KeepFile>,
    /// The files of which the kernel has pages, by their keys: they stay while somebody maps them, whether
    /// they have a name or not.
    mapped: Mutex<BTreeMap<u64, Arc<Node>>>,
    next_key: AtomicU64,
    /// The number of this tree: over a lower tree it is that tree's, since both are one to see.
    number: u64,
    next_number: AtomicU64,
}

/// What happened to a lower file that has several names.
#[derive(Debug, Default)]
pub struct LowerLinks {
    /// What was copied up, for all its names.
    pub copied: Option<Arc<Node>>,
    /// Names removed before that.
    pub removed: u32,
}

/// Something that is no directory.
#[derive(Clone, Debug)]
pub enum Leaf {
    Node(Arc<Node>),
    Lower(Arc<LowerFile>),
}

/// Where a walk in the tree led.
pub type TreePlace = Place<Arc<Node>, Leaf>;

impl Leaf {
    pub fn is_link(&self) -> bool {
        match self {
            Self::Node(node) => matches!(node.body, Body::Link(_)),
            Self::Lower(file) => file.target.is_some(),
        }
    }
}

impl From<Leaf> for Named {
    fn from(leaf: Leaf) -> Self {
        match leaf {
            Leaf::Node(node) => Self::Node(node),
            Leaf::Lower(file) => Self::Lower(file),
        }
    }
}

impl MemoryTree {
    /// A tree over `lower`, or an empty one, that holds at most `limit` bytes. `number` is the tree's
    /// unless it takes on that of `lower`.
    ///
    /// # Errors
    /// Those of `lower` about its root.
    pub fn new(
        lower: Option<Box<dyn Lower>>,
        limit: u64,
        clock: Clock,
        number: u64,
    ) -> Result<Self, Error> {
        let budget = Budget::new(limit);
        let (root, number) = match &lower {
            Some(lower) => {
                let attributes = lower.attributes(b"")?;
                (
                    Node::of_lower_directory(&attributes, Box::default()),
                    attributes.tree,
                )
            }
            None => {
                let metadata = Metadata::new(kind::DIRECTORY | 0o755, 2, clock());
                let body = Body::Directory(Directory::new());
                (Node::new(FIRST_NUMBER, metadata, body, &budget)?, number)
            }
        };
        Ok(Self {
            root,
            lower,
            budget,
            structure: RwLock::new(()),
            lower_links: Mutex::default(),
            keep_file: None,
            mapped: Mutex::default(),
            next_key: AtomicU64::new(1),
            clock,
            number,
            next_number: AtomicU64::new(FIRST_NUMBER + 1),
        })
    }

    /// Lets files be mapped: `keep_file` makes the files of the kernel's that their pages move to.
    #[must_use]
    pub fn with_mapping(mut self, keep_file: KeepFile) -> Self {
        self.keep_file = Some(keep_file);
        self
    }

    /// A reference for `owner` to the pages of `node`, to be mapped with `rights`, and their bytes.
    ///
    /// # Errors
    /// `Unsupported` where nothing can be mapped; the kernel's.
    pub(crate) fn share(
        &self,
        node: &Arc<Node>,
        owner: ProcessId,
        rights: Rights,
    ) -> Result<(Reference<dyn FileCache>, u64), Error> {
        let keep_file = self.keep_file.ok_or(Error::Unsupported)?;
        self.forget_unmapped();
        let key = self.next_key.fetch_add(1, Relaxed);
        let mut pages = node.pages()?.lock();
        let keep = |length| {
            let kept = keep_file(length, key)?;
            self.mapped.lock().insert(key, Arc::clone(node));
            Ok(kept)
        };
        let reference = pages.share(keep, owner, rights)?;
        Ok((reference, pages.length()))
    }

    /// Brings a page of the file with that key.
    ///
    /// # Errors
    /// `NotFound`; why the page cannot come.
    pub(crate) fn fill(&self, key: u64, offset: u64) -> Result<(), Error> {
        let node = self.mapped.lock().get(&key).map(Arc::clone);
        node.ok_or(Error::NotFound)?.pages()?.lock().fill(offset)
    }

    /// Lets go of files that have neither a name nor are open nor mapped.
    pub(crate) fn forget_unmapped(&self) {
        let mut gone = Vec::new();
        self.mapped.lock().retain(|_, node| {
            let is_needed = Arc::strong_count(node) > 1
                || gone.try_reserve(1).is_err()
                || node.pages().is_ok_and(|pages| pages.lock().has_users());
            if !is_needed {
                gone.push(Arc::clone(node));
            }
            is_needed
        });
    }

    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn new_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// Walks with `structure` held by the caller.
    pub(crate) fn walk(&self, path: &[u8], last: Final) -> Result<TreePlace, Stop> {
        walk(self, path, last)
    }

    /// What is at `path` now.
    pub(crate) fn find(&self, path: &[u8], last: Final) -> Result<Entry<Arc<Node>, Leaf>, Stop> {
        let _structure = self.structure.read();
        Ok(self.walk(path, last)?.existing()?)
    }

    /// What is known about `leaf`.
    pub(crate) fn leaf_attributes(&self, leaf: &Leaf) -> Attributes {
        match leaf {
            Leaf::Node(node) => node.attributes(self.number),
            Leaf::Lower(file) => {
                let mut attributes = file.attributes;
                if attributes.links > 1
                    && let Some(links) = self.lower_links.lock().get(&attributes.number)
                {
                    attributes.links = attributes.links.saturating_sub(links.removed);
                }
                attributes
            }
        }
    }

    /// What is known about the thing at `path`.
    pub(crate) fn attributes(&self, path: &[u8], last: Final) -> Result<Attributes, Stop> {
        Ok(match self.find(path, last)? {
            Entry::Directory(node) => node.attributes(self.number),
            Entry::Leaf(leaf) => self.leaf_attributes(&leaf),
        })
    }

    pub(crate) fn statistics(&self) -> FourWords {
        self.forget_unmapped();
        let page = PAGE as u64;
        let blocks = (self.budget.limit() / page, self.budget.free() / page);
        // Each free page could hold a node or two; that is as exact as it gets.
        (
            blocks,
            (self.budget.nodes().saturating_add(blocks.1), blocks.1),
        )
    }

    fn ask_lower(
        &self,
        directory: &Directory,
        name: &[u8],
    ) -> Result<Entry<Arc<Node>, Leaf>, Error> {
        let (Some(lower), Some(at)) = (&self.lower, &directory.lower) else {
            return Err(Error::NotFound);
        };
        let path = join(at, name)?;
        let attributes = match lower.attributes(&path) {
            Ok(attributes) => attributes,
            Err(Error::NotFound) => {
                directory.names().remember(name, None);
                return Err(Error::NotFound);
            }
            Err(error) => return Err(error),
        };
        let named = match attributes.mode & kind::MASK {
            kind::DIRECTORY => {
                let node = Node::of_lower_directory(&attributes, path);
                directory.names().adopt(name, node).ok_or(Error::NotFound)?
            }
            other => {
                let target = if other == kind::LINK {
                    Some(lower.target(&path)?.into_boxed_slice())
                } else {
                    None
                };
                let file = Arc::new(LowerFile {
                    path,
                    attributes,
                    target,
                });
                directory.names().remember(name, Some(Arc::clone(&file)));
                Named::Lower(file)
            }
        };
        Ok(self.resolve(named))
    }

    /// What a name leads to: the copy of a lower file that was copied up under another name.
    fn resolve(&self, named: Named) -> Entry<Arc<Node>, Leaf> {
        match named {
            Named::Node(node) if node.directory().is_some() => Entry::Directory(node),
            Named::Node(node) => Entry::Leaf(Leaf::Node(node)),
            Named::Lower(file) => {
                if file.attributes.links > 1
                    && let Some(links) = self.lower_links.lock().get(&file.attributes.number)
                    && let Some(node) = &links.copied
                {
                    return Entry::Leaf(Leaf::Node(Arc::clone(node)));
                }
                Entry::Leaf(Leaf::Lower(file))
            }
        }
    }
}

impl Tree for MemoryTree {
    type Directory = Arc<Node>;
    type Leaf = Leaf;

    fn root(&self) -> Arc<Node> {
        Arc::clone(&self.root)
    }

    fn lookup(&self, directory: &Arc<Node>, name: &[u8]) -> Result<Entry<Arc<Node>, Leaf>, Error> {
        let directory = directory.directory().ok_or(Error::NotDirectory)?;
        match directory.known(name) {
            Known::Named(named) => Ok(self.resolve(named)),
            Known::Missing => Err(Error::NotFound),
            Known::AskLower => self.ask_lower(directory, name),
        }
    }

    fn append_target(&self, leaf: &Leaf, to: &mut Vec<u8>) -> Result<bool, Error> {
        let target = match leaf {
            Leaf::Node(node) => match &node.body {
                Body::Link(target) => Some(target),
                _ => None,
            },
            Leaf::Lower(file) => file.target.as_ref(),
        };
        if let Some(target) = target {
            to.extend_from_slice(target);
        }
        Ok(target.is_some())
    }
}
