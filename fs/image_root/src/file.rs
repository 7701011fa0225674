//! An open file or directory of the image.

use alloc::sync::Arc;

use kiln_erofs::{Inode, Kind};
use kiln_file_server::{Listing, write_attributes};
use kiln_interface::file::File;
use kiln_interface::kernel::FileCache;
use kiln_object::{Caller, Error, Reference};

use crate::contents::{Contents, refusal};

/// What a reference to a file of the image stands for.
#[derive(Debug)]
pub struct OpenFile<C> {
    pub contents: Arc<Contents<C>>,
    pub inode: Inode,
}

impl<C: FileCache> File for OpenFile<C> {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        match self.inode.kind {
            Kind::File | Kind::Directory => {}
            _ => return Err(Error::Unsupported),
        }
        self.contents
            .image
            .read_at(&self.inode, offset, bytes)
            .map_err(refusal)
    }

    fn write(&self, _offset: u64, _bytes: &[u8]) -> Result<(u64, u64), Error> {
        Err(Error::ReadOnly)
    }

    fn attributes(&self, answer: &mut [u8]) -> Result<usize, Error> {
        write_attributes(&self.contents.attributes(&self.inode), answer)
    }

    fn set_attributes(&self, _attributes: &[u8], _fields: u32) -> Result<(), Error> {
        Err(Error::ReadOnly)
    }

    fn pages(&self, caller: Caller) -> Result<(Reference<dyn FileCache>, u64), Error> {
        if self.inode.kind != Kind::File {
            return Err(Error::Unsupported);
        }
        let extent = self
            .contents
            .image
            .data_extent(&self.inode)
            .map_err(refusal)?;
        // An empty file has no page to share.
        let extent = extent
            .filter(|extent| extent.length > 0)
            .ok_or(Error::Unsupported)?;
        let pages = self
            .contents
            .pages
            .share_range(extent.offset, extent.length, caller.0)?;
        Ok((pages, extent.length))
    }

    fn read_directory(&self, cookie: u64, answer: &mut [u8]) -> Result<usize, Error> {
        let entries = self
            .contents
            .image
            .read_directory(&self.inode, cookie)
            .map_err(refusal)?;
        let mut listing = Listing::new(answer);
        for entry in entries {
            let entry = entry.map_err(refusal)?;
            if matches!(entry.name, b"." | b"..") {
                continue;
            }
            let kind = u32::from(entry.kind.mode_bits());
            if !listing.push(entry.nid.0, entry.next, kind, entry.name) {
                break;
            }
        }
        listing.finish()
    }

    fn synchronise(&self) -> Result<(), Error> {
        Ok(())
    }
}
