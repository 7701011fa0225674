//! The image as a tree of files: lookups for the walk, attributes for answers.

use alloc::vec::Vec;

use kiln_erofs::{Device, Error as ImageError, Image, Inode, Kind, Timestamp};
use kiln_file_server::{Entry, Tree};
use kiln_interface::file::Attributes;
use kiln_object::Error;

use crate::names::Names;

/// The image, the number of its tree, and where its pages are to be had.
#[derive(Debug)]
pub struct Contents<C> {
    pub image: Image<'static>,
    pub tree: u64,
    pub pages: C,
    pub names: Names,
    /// Where walks start; if it cannot be read, why.
    pub root: Result<Inode, Error>,
}

/// What to answer when the image does not give what was wanted.
pub fn refusal(error: ImageError) -> Error {
    match error {
        ImageError::Corrupt { .. } => Error::Corrupt,
        ImageError::Unsupported { .. } => Error::Unsupported,
        ImageError::NotFound => Error::NotFound,
        ImageError::NotDirectory => Error::NotDirectory,
        ImageError::NotSymlink => Error::BadArgument,
        ImageError::NotFile => Error::IsDirectory,
    }
}

impl<C> Contents<C> {
    /// What is known about `inode`.
    pub fn attributes(&self, inode: &Inode) -> Attributes {
        let Device { major, minor } = inode.rdev;
        let modified = nanoseconds(inode.mtime);
        Attributes {
            mode: u32::from(inode.mode),
            links: inode.nlink,
            user: inode.uid,
            group: inode.gid,
            number: inode.nid.0,
            tree: self.tree,
            device: u64::from(major) << 32 | u64::from(minor),
            length: inode.size,
            storage: inode
                .size
                .checked_next_multiple_of(kiln_erofs::BLOCK_SIZE as u64)
                .unwrap_or(inode.size),
            accessed: modified,
            modified,
            changed: modified,
        }
    }
}

impl<C> Tree for Contents<C> {
    // A root that cannot be read answers each lookup with why.
    type Directory = Result<Inode, Error>;
    type Leaf = Inode;

    fn root(&self) -> Self::Directory {
        self.root
    }

    fn lookup(
        &self,
        directory: &Self::Directory,
        name: &[u8],
    ) -> Result<Entry<Self::Directory, Inode>, Error> {
        let directory = directory.as_ref().map_err(|error| *error)?;
        let inode = self.names.find(directory.nid, name, || {
            let number = self.image.lookup(directory, name)?;
            self.image.inode(number)
        })?;
        Ok(match inode.kind {
            Kind::Directory => Entry::Directory(Ok(inode)),
            _ => Entry::Leaf(inode),
        })
    }

    fn append_target(&self, leaf: &Inode, to: &mut Vec<u8>) -> Result<bool, Error> {
        if leaf.kind != Kind::Symlink {
            return Ok(false);
        }
        to.extend_from_slice(self.image.symlink_target(leaf).map_err(refusal)?);
        Ok(true)
    }
}

fn nanoseconds(time: Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(time.nanoseconds))
}
