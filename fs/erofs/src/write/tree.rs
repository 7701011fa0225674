//! The tree of files that will be an image's content.
//!
//! Nodes live in one arena; a directory maps names to nodes, and a node that is no directory may have
//! several names (hard links). The node at index 0 is the root directory. Node indices never leave
//! this module's parent: users name everything by path.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;
use std::{mem, vec};

use super::contents::Content;
use super::error::TreeError;
use super::path::{Missing, components, split_last};
use crate::format::{Device, Kind, NAME_MAX, SYMLINK_MAX, Timestamp};

/// What the image says about an inode besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, with set-user-ID, set-group-ID and sticky: `st_mode & 0o7777`.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Timestamp,
}

impl Attributes {
    /// Owned by root, last changed at the start of 1970.
    pub const fn new(mode: u16) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::from_seconds(0),
        }
    }

    /// The same with another time of last modification.
    #[must_use]
    pub const fn modified(self, mtime: Timestamp) -> Self {
        Self { mtime, ..self }
    }

    /// What the format can say: no file type bits, less than a second of nanoseconds.
    const fn normal(self) -> Self {
        Self {
            mode: self.mode & 0o7777,
            mtime: self.mtime.normal(),
            ..self
        }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

impl Item {
    /// The kind of inode that this becomes.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::CharacterDevice(_) => Kind::CharacterDevice,
            Self::BlockDevice(_) => Kind::BlockDevice,
            Self::Fifo => Kind::Fifo,
        }
    }

    fn check(&self, path: &[u8]) -> Result<(), TreeError> {
        match self {
            Self::Symlink(target)
                if target.is_empty() || target.len() > SYMLINK_MAX || target.contains(&0) =>
            {
                Err(TreeError::BadTarget(path.to_vec()))
            }
            Self::CharacterDevice(device) | Self::BlockDevice(device)
                if device.encode().is_none() =>
            {
                Err(TreeError::BadDevice(path.to_vec()))
            }
            _ => Ok(()),
        }
    }
}

/// One file, directory, link, ... of a tree.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) attributes: Attributes,
    pub(super) item: Item,
    pub(super) children: BTreeMap<Box<[u8]>, NodeId>,
    /// How many names lead here; 0 once removed.
    pub(super) links: u32,
}

/// A node's place in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(pub usize);

impl NodeId {
    pub const ROOT: Self = Self(0);
}

impl Node {
    /// Mode, owner and time.
    pub const fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// What it is.
    pub const fn item(&self) -> &Item {
        &self.item
    }

    /// How many names in the tree lead here.
    pub const fn link_count(&self) -> u32 {
        self.links
    }

    /// The names in this directory, sorted by their bytes; none if it is not one.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.children.keys().map(|name| &**name)
    }
}

/// The content of an image. Paths are bytes, separated by "/"; a leading "/" makes no difference.
///
/// Unless a method says otherwise, symbolic links in a path are followed, inside the tree, except in
/// its last part. So what goes to `lib/x` lands in `usr/lib/x` where `lib` is a link to `usr/lib`.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
    default_directory: Attributes,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new(Attributes::new(0o755))
    }
}

impl Tree {
    /// A tree that holds a root directory only. The root and directories that nobody gave attributes
    /// get `directory`.
    pub fn new(directory: Attributes) -> Self {
        let root = Node {
            attributes: directory.normal(),
            item: Item::Directory,
            children: BTreeMap::new(),
            links: 1,
        };
        Self {
            nodes: vec![root],
            default_directory: directory,
        }
    }

    /// Puts `item` at `path`, making directories that are missing on the way.
    ///
    /// What is there and is no directory is replaced, except that a directory may not replace a
    /// file. A directory on a directory, or on a link to one, keeps what is in it: the directory's
    /// attributes become the new ones, a link's directory keeps its own.
    pub fn insert(
        &mut self,
        path: impl AsRef<[u8]>,
        attributes: Attributes,
        item: Item,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        item.check(path)?;
        let is_directory = item == Item::Directory;
        if components(path).next().is_none() && is_directory {
            self.node_mut(NodeId::ROOT).attributes = attributes.normal();
            return Ok(());
        }
        let (parent, name) = self.parent(path, Missing::Create)?;
        if let Some(&existing) = self.node(parent).children.get(name) {
            match (&self.node(existing).item, is_directory) {
                (Item::Directory, true) => {
                    self.node_mut(existing).attributes = attributes.normal();
                    return Ok(());
                }
                (Item::Directory, false) => return Err(TreeError::IsDirectory(path.to_vec())),
                (Item::Symlink(_), true) => return self.directory(path, Missing::Create).map(drop),
                (_, true) => return Err(TreeError::NotDirectory(path.to_vec())),
                (_, false) => self.unlink(parent, name),
            }
        }
        let node = self.add(attributes, item);
        self.name(parent, name, node);
        Ok(())
    }

    /// Puts `item` at `path` in place of whatever is there, a directory with all its content even.
    pub fn replace(
        &mut self,
        path: impl AsRef<[u8]>,
        attributes: Attributes,
        item: Item,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        item.check(path)?;
        let (parent, name) = self.parent(path, Missing::Create)?;
        self.unlink(parent, name);
        let node = self.add(attributes, item);
        self.name(parent, name, node);
        Ok(())
    }

