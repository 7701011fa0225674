//! The tree's interface: paths in, open files and attributes out.
//!
//! Whatever would change the tree is answered as a read-only file system does under POSIX: errors
//! about the names come first where they do there.

use alloc::sync::Arc;

use kiln_erofs::{BLOCK_SIZE, Image, Inode, Kind};
use kiln_file_server::{Entry, Export, Final, Last, Place, Stop, Which, write_attributes};
use kiln_interface::FourWords;
use kiln_interface::file::{FileDispatch, FileTree, Opened, open};
use kiln_interface::kernel::FileCache;
use kiln_object::{Error, ProcessId, Reference, Rights};

use crate::contents::{Contents, refusal};
use crate::file::OpenFile;
use crate::names::Names;
use crate::recent::Recent;

/// Flags that have a meaning.
const KNOWN: u32 = open::READ | open::NO_FOLLOW | open::DIRECTORY | open::PATH | open::CHANGING;

/// The server of an image's root.
#[derive(Debug)]
pub struct ImageRoot<C> {
    contents: Arc<Contents<C>>,
    recent: Recent,
    export: Export,
}

impl<C: FileCache + Send + Sync + 'static> ImageRoot<C> {
    /// Serves `image`, whose bytes are those of `pages`, as the tree of number `tree`.
    pub fn new(image: Image<'static>, tree: u64, pages: C, export: Export) -> Self {
        Self {
            contents: Arc::new(Contents {
                image,
                tree,
                pages,
                names: Names::new(),
                root: image.inode(image.root()).map_err(refusal),
            }),
            recent: Recent::new(),
            export,
        }
    }

    fn walk(&self, path: &[u8], last: Final) -> Result<Place<Result<Inode, Error>, Inode>, Stop> {
        self.recent.walk(&self.contents, path, last)
    }

    /// What is at `path`.
    fn find(&self, path: &[u8], last: Final) -> Result<Inode, Stop> {
        match self.walk(path, last)?.existing()? {
            Entry::Directory(directory) => Ok(directory?),
            Entry::Leaf(inode) => Ok(inode),
        }
    }

    /// Checks that `path` leads to a place in the tree at all.
    fn reach(&self, path: &[u8], which: Which, elsewhere: &mut [u8]) -> Result<(), Error> {
        match self.walk(path, Final::Name) {
            Ok(_) => Ok(()),
            Err(stop) => Err(stop.answer(which, elsewhere)),
        }
    }

    /// The answer to whoever wants to make something at `path`.
    fn refuse_new(&self, path: &[u8], elsewhere: &mut [u8]) -> Error {
        match self.walk(path, Final::Name) {
            Ok(place) if place.last != Last::DotDot && place.entry.is_none() => match place.last {
                Last::Name(_) => Error::ReadOnly,
                _ => Error::Exists,
            },
            Ok(_) => Error::Exists,
            Err(stop) => stop.answer(Which::First, elsewhere),
        }
    }

    fn open_found(&self, inode: Inode, flags: u32, owner: ProcessId) -> Result<Opened, Error> {
        let is_directory = inode.kind == Kind::Directory;
        if flags & open::DIRECTORY != 0 && !is_directory {
            return Err(Error::NotDirectory);
        }
        if inode.kind == Kind::Symlink && flags & open::PATH == 0 {
            return Err(Error::TooManyLinks);
        }
        let mut rights = Rights::LOOKUP | Rights::GRANT;
        if flags & open::PATH == 0 {
            // Changing attributes is refused for what the tree is, not for lack of a right.
            rights |= Rights::CONTROL;
            if flags & open::READ != 0 {
                rights |= Rights::READ | Rights::MAP;
            }
        }
        let file = OpenFile {
            contents: Arc::clone(&self.contents),
            inode,
        };
        let reference = (self.export)(Arc::new(FileDispatch(file)), owner, rights)?;
        Ok(Opened {
            file: Reference::new(reference),
            mode: u32::from(inode.mode) | Opened::FIXED,
            length: inode.size,
        })
    }

    fn try_open(&self, path: &[u8], flags: u32, owner: ProcessId) -> Result<Opened, Stop> {
        if flags & !KNOWN != 0 {
            return Err(Error::BadArgument.into());
        }
        let creates = flags & open::CREATE != 0;
        let stays = flags & (open::EXCLUSIVE | open::NO_FOLLOW) != 0;
        let last = match flags {
            _ if creates && stays => Final::Name,
            _ if creates => Final::Create,
            _ if flags & open::NO_FOLLOW != 0 => Final::Stay,
            _ => Final::Follow,
        };
        let place = self.walk(path, last)?;
        if creates && matches!(place.last, Last::Name(_)) {
            match &place.entry {
                _ if place.slash => return Err(Error::IsDirectory.into()),
                None => return Err(Error::ReadOnly.into()),
                Some(_) if flags & open::EXCLUSIVE != 0 => return Err(Error::Exists.into()),
                Some(_) => {}
            }
        }
        let inode = match place.existing()? {
            Entry::Directory(directory) => directory?,
            Entry::Leaf(inode) => inode,
        };
        if flags & open::NAMELESS != 0 {
            let is_directory = inode.kind == Kind::Directory;
            let error = if is_directory {
                Error::ReadOnly
            } else {
                Error::NotDirectory
            };
            return Err(error.into());
        }
        match inode.kind {
            Kind::Directory if flags & open::CHANGING != 0 => Err(Error::IsDirectory.into()),
            Kind::File if flags & (open::WRITE | open::TRUNCATE) != 0 => {
                Err(Error::ReadOnly.into())
            }
            _ => Ok(self.open_found(inode, flags, owner)?),
        }
    }
}

