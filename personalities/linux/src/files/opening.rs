//! Opening what a path leads to.

use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_interface::file::{Attributes, FileTree, Opened, kind, open as flag};
use kiln_object::Error;
use linux_raw_sys::general::{
    O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_LARGEFILE, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR,
    O_TMPFILE, O_TRUNC, O_WRONLY,
};

use super::description::Description;
use super::object::Object;
use super::path::Joined;
use super::stored::Stored;
use super::walk::{Failed, Place, StoredPlace, Walk};
use super::{Files, server};
use crate::errno::Errno;
use crate::pseudo::{self, Device, Node};

/// Flags that say what happens at `open` and are not remembered.
const AT_OPEN_ONLY: u32 = O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_CLOEXEC;
const O_NOCTTY: u32 = 0o400;
const O_CLOEXEC: u32 = 0o2_000_000;

/// The bit of `O_TMPFILE` that is not `O_DIRECTORY`.
const NAMELESS: u32 = O_TMPFILE & !O_DIRECTORY;

impl Files {
    /// Opens what is at an absolute path, with the flags and the mode of `open`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&self, start: Joined, flags: u32, mode: u32) -> Result<Description, Errno> {
        let wanted = wanted(flags, &start)?;
        let follow = flags & O_NOFOLLOW == 0 && flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL;
        let mut walk = Walk::new(self, start, follow);
        let mode = mode & 0o7777 & !self.mask();
        let opened = walk.run(|place, elsewhere| match place {
            Place::Pseudo(node) => Ok(self.open_node(node, flags)?),
            Place::Stored(place) => open_stored(place, wanted, mode, elsewhere).map(Found::New),
        })?;
        let mut kept = flags & !AT_OPEN_ONLY;
        if flags & O_PATH == 0 {
            // Every file may be large to a 64-bit program.
            kept |= O_LARGEFILE;
        }
        match opened {
            Found::New(object) => {
                // A nameless file is at no path.
                let path = if wanted & flag::NAMELESS != 0 {
                    Vec::new()
                } else {
                    walk.path
                };
                Ok(Description::new(object, kept, path))
            }
            Found::Open(description) => self.open_again(&description, flags, kept),
        }
    }

    fn open_node(&self, node: &Node, flags: u32) -> Result<Found, Errno> {
        if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
            return Err(Errno::EEXIST);
        }
        if flags & O_DIRECTORY != 0 && !node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        match node {
            Node::Descriptor(descriptor) => {
                if flags & O_NOFOLLOW != 0 {
                    return Err(Errno::ELOOP);
                }
                let description = self.description(*descriptor).map_err(|_| Errno::ENOENT)?;
                Ok(Found::Open(description))
            }
            Node::Link(_) => Err(Errno::ELOOP),
            _ if flags & O_PATH != 0 => pseudo::open(self, node, false).map(Found::New),
            node => {
                let write = flags & O_ACCMODE != O_RDONLY;
                pseudo::open(self, node, write).map(Found::New)
            }
        }
    }

    /// Opens what is open already, as a path below `/proc/self/fd` asks.
    fn open_again(&self, old: &Description, flags: u32, kept: u32) -> Result<Description, Errno> {
        let path = old.path();
        if path.starts_with(b"/") && !path.starts_with(b"/proc/self/fd") {
            let again = Joined {
                path: path.to_vec(),
                directory: false,
                climbs: false,
            };
            match self.open(again, flags & !O_CREAT, 0) {
                // The name is gone, the file is not: its object is shared.
                Err(Errno::ENOENT) => {}
                done => return done,
            }
        }
        Ok(Description::new(
            Arc::clone(old.object()),
            kept,
            path.to_vec(),
        ))
    }
}

enum Found {
    New(Arc<dyn Object>),
    Open(Arc<Description>),
}

/// The flags of `open` as servers take them.
fn wanted(flags: u32, start: &Joined) -> Result<u32, Errno> {
    if flags & O_PATH != 0 {
        let mut wanted = flag::PATH;
        for (from, to) in [
            (O_NOFOLLOW, flag::NO_FOLLOW),
            (O_DIRECTORY, flag::DIRECTORY),
        ] {
            if flags & from != 0 {
                wanted |= to;
            }
        }
        return Ok(wanted);
    }
    let mut wanted = match flags & O_ACCMODE {
        O_RDONLY => flag::READ,
        O_WRONLY => flag::WRITE,
        O_RDWR => flag::READ | flag::WRITE,
        _ => return Err(Errno::EINVAL),
    };
    if flags & NAMELESS != 0 {
        if flags & O_DIRECTORY == 0 || wanted & flag::WRITE == 0 {
            return Err(Errno::EINVAL);
        }
        return Ok(wanted | flag::NAMELESS);
    }
    if flags & O_CREAT != 0 {
        if start.directory {
            return Err(Errno::EISDIR);
        }
        wanted |= flag::CREATE;
        if flags & O_EXCL != 0 {
            wanted |= flag::EXCLUSIVE;
        }
    }
    for (from, to) in [
        (O_TRUNC, flag::TRUNCATE),
        (O_NOFOLLOW, flag::NO_FOLLOW),
        (O_DIRECTORY, flag::DIRECTORY),
    ] {
        if flags & from != 0 {
            wanted |= to;
        }
    }
    Ok(wanted)
}

fn open_stored(
    place: &StoredPlace,
    wanted: u32,
    mode: u32,
    elsewhere: &mut [u8],
) -> Result<Arc<dyn Object>, Failed> {
    let owner = server::this_process();
    let tree = place.tree();
    let path = &place.relative;
    let look =
        |elsewhere: &mut [u8]| tree.open(path, wanted & !flag::CHANGING, 0, owner, elsewhere);
    let opened = if wanted & flag::CHANGING == 0 {
        look(elsewhere)?
    } else {
        let changed = if place.mount.read_only {
            Err(Error::ReadOnly)
        } else {
            tree.open_writable(path, wanted, mode, owner, elsewhere)
        };
        match changed {
            // What is there already may be opened to read, even if it would have been made.
            Err(Error::ReadOnly) if wanted & flag::CHANGING == flag::CREATE => look(elsewhere)
                .map_err(|error| match error {
                    Error::NotFound => Failed::Errno(Errno::EROFS),
                    error => error.into(),
                })?,
            // An error that the tree would have had anyway comes before that it cannot be written.
            Err(Error::ReadOnly) if wanted & flag::CREATE == 0 => {
                close(look(elsewhere)?);
                return Err(Failed::Errno(Errno::EROFS));
            }
            changed => changed?,
        }
    };
    Ok(object(opened, wanted)?)
}

fn close(opened: Opened) {
    drop(Stored::new(opened));
}

/// The object for what a server opened: most are the server's, devices are the library's.
fn object(opened: Opened, wanted: u32) -> Result<Arc<dyn Object>, Errno> {
    let stored = Stored::new(opened);
    if wanted & flag::PATH != 0 {
        return Ok(Arc::new(stored));
    }
    match opened.mode & kind::MASK {
        kind::REGULAR | kind::DIRECTORY => Ok(Arc::new(stored)),
        kind::CHARACTER => {
            let Attributes { device, .. } = stored.attributes()?;
            Device::with_number(device).ok_or(Errno::ENXIO)?.open()
        }
        kind::LINK => Err(Errno::ELOOP),
        // A named pipe joins processes, and there is one.
        _ => Err(Errno::ENXIO),
    }
}
