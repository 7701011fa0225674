//! A file, directory, link or device node that is kept here.
//!
//! A node lives as long as a name or an open file refers to it; its number never changes.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::lock::Mutex;
use kiln_interface::file::{Attributes, change, kind};
use kiln_object::Error;

use crate::budget::{Budget, Charge};
use crate::directory::Directory;
use crate::pages::Pages;

/// What a node costs besides names and contents.
pub const NODE_COST: u64 = 320;

/// Permission bits of a mode.
pub const PERMISSIONS: u32 = 0o7777;

/// A node.
#[derive(Debug)]
pub struct Node {
    pub number: u64,
    pub metadata: Mutex<Metadata>,
    pub body: Body,
    /// `None` for what stands for a directory of the lower tree: those are bounded by that tree.
    _charge: Option<Charge>,
}

/// What a node is made of.
#[derive(Debug)]
pub enum Body {
    Directory(Directory),
    Regular(Mutex<Pages>),
    Link(Box<[u8]>),
    /// A device, named pipe or socket's name; the device's number.
    Special(u64),
}

/// What is said about a node.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Kind and permissions.
    pub mode: u32,
    pub links: u32,
    pub user: u32,
    pub group: u32,
    pub accessed: i64,
    pub modified: i64,
    pub changed: i64,
}

impl Metadata {
    /// Of something new of root's, made at `now`.
    pub const fn new(mode: u32, links: u32, now: i64) -> Self {
        Self {
            mode,
            links,
            user: 0,
            group: 0,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    /// What the lower tree says.
    pub const fn of_lower(attributes: &Attributes) -> Self {
        Self {
            mode: attributes.mode,
            links: attributes.links,
            user: attributes.user,
            group: attributes.group,
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
        }
    }

    /// Notes that contents changed.
    pub const fn touch(&mut self, now: i64) {
        self.modified = now;
        self.changed = now;
    }
}

impl Node {
    /// A node that costs.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub fn new(
        number: u64,
        metadata: Metadata,
        body: Body,
        budget: &Arc<Budget>,
    ) -> Result<Arc<Self>, Error> {
        let contents = if let Body::Link(target) = &body {
            target.len() as u64
        } else {
            0
        };
        let charge = budget.take_node(NODE_COST.saturating_add(contents))?;
        let metadata = Mutex::new(metadata);
        Ok(Arc::new(Self {
            number,
            metadata,
            body,
            _charge: Some(charge),
        }))
    }

    /// The directory that stands for the one at `path` of the lower tree.
    pub fn of_lower_directory(attributes: &Attributes, path: Box<[u8]>) -> Arc<Self> {
        Arc::new(Self {
            number: attributes.number,
            metadata: Mutex::new(Metadata::of_lower(attributes)),
            body: Body::Directory(Directory::over(path)),
            _charge: None,
        })
    }

    /// The directory that it is.
    pub const fn directory(&self) -> Option<&Directory> {
        match &self.body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Its contents, if it has any.
    ///
    /// # Errors
    /// [`Error::IsDirectory`] or [`Error::Unsupported`].
    pub const fn pages(&self) -> Result<&Mutex<Pages>, Error> {
        match &self.body {
            Body::Regular(pages) => Ok(pages),
            Body::Directory(_) => Err(Error::IsDirectory),
            Body::Link(_) | Body::Special(_) => Err(Error::Unsupported),
        }
    }

    /// What is known about it, as of the tree of number `tree`.
    pub fn attributes(&self, tree: u64) -> Attributes {
        let metadata = *self.metadata.lock();
        let (length, storage) = match &self.body {
            Body::Regular(pages) => {
                let pages = pages.lock();
                (pages.length(), pages.storage())
            }
            Body::Link(target) => (target.len() as u64, 0),
            Body::Directory(_) => (4096, 4096),
            Body::Special(_) => (0, 0),
        };
        Attributes {
            mode: metadata.mode,
            links: metadata.links,
            user: metadata.user,
            group: metadata.group,
            number: self.number,
            tree,
            device: if let Body::Special(device) = self.body {
                device
            } else {
                0
            },
            length,
            storage,
            accessed: metadata.accessed,
            modified: metadata.modified,
            changed: metadata.changed,
        }
    }

    /// Changes the attributes that `fields` names.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a field that is not known, and for the length of what has none.
    pub fn set_attributes(&self, to: &Attributes, fields: u32, now: i64) -> Result<(), Error> {
        const KNOWN: u32 = change::MODE
            | change::USER
            | change::GROUP
            | change::ACCESSED
            | change::MODIFIED
            | change::LENGTH;
        if fields & !KNOWN != 0 {
            return Err(Error::BadArgument);
        }
        if fields & change::LENGTH != 0 {
            match &self.body {
                Body::Regular(pages) => pages.lock().set_length(to.length)?,
                Body::Directory(_) => return Err(Error::IsDirectory),
                _ => return Err(Error::BadArgument),
            }
        }
        let mut metadata = self.metadata.lock();
        if fields & change::LENGTH != 0 {
            metadata.modified = now;
        }
        if fields & change::MODE != 0 {
            metadata.mode = metadata.mode & kind::MASK | to.mode & PERMISSIONS;
        }
        if fields & change::USER != 0 {
            metadata.user = to.user;
        }
        if fields & change::GROUP != 0 {
            metadata.group = to.group;
        }
        if fields & change::ACCESSED != 0 {
            metadata.accessed = to.accessed;
        }
        if fields & change::MODIFIED != 0 {
            metadata.modified = to.modified;
        }
        metadata.changed = now;
        Ok(())
    }
}