impl<C: FileCache + Send + Sync + 'static> FileTree for ImageRoot<C> {
    fn open(
        &self,
        path: &[u8],
        flags: u32,
        _mode: u32,
        owner: ProcessId,
        elsewhere: &mut [u8],
    ) -> Result<Opened, Error> {
        if flags & open::CHANGING != 0 {
            return Err(Error::Denied);
        }
        self.try_open(path, flags, owner)
            .map_err(|stop| stop.answer(Which::First, elsewhere))
    }

    fn open_writable(
        &self,
        path: &[u8],
        flags: u32,
        _mode: u32,
        owner: ProcessId,
        elsewhere: &mut [u8],
    ) -> Result<Opened, Error> {
        self.try_open(path, flags, owner)
            .map_err(|stop| stop.answer(Which::First, elsewhere))
    }

    fn attributes(&self, path: &[u8], follow: bool, answer: &mut [u8]) -> Result<usize, Error> {
        let last = if follow { Final::Follow } else { Final::Stay };
        match self.find(path, last) {
            Ok(inode) => write_attributes(&self.contents.attributes(&inode), answer),
            Err(stop) => Err(stop.answer(Which::First, answer)),
        }
    }

    fn read_link(&self, path: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        let inode = match self.find(path, Final::Stay) {
            Ok(inode) => inode,
            Err(stop) => return Err(stop.answer(Which::First, answer)),
        };
        let target = self
            .contents
            .image
            .symlink_target(&inode)
            .map_err(refusal)?;
        answer
            .get_mut(..target.len())
            .ok_or(Error::TooLarge)?
            .copy_from_slice(target);
        Ok(target.len())
    }

    fn make_directory(&self, path: &[u8], _mode: u32, elsewhere: &mut [u8]) -> Result<(), Error> {
        Err(self.refuse_new(path, elsewhere))
    }

    fn remove(&self, path: &[u8], _directory: bool, elsewhere: &mut [u8]) -> Result<(), Error> {
        self.reach(path, Which::First, elsewhere)?;
        Err(Error::ReadOnly)
    }

    fn rename(
        &self,
        from: &[u8],
        to: &[u8],
        _flags: u32,
        elsewhere: &mut [u8],
    ) -> Result<(), Error> {
        self.reach(from, Which::First, elsewhere)?;
        self.reach(to, Which::Second, elsewhere)?;
        Err(Error::ReadOnly)
    }

    fn link(&self, from: &[u8], to: &[u8], elsewhere: &mut [u8]) -> Result<(), Error> {
        self.find(from, Final::Stay)
            .map_err(|stop| stop.answer(Which::First, elsewhere))?;
        self.reach(to, Which::Second, elsewhere)?;
        Err(self.refuse_new(to, elsewhere))
    }

    fn make_link(&self, _target: &[u8], path: &[u8], elsewhere: &mut [u8]) -> Result<(), Error> {
        Err(self.refuse_new(path, elsewhere))
    }

    fn make_node(
        &self,
        path: &[u8],
        _mode: u32,
        _device: u64,
        elsewhere: &mut [u8],
    ) -> Result<(), Error> {
        Err(self.refuse_new(path, elsewhere))
    }

    fn set_attributes(
        &self,
        path: &[u8],
        _attributes: &[u8],
        _fields: u32,
        follow: bool,
        elsewhere: &mut [u8],
    ) -> Result<(), Error> {
        let last = if follow { Final::Follow } else { Final::Stay };
        self.find(path, last)
            .map_err(|stop| stop.answer(Which::First, elsewhere))?;
        Err(Error::ReadOnly)
    }

    fn statistics(&self) -> Result<FourWords, Error> {
        let blocks = (self.contents.image.length() / BLOCK_SIZE) as u64;
        Ok(((blocks, 0), (self.contents.image.inode_count(), 0)))
    }
}
