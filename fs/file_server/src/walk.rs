//! Walking a path from the root of a tree, one name at a time.
//!
//! The walk keeps the directories it came through, so `..` needs nothing of the tree and a rename
//! can see what lies above. Links are followed at most [`LINKS_MAX`] times and what is left to walk
//! never grows beyond [`PENDING_MAX`]: a walk ends whatever the tree holds.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use kiln_object::Error;

/// Longest name in bytes.
pub const NAME_MAX: usize = 255;

/// Longest path in bytes that is answered or kept, without a zero at its end.
pub const PATH_MAX: usize = 4095;

/// Links that one walk follows; Linux's number.
const LINKS_MAX: usize = 40;

/// Bytes that may be left to walk: a link's target and what was left behind it.
const PENDING_MAX: usize = 2 * PATH_MAX;

/// A tree as the walk sees it.
pub trait Tree {
    /// A directory; cheap to clone.
    type Directory: Clone;
    /// Anything that is no directory.
    type Leaf: Clone;

    /// Where walks start.
    fn root(&self) -> Self::Directory;

    /// What `name`, of 1 to [`NAME_MAX`] bytes and neither `.` nor `..`, is in `directory`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such name; anything else ends the walk.
    fn lookup(
        &self,
        directory: &Self::Directory,
        name: &[u8],
    ) -> Result<Entry<Self::Directory, Self::Leaf>, Error>;

    /// Appends the target to `to` and answers true if `leaf` is a symbolic link.
    ///
    /// # Errors
    /// Those of reading the target.
    fn append_target(&self, leaf: &Self::Leaf, to: &mut Vec<u8>) -> Result<bool, Error>;
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<D, L> {
    /// A directory.
    Directory(D),
    /// Anything else.
    Leaf(L),
}

/// What to do with a symbolic link as the last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Final {
    /// Follow it.
    Follow,
    /// Stay at it, except that a slash behind it follows it.
    Stay,
    /// Stay at it in any case: the name itself is what will change.
    Name,
    /// Follow it, unless a slash follows: a file may be made where it leads, but no directory.
    Create,
}

/// How a path ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// It was empty, or only slashes: the root is meant.
    Root,
    /// With `.`.
    Dot,
    /// With `..`.
    DotDot,
    /// With a name.
    Name(Vec<u8>),
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub struct Place<D, L> {
    /// The directories that were come through, the root first; never empty. The last one holds the
    /// name, or is what is meant if the path did not end with a name.
    pub directories: Vec<D>,
    /// How the path ended.
    pub last: Last,
    /// What the name stands for; `None` if there is none, or no name.
    pub entry: Option<Entry<D, L>>,
    /// Whether a slash followed the name.
    pub slash: bool,
    /// How many links were followed.
    pub links: usize,
}

/// Where a walk goes on from: directories that were come through, the root first.
#[derive(Clone, Debug)]
pub struct Start<D> {
    /// At least the root.
    pub directories: Vec<D>,
    /// How many links were followed so far.
    pub links: usize,
}

