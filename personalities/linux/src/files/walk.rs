//! From a path to what it names: the library's own files, or a place in a server's tree.
//!
//! Servers follow links inside their trees. A link that leads out comes back as a new path, and the
//! walk starts again. `..` is taken off here, since only here is known what lies above a tree: the
//! directory before it is made canonical first, and what is canonical is remembered.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use kiln_interface::file::{Attributes, FileTree, kind};
use kiln_object::Error;
use zerocopy::IntoBytes;

use super::mounts::Mount;
use super::path::{self, Joined};
use super::scratch::Scratch;
use super::{Files, server};
use crate::errno::Errno;
use crate::pseudo::{self, Found, Node};

/// Links that one walk follows, as Linux has it.
const MOST_LINKS: usize = 40;

/// Canonical directories that are remembered at most.
const MOST_REMEMBERED: usize = 256;

/// Directories that are known to be no links, nor to lie behind one.
#[derive(Debug)]
pub struct Canonical(BTreeSet<Vec<u8>>);

impl Canonical {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Forgets everything: a name was removed or changed its meaning.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

impl Default for Canonical {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a path leads.
#[derive(Debug)]
pub enum Place {
    /// A file that the library makes.
    Pseudo(Node),
    /// A path in a tree.
    Stored(StoredPlace),
}

/// A path in a server's tree.
#[derive(Debug)]
pub struct StoredPlace {
    /// The tree.
    pub mount: Arc<Mount>,
    /// The path in it; ends with a slash where only a directory will do.
    pub relative: Vec<u8>,
}

impl StoredPlace {
    /// The tree's server.
    #[must_use]
    pub fn tree(&self) -> &server::Tree {
        &self.mount.tree
    }

    /// Refuses what would change a tree that may not be written.
    ///
    /// # Errors
    /// `EROFS`.
    pub fn check_writable(&self) -> Result<(), Failed> {
        if self.mount.read_only {
            return Err(Failed::Errno(Errno::EROFS));
        }
        Ok(())
    }
}

/// Why a step at a place did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The walk goes on at the path in the buffer.
    Elsewhere,
    /// It is over.
    Errno(Errno),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Elsewhere => Failed::Elsewhere,
            // What must stay where it is, as the interface says.
            Error::Busy => Failed::Errno(Errno::EBUSY),
            error => Failed::Errno(error.into()),
        }
    }
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        Failed::Errno(errno)
    }
}

/// The path that a server wrote to go on with; `None` if it wrote none.
#[must_use]
pub fn path_to_go_on_with(buffer: &[u8]) -> Option<&[u8]> {
    let end = buffer.iter().position(|byte| *byte == 0)?;
    buffer.get(..end).filter(|path| path.starts_with(b"/"))
}

/// One walk with its budget of links.
#[derive(Debug)]
pub struct Walk<'a> {
    files: &'a Files,
    /// Where the walk is now.
    pub path: Vec<u8>,
    climbs: bool,
    directory: bool,
    follow: bool,
    links: usize,
}

impl<'a> Walk<'a> {
    /// A walk from an absolute path. `follow` says whether a link as the last component is.
    #[must_use]
    pub fn new(files: &'a Files, start: Joined, follow: bool) -> Self {
        Self {
            files,
            path: start.path,
            climbs: start.climbs,
            // Who asks for a directory means the one behind a link.
            follow: follow || start.directory,
            directory: start.directory,
            links: 0,
        }
    }

    /// Goes on at another absolute path, as a link says.
    ///
    /// # Errors
    /// `ELOOP` after too many links; `ENAMETOOLONG`.
    pub fn go_on(&mut self, target: &[u8]) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        let joined = path::join(b"/", target)?;
        self.path = joined.path;
        self.climbs = joined.climbs;
        self.directory |= joined.directory;
        Ok(())
    }

    /// Finds the place where the walk is.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ELOOP`, `ENAMETOOLONG`.
    pub fn place(&mut self) -> Result<Place, Errno> {
        loop {
            if self.climbs
                && let Some((before, rest)) = path::split_at_parent_step(&self.path)
            {
                let above = self.files.canonical_directory(before, self.links + 1)?;
                let parent = path::split_last(&above).map_or(&b"/"[..], |(parent, _)| parent);
                let joined = path::join(parent, rest.strip_prefix(b"/").unwrap_or(b"."))?;
                self.path = joined.path;
                self.climbs = joined.climbs;
                continue;
            }
            match pseudo::find(self.files, &self.path, self.follow) {
                Found::Node(node) => {
                    if self.directory && !node.is_directory() {
                        return Err(Errno::ENOTDIR);
                    }
                    return Ok(Place::Pseudo(node));
                }
                Found::Link(target) => self.go_on(&target)?,
                Found::Failed(errno) => return Err(errno),
                Found::Elsewhere => return self.stored().map(Place::Stored),
            }
        }
    }

    fn stored(&self) -> Result<StoredPlace, Errno> {
        let mounts = self.files.mounts()?;
        let (mount, relative) = mounts.find(&self.path)?;
        let mut relative = relative.to_vec();
        if self.directory && !relative.is_empty() {
            relative.push(b'/');
        }
        Ok(StoredPlace {
            mount: Arc::clone(mount),
            relative,
        })
    }

    /// Runs `step` at the place; as long as it answers `Elsewhere`, goes on where the buffer says.
    ///
    /// # Errors
    /// Those of [`Walk::place`] and of `step`.
    pub fn run<R>(
        &mut self,
        mut step: impl FnMut(&Place, &mut [u8]) -> Result<R, Failed>,
    ) -> Result<R, Errno> {
        loop {
            let place = self.place()?;
            let mut elsewhere = Scratch::for_path();
            match step(&place, &mut elsewhere) {
                Ok(result) => return Ok(result),
                Err(Failed::Errno(errno)) => return Err(errno),
                Err(Failed::Elsewhere) => {
                    let target = path_to_go_on_with(&elsewhere).ok_or(Errno::EIO)?;
                    self.go_on(target)?;
                }
            }
        }
    }
}

