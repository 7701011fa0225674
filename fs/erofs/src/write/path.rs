//! Walking paths in a tree: directories, "..", symbolic links; and walking all of a tree.
//!
//! A walk stays inside the tree as `chroot` does, and follows at most 40 links, as Linux does.

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use super::error::TreeError;
use super::tree::{Item, Node, NodeId, Tree};
use crate::format::NAME_MAX;

const LINKS_MAX: u32 = 40;

/// What a walk does where nothing has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Makes a directory there.
    Create,
    /// Fails.
    Fail,
}

pub(super) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
}

/// The path of the directory, and the name in it; nothing for the root.
pub(super) fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|&byte| byte != b'/')? + 1;
    let path = &path[..end];
    Some(match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    })
}

/// The part of a path that is still to be walked, and the nodes from the root to where it stands.
struct Walk {
    reached: Vec<(Vec<u8>, NodeId)>,
    pending: VecDeque<Vec<u8>>,
    links: u32,
}

impl Walk {
    fn new(path: &[u8]) -> Self {
        Self {
            reached: Vec::new(),
            pending: components(path).map(<[u8]>::to_vec).collect(),
            links: 0,
        }
    }

    fn here(&self) -> NodeId {
        self.reached.last().map_or(NodeId::ROOT, |(_, id)| *id)
    }

    /// Goes on to the path's end, or to the first name that is missing, which it returns.
    fn advance(
        &mut self,
        tree: &Tree,
        path: &[u8],
        follow_last: bool,
    ) -> Result<Option<Vec<u8>>, TreeError> {
        while let Some(name) = self.pending.pop_front() {
            let here = tree.node(self.here());
            if here.item != Item::Directory {
                return Err(TreeError::NotDirectory(path.to_vec()));
            }
            if name == b"." {
                continue;
            }
            if name == b".." {
                self.reached.pop();
                continue;
            }
            let Some(&next) = here.children.get(&*name) else {
                return Ok(Some(name));
            };
            match &tree.node(next).item {
                Item::Symlink(target) if follow_last || !self.pending.is_empty() => {
                    self.links += 1;
                    if self.links > LINKS_MAX {
                        return Err(TreeError::SymlinkLoop(path.to_vec()));
                    }
                    if target.starts_with(b"/") {
                        self.reached.clear();
                    }
                    for part in components(target).rev() {
                        self.pending.push_front(part.to_vec());
                    }
                }
                _ => self.reached.push((name, next)),
            }
        }
        Ok(None)
    }

    fn to_end(tree: &Tree, path: &[u8], follow_last: bool) -> Result<Self, TreeError> {
        let mut walk = Self::new(path);
        match walk.advance(tree, path, follow_last)? {
            None => Ok(walk),
            Some(_) => Err(TreeError::NotFound(path.to_vec())),
        }
    }
}

impl Tree {
    /// The path without symbolic links, "." and ".." of what `path` leads to. Starts with "/".
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, TreeError> {
        let walk = Walk::to_end(self, path.as_ref(), true)?;
        let mut resolved = Vec::new();
        for (name, _) in &walk.reached {
            resolved.push(b'/');
            resolved.extend_from_slice(name);
        }
        if resolved.is_empty() {
            resolved.push(b'/');
        }
        Ok(resolved)
    }

    /// All nodes with their paths, each directory before what is in it, names in byte order. A file
    /// with several names comes once for each.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, &Node)> {
        let mut pending = vec![(Vec::from(b"/"), NodeId::ROOT)];
        std::iter::from_fn(move || {
            let (path, id) = pending.pop()?;
            let node = self.node(id);
            for (name, &child) in node.children.iter().rev() {
                let mut place = path.clone();
                if !place.ends_with(b"/") {
                    place.push(b'/');
                }
                place.extend_from_slice(name);
                pending.push((place, child));
            }
            Some((path, node))
        })
    }

    pub(super) fn find(&self, path: &[u8], follow_last: bool) -> Result<NodeId, TreeError> {
        Walk::to_end(self, path, follow_last).map(|walk| walk.here())
    }

    /// The directory at `path`, every link followed.
    pub(super) fn directory(&mut self, path: &[u8], missing: Missing) -> Result<NodeId, TreeError> {
        let mut walk = Walk::new(path);
        while let Some(name) = walk.advance(self, path, true)? {
            if missing == Missing::Fail {
                return Err(TreeError::NotFound(path.to_vec()));
            }
            if name.len() > NAME_MAX || name.contains(&0) {
                return Err(TreeError::BadName(path.to_vec()));
            }
            let created = self.add_directory(walk.here(), &name);
            walk.reached.push((name, created));
        }
        let directory = walk.here();
        if self.node(directory).item != Item::Directory {
            return Err(TreeError::NotDirectory(path.to_vec()));
        }
        Ok(directory)
    }
}