/// Why a walk did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It cannot.
    Failed(Error),
    /// The path goes on outside the tree: an absolute path without a zero at its end.
    Elsewhere(Vec<u8>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<D: Clone, L> Place<D, L> {
    /// The directory that holds the last name.
    ///
    /// # Errors
    /// [`Error::BadArgument`] never happens for a place that [`walk`] made.
    pub fn parent(&self) -> Result<&D, Error> {
        self.directories.last().ok_or(Error::BadArgument)
    }

    /// What is there, whether by name or as the directory itself.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nothing is, [`Error::NotDirectory`] if a slash follows something else
    /// than a directory.
    pub fn existing(self) -> Result<Entry<D, L>, Error> {
        match (self.last, self.entry) {
            (Last::Name(_), None) => Err(Error::NotFound),
            (Last::Name(_), Some(Entry::Leaf(_))) if self.slash => Err(Error::NotDirectory),
            (Last::Name(_), Some(entry)) => Ok(entry),
            _ => self
                .directories
                .last()
                .cloned()
                .map(Entry::Directory)
                .ok_or(Error::NotFound),
        }
    }
}

/// Walks `path` from the root of `tree`.
///
/// # Errors
/// [`Stop::Elsewhere`] with where to go on, or the error of the step that failed. A last name that
/// is missing is no error.
pub fn walk<T: Tree>(
    tree: &T,
    path: &[u8],
    last: Final,
) -> Result<Place<T::Directory, T::Leaf>, Stop> {
    let mut directories = Vec::with_capacity(8);
    directories.push(tree.root());
    walk_from(
        tree,
        Start {
            directories,
            links: 0,
        },
        path,
        last,
    )
}

/// Walks `path` from where another walk has come to; a `..` goes back the way that one came.
///
/// # Errors
/// As [`walk`].
pub fn walk_from<T: Tree>(
    tree: &T,
    start: Start<T::Directory>,
    path: &[u8],
    last: Final,
) -> Result<Place<T::Directory, T::Leaf>, Stop> {
    if path.contains(&0) {
        return Err(Error::BadArgument.into());
    }
    let Start {
        mut directories,
        mut links,
    } = start;
    let mut pending = Cow::Borrowed(path);
    let mut at = 0;
    loop {
        let left = pending.get(at..).unwrap_or_default();
        let Some(step) = Step::first(left) else {
            return Ok(Place {
                directories,
                last: Last::Root,
                entry: None,
                slash: false,
                links,
            });
        };
        let rest_at = at + step.end;
        match step.name {
            b"." => {}
            b".." => {
                if directories.len() < 2 {
                    let rest = pending.get(rest_at..).unwrap_or_default();
                    return Err(elsewhere(rest));
                }
                directories.pop();
            }
            name if name.len() > NAME_MAX => return Err(Error::NameTooLong.into()),
            name => {
                let directory = directories.last().ok_or(Error::BadArgument)?;
                let entry = match tree.lookup(directory, name) {
                    Ok(entry) => Some(entry),
                    Err(Error::NotFound) if step.is_last => None,
                    Err(error) => return Err(error.into()),
                };
                let follow = match last {
                    _ if !step.is_last => true,
                    Final::Follow => true,
                    Final::Stay => step.slash,
                    Final::Name => false,
                    Final::Create => !step.slash,
                };
                if let Some(Entry::Leaf(leaf)) = &entry
                    && follow
                {
                    let mut target = Vec::new();
                    if tree.append_target(leaf, &mut target)? {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(Error::TooManyLinks.into());
                        }
                        target.extend_from_slice(pending.get(rest_at..).unwrap_or_default());
                        if target.first() == Some(&b'/') {
                            return Err(elsewhere(&target));
                        }
                        if target.is_empty() {
                            return Err(Error::NotFound.into());
                        }
                        if target.len() > PENDING_MAX {
                            return Err(Error::NameTooLong.into());
                        }
                        pending = Cow::Owned(target);
                        at = 0;
                        continue;
                    }
                }
                if step.is_last {
                    let last = Last::Name(name.to_vec());
                    return Ok(Place {
                        directories,
                        last,
                        entry,
                        slash: step.slash,
                        links,
                    });
                }
                match entry {
                    Some(Entry::Directory(directory)) => directories.push(directory),
                    _ => return Err(Error::NotDirectory.into()),
                }
            }
        }
        if step.is_last {
            let last = if step.name == b"." {
                Last::Dot
            } else {
                Last::DotDot
            };
            return Ok(Place {
                directories,
                last,
                entry: None,
                slash: step.slash,
                links,
            });
        }
        at = rest_at;
    }
}

/// The first name of what is left to walk.
struct Step<'a> {
    name: &'a [u8],
    /// Where what follows the name starts: at a slash, or the end.
    end: usize,
    /// Nothing but slashes follows.
    is_last: bool,
    /// A slash follows.
    slash: bool,
}

impl<'a> Step<'a> {
    fn first(left: &'a [u8]) -> Option<Self> {
        let start = left.iter().position(|byte| *byte != b'/')?;
        let from = left.get(start..)?;
        let length = from
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(from.len());
        let (name, rest) = from.split_at_checked(length)?;
        Some(Self {
            name,
            end: start + length,
            is_last: rest.iter().all(|byte| *byte == b'/'),
            slash: !rest.is_empty(),
        })
    }
}

/// Where to go on outside the tree, with one slash at the start: two would mean the second path.
fn elsewhere(path: &[u8]) -> Stop {
    let start = path
        .iter()
        .position(|byte| *byte != b'/')
        .unwrap_or(path.len());
    let relative = path.get(start..).unwrap_or_default();
    if relative.len() + 1 > PATH_MAX {
        return Error::NameTooLong.into();
    }
    let mut absolute = Vec::with_capacity(relative.len() + 1);
    absolute.push(b'/');
    absolute.extend_from_slice(relative);
    Stop::Elsewhere(absolute)
}