    /// Gives the file at `existing`, which is no directory, `path` as one more name.
    ///
    /// What has this name and is no directory is replaced.
    pub fn link(
        &mut self,
        existing: impl AsRef<[u8]>,
        path: impl AsRef<[u8]>,
    ) -> Result<(), TreeError> {
        let (existing, path) = (existing.as_ref(), path.as_ref());
        let node = self.find(existing, false)?;
        if self.node(node).item == Item::Directory {
            return Err(TreeError::IsDirectory(existing.to_vec()));
        }
        let (parent, name) = self.parent(path, Missing::Create)?;
        self.place(parent, name, node, path)
    }

    /// Removes `path`, with all its content if it is a directory.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<(), TreeError> {
        let path = path.as_ref();
        let (parent, name) = self.parent(path, Missing::Fail)?;
        if !self.node(parent).children.contains_key(name) {
            return Err(TreeError::NotFound(path.to_vec()));
        }
        self.unlink(parent, name);
        Ok(())
    }

    /// Puts a symbolic link at `path`; if a directory is there, its content moves to where the link
    /// leads, as when `/lib` becomes a link to `usr/lib` after packages have put files into it.
    ///
    /// Files that are already at the new place are replaced. Fails where a directory meets something
    /// else; what was to move is then lost.
    pub fn insert_link_and_merge(
        &mut self,
        path: impl AsRef<[u8]>,
        attributes: Attributes,
        target: Vec<u8>,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        let item = Item::Symlink(target);
        item.check(path)?;
        let (parent, name) = self.parent(path, Missing::Create)?;
        let existing = self.node(parent).children.get(name).copied();
        let Some(directory) = existing.filter(|&id| self.node(id).item == Item::Directory) else {
            return self.insert(path, attributes, item);
        };
        // The content is out of the tree while it moves, so a link into itself finds nothing there.
        let mut moving = vec![(
            path.to_vec(),
            mem::take(&mut self.node_mut(directory).children),
        )];
        self.unlink(parent, name);
        let link = self.add(attributes, item);
        self.name(parent, name, link);
        self.directory(path, Missing::Create)?;
        while let Some((directory, children)) = moving.pop() {
            for (name, child) in children {
                let mut place = directory.clone();
                place.push(b'/');
                place.extend_from_slice(&name);
                if self.node(child).item == Item::Directory {
                    self.insert(&place, self.node(child).attributes, Item::Directory)?;
                    moving.push((place, mem::take(&mut self.node_mut(child).children)));
                } else {
                    let (parent, name) = self.parent(&place, Missing::Create)?;
                    self.node_mut(child).links -= 1;
                    self.place(parent, name, child, &place)?;
                }
            }
        }
        Ok(())
    }

    /// The node at `path`; a symbolic link in its last part is not followed.
    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        self.find(path.as_ref(), false).ok().map(|id| self.node(id))
    }

    /// The node at `path` with every symbolic link followed.
    pub fn get_following(&self, path: impl AsRef<[u8]>) -> Result<&Node, TreeError> {
        self.find(path.as_ref(), true).map(|id| self.node(id))
    }

    /// Changes mode, owner and time of the node at `path`.
    pub fn set_attributes(
        &mut self,
        path: impl AsRef<[u8]>,
        attributes: Attributes,
    ) -> Result<(), TreeError> {
        let id = self.find(path.as_ref(), false)?;
        self.node_mut(id).attributes = attributes.normal();
        Ok(())
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    /// A directory with the default attributes under a name that is free.
    pub(super) fn add_directory(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        let node = self.add(self.default_directory, Item::Directory);
        self.name(parent, name, node);
        node
    }

    fn parent<'p>(
        &mut self,
        path: &'p [u8],
        missing: Missing,
    ) -> Result<(NodeId, &'p [u8]), TreeError> {
        let (directory, name) =
            split_last(path).ok_or_else(|| TreeError::BadName(path.to_vec()))?;
        if name == b"." || name == b".." || name.len() > NAME_MAX || name.contains(&0) {
            return Err(TreeError::BadName(path.to_vec()));
        }
        Ok((self.directory(directory, missing)?, name))
    }

    fn add(&mut self, attributes: Attributes, item: Item) -> NodeId {
        let attributes = attributes.normal();
        self.nodes.push(Node {
            attributes,
            item,
            children: BTreeMap::new(),
            links: 0,
        });
        NodeId(self.nodes.len() - 1)
    }

    fn name(&mut self, parent: NodeId, name: &[u8], node: NodeId) {
        self.node_mut(node).links += 1;
        self.node_mut(parent).children.insert(name.into(), node);
    }

    /// Names `node` in place of what has the name, unless that is a directory.
    fn place(
        &mut self,
        parent: NodeId,
        name: &[u8],
        node: NodeId,
        path: &[u8],
    ) -> Result<(), TreeError> {
        match self.node(parent).children.get(name) {
            Some(&same) if same == node => return Ok(()),
            Some(&other) if self.node(other).item == Item::Directory => {
                return Err(TreeError::IsDirectory(path.to_vec()));
            }
            _ => self.unlink(parent, name),
        }
        self.name(parent, name, node);
        Ok(())
    }

    /// Takes a name away if it is there, and all that has no name left with it.
    fn unlink(&mut self, parent: NodeId, name: &[u8]) {
        let mut unnamed: Vec<NodeId> = self
            .node_mut(parent)
            .children
            .remove(name)
            .into_iter()
            .collect();
        while let Some(id) = unnamed.pop() {
            let node = self.node_mut(id);
            node.links -= 1;
            if node.links == 0 {
                // The slot stays, so that indices do; what it held need not.
                node.item = Item::Fifo;
                unnamed.extend(mem::take(&mut node.children).into_values());
            }
        }
    }
}