impl Files {
    /// The attributes of what is at an absolute path, and the path where it was found.
    ///
    /// # Errors
    /// Those of a walk.
    pub fn attributes_of(
        &self,
        start: Joined,
        follow: bool,
    ) -> Result<(Attributes, Vec<u8>), Errno> {
        let mut walk = Walk::new(self, start, follow);
        let attributes = walk.run(|place, elsewhere| match place {
            Place::Pseudo(node) => Ok(pseudo::attributes(self, node)?),
            Place::Stored(place) => {
                let follow = follow || place.relative.ends_with(b"/");
                let bytes = place
                    .tree()
                    .attributes(&place.relative, follow, elsewhere)?;
                read_attributes(elsewhere.get(..bytes).unwrap_or_default())
            }
        })?;
        Ok((attributes, walk.path))
    }

    /// The target of the link at an absolute path, followed up to it; `EINVAL` if it is none.
    ///
    /// # Errors
    /// Those of a walk.
    pub fn link_target(&self, start: Joined) -> Result<Vec<u8>, Errno> {
        let mut walk = Walk::new(self, start, false);
        walk.run(|place, elsewhere| match place {
            Place::Pseudo(node) => Ok(pseudo::read_link(self, node)?),
            Place::Stored(place) => {
                let count = match place.tree().read_link(&place.relative, elsewhere) {
                    Err(Error::Unsupported | Error::BadArgument) => {
                        return Err(Errno::EINVAL.into());
                    }
                    count => count?,
                };
                Ok(elsewhere.get(..count).unwrap_or_default().to_vec())
            }
        })
    }

    /// As [`Files::canonical`], of a directory.
    ///
    /// # Errors
    /// `ENOTDIR` if it is none; those of [`Files::canonical`].
    fn canonical_directory(&self, path: &[u8], links: usize) -> Result<Vec<u8>, Errno> {
        let canonical = self.canonical(path, links)?;
        // Directories are remembered when they are passed.
        if canonical != b"/" && !self.canonical.lock().0.contains(&canonical) {
            return Err(Errno::ENOTDIR);
        }
        Ok(canonical)
    }

    /// The absolute path of the same thing with no link in it; `path` must exist.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ELOOP`.
    pub fn canonical(&self, path: &[u8], links: usize) -> Result<Vec<u8>, Errno> {
        if path == b"/" || self.canonical.lock().0.contains(path) {
            return Ok(path.to_vec());
        }
        let mut links = links;
        let mut rest = path.to_vec();
        let mut done = vec![b'/'];
        loop {
            let mut components = path::components(&rest);
            let Some(component) = components.next() else {
                return Ok(done);
            };
            let after: Vec<u8> = components.flat_map(|name| [b"/", name].concat()).collect();
            if component == b".." {
                done = path::split_last(&done)
                    .map_or(&b"/"[..], |(parent, _)| parent)
                    .to_vec();
                rest = after;
                continue;
            }
            let next = path::join(&done, component)?.path;
            if self.canonical.lock().0.contains(&next) {
                (done, rest) = (next, after);
                continue;
            }
            let here = Joined {
                path: next.clone(),
                directory: false,
                climbs: false,
            };
            let (attributes, _) = self.attributes_of(here.clone(), false)?;
            match attributes.mode & kind::MASK {
                kind::LINK => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    let target = self.link_target(here)?;
                    rest = path::splice(&done, &target, &after);
                    done = vec![b'/'];
                }
                kind::DIRECTORY => {
                    self.remember(&next);
                    (done, rest) = (next, after);
                }
                _ if !after.is_empty() => return Err(Errno::ENOTDIR),
                _ => (done, rest) = (next, after),
            }
        }
    }

    fn remember(&self, path: &[u8]) {
        let mut canonical = self.canonical.lock();
        if canonical.0.len() >= MOST_REMEMBERED {
            canonical.forget();
        }
        canonical.0.insert(path.to_vec());
    }
}

fn read_attributes(bytes: &[u8]) -> Result<Attributes, Failed> {
    let mut attributes = Attributes::default();
    let place = attributes.as_mut_bytes();
    if bytes.len() != place.len() {
        return Err(Failed::Errno(Errno::EIO));
    }
    place.copy_from_slice(bytes);
    Ok(attributes)
}
