//! Opening: finding, making, emptying, copying up.

use alloc::sync::Arc;

use kiln_file_server::{Entry, Final, Last, Stop};
use kiln_interface::file::{kind, open};
use kiln_object::Error;

use crate::directory::Named;
use crate::lower::LowerFile;
use crate::node::{Body, Node};
use crate::tree::{Leaf, MemoryTree};

/// Flags that have a meaning.
const KNOWN: u32 = open::READ | open::NO_FOLLOW | open::DIRECTORY | open::PATH | open::CHANGING;

/// How often an open starts anew because others changed what it found.
const ATTEMPTS: usize = 8;

/// What was opened.
#[derive(Debug)]
pub enum Opening {
    /// Something kept here.
    Here(Arc<Node>),
    /// Something that is to be opened at the lower tree.
    Lower(Arc<LowerFile>),
}

/// What a look at the path gave.
enum Look {
    Done(Opening),
    CopyUp,
}

impl MemoryTree {
    pub(crate) fn open(&self, path: &[u8], flags: u32, mode: u32) -> Result<Opening, Stop> {
        if flags & !KNOWN != 0 {
            return Err(Error::BadArgument.into());
        }
        if flags & open::NAMELESS != 0 {
            return match self.find(path, Final::Follow)? {
                Entry::Directory(_) => Ok(Opening::Here(self.new_file(mode, 0)?)),
                Entry::Leaf(_) => Err(Error::NotDirectory.into()),
            };
        }
        let creates = flags & open::CREATE != 0;
        let stays = flags & (open::EXCLUSIVE | open::NO_FOLLOW) != 0;
        let last = match flags {
            _ if creates && stays => Final::Name,
            _ if creates => Final::Create,
            _ if flags & open::NO_FOLLOW != 0 => Final::Stay,
            _ => Final::Follow,
        };
        for _ in 0..ATTEMPTS {
            let look = if creates {
                let _structure = self.structure.write();
                self.look(path, last, flags, mode)?
            } else {
                let _structure = self.structure.read();
                self.look(path, last, flags, mode)?
            };
            match look {
                Look::Done(Opening::Here(node)) => {
                    if flags & open::TRUNCATE != 0
                        && let Body::Regular(pages) = &node.body
                    {
                        pages.lock().set_length(0)?;
                        node.metadata.lock().touch(self.now());
                    }
                    return Ok(Opening::Here(node));
                }
                Look::Done(opening) => return Ok(opening),
                Look::CopyUp => self.copy_up(path, last, flags & open::TRUNCATE == 0)?,
            };
        }
        Err(Error::Busy.into())
    }

    /// One look, with `structure` held: for writing if the flags have `CREATE`.
    fn look(&self, path: &[u8], last: Final, flags: u32, mode: u32) -> Result<Look, Stop> {
        let place = self.walk(path, last)?;
        if flags & open::CREATE != 0 {
            match (&place.last, &place.entry) {
                (Last::Name(_), _) if place.slash => return Err(Error::IsDirectory.into()),
                (Last::Name(name), None) => {
                    let node = self.new_file(mode, 1)?;
                    self.insert(place.parent()?, name, Named::Node(Arc::clone(&node)))?;
                    return Ok(Look::Done(Opening::Here(node)));
                }
                _ if flags & open::EXCLUSIVE != 0 => return Err(Error::Exists.into()),
                _ => {}
            }
        }
        let leaf = match place.existing()? {
            Entry::Directory(_) if flags & (open::WRITE | open::CREATE | open::TRUNCATE) != 0 => {
                return Err(Error::IsDirectory.into());
            }
            Entry::Directory(node) => return Ok(Look::Done(Opening::Here(node))),
            Entry::Leaf(leaf) => leaf,
        };
        if flags & open::DIRECTORY != 0 {
            return Err(Error::NotDirectory.into());
        }
        if leaf.is_link() && flags & open::PATH == 0 {
            return Err(Error::TooManyLinks.into());
        }
        Ok(match leaf {
            Leaf::Node(node) => Look::Done(Opening::Here(node)),
            Leaf::Lower(file) => {
                let is_regular = file.attributes.mode & kind::MASK == kind::REGULAR;
                if is_regular && flags & (open::WRITE | open::TRUNCATE) != 0 {
                    Look::CopyUp
                } else {
                    Look::Done(Opening::Lower(file))
                }
            }
        })
    }
}
