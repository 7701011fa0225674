//! An open file or directory that is kept here.

use alloc::sync::Arc;

use kiln_file_server::{take_attributes, write_attributes};
use kiln_interface::file::{File, change};
use kiln_interface::kernel::FileCache;
use kiln_object::{Caller, Error, Reference, Rights};

use crate::node::{Body, Node};
use crate::tree::MemoryTree;

/// `offset` of a write that means the end of the file.
const AT_END: u64 = u64::MAX;

/// What a reference to a file kept here stands for.
pub struct OpenFile {
    pub tree: Arc<MemoryTree>,
    pub node: Arc<Node>,
    /// Whether it was opened to be written.
    pub writable: bool,
}

impl File for OpenFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        Ok(self.node.pages()?.lock().read(offset, bytes))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(u64, u64), Error> {
        let (written, end) = {
            let mut pages = self.node.pages()?.lock();
            let offset = if offset == AT_END {
                pages.length()
            } else {
                offset
            };
            let mut written = pages.write(offset, bytes);
            if written == Err(Error::NoSpace) {
                self.tree.forget_unmapped();
                written = pages.write(offset, bytes);
            }
            let written = written? as u64;
            (written, offset.saturating_add(written))
        };
        if written > 0 {
            self.node.metadata.lock().touch(self.tree.now());
        }
        Ok((written, end))
    }

    fn attributes(&self, answer: &mut [u8]) -> Result<usize, Error> {
        write_attributes(&self.node.attributes(self.tree.number()), answer)
    }

    fn set_attributes(&self, attributes: &[u8], fields: u32) -> Result<(), Error> {
        if fields & change::LENGTH != 0 && !self.writable {
            return Err(Error::Denied);
        }
        self.node
            .set_attributes(&take_attributes(attributes)?, fields, self.tree.now())
    }

    fn pages(&self, caller: Caller) -> Result<(Reference<dyn FileCache>, u64), Error> {
        let mut rights = Rights::READ | Rights::MAP;
        if self.writable {
            rights |= Rights::WRITE;
        }
        self.tree.share(&self.node, caller.0, rights)
    }

    fn read_directory(&self, cookie: u64, answer: &mut [u8]) -> Result<usize, Error> {
        match self.node.body {
            Body::Directory(_) => self.tree.list(&self.node, cookie, answer),
            _ => Err(Error::NotDirectory),
        }
    }

    fn synchronise(&self) -> Result<(), Error> {
        Ok(())
    }
}
