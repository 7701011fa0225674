//! What the tests share: a tree in memory, alone or over an image, and calls as a client makes them.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kiln_erofs::Image;
use kiln_erofs::write::{Builder, Tree};
use kiln_file_server::testing::{self, Listed, Near, parse_listing};
use kiln_image_root::ImageRoot;
use kiln_interface::file::{
    Attributes, File, FileStub, FileTree, FileTreeDispatch, FileTreeStub, Opened, open,
};
use kiln_interface::kernel::FileCache;
use kiln_memory_fs::{Lower, LowerServer, MemoryServer, MemoryTree};
use kiln_object::{Error, Object, ProcessId, Reference, Rights};
use zerocopy::FromBytes;

/// The process whose calls the tests make.
pub const CLIENT: ProcessId = ProcessId::new(3, 1);
/// The process that the tree lies in.
pub const MEMORY: ProcessId = ProcessId::new(8, 1);

static TIME: AtomicI64 = AtomicI64::new(1_800_000_000_000_000_000);

/// A clock that never shows the same time twice.
pub fn clock() -> i64 {
    TIME.fetch_add(1, Ordering::Relaxed)
}

/// There are no pages to share here.
struct NoPages;

impl FileCache for NoPages {
    fn length(&self) -> Result<u64, Error> {
        Err(Error::Unsupported)
    }

    fn share_range(
        &self,
        _offset: u64,
        _length: u64,
        _owner: ProcessId,
    ) -> Result<Reference<dyn FileCache>, Error> {
        Err(Error::Unsupported)
    }
}

/// A client of a tree.
pub struct Client {
    pub tree: FileTreeStub<Near>,
}

/// A server of the image of `tree`, for the memory tree to lie over.
pub fn lower(tree: &Tree) -> Box<dyn Lower> {
    let bytes = Builder::new(tree).to_bytes().unwrap().leak();
    let server = ImageRoot::new(Image::new(bytes).unwrap(), 99, NoPages, testing::export);
    let rights = Rights::LOOKUP | Rights::DELEGATE;
    let object = Arc::new(FileTreeDispatch(server));
    let reference = testing::export(object, MEMORY, rights).unwrap();
    Box::new(LowerServer::new(
        Object::new(Reference::new(reference), Near(MEMORY)),
        Near(MEMORY),
        MEMORY,
    ))
}

impl Client {
    /// Of a tree that holds at most `limit` bytes.
    pub fn new(lower: Option<Box<dyn Lower>>, limit: u64) -> Self {
        let tree = MemoryTree::new(lower, limit, clock, 42).unwrap();
        let object = Arc::new(FileTreeDispatch(MemoryServer::new(tree, testing::export)));
        let rights = Rights::LOOKUP | Rights::WRITE;
        let reference = testing::export(object, CLIENT, rights).unwrap();
        Self {
            tree: FileTreeStub::new(Reference::new(reference), Near(CLIENT)),
        }
    }

    /// Of an empty tree.
    pub fn empty() -> Self {
        Self::new(None, 1 << 30)
    }

    /// Of a tree over the image of `tree`.
    pub fn over(tree: &Tree) -> Self {
        Self::new(Some(lower(tree)), 1 << 30)
    }

    pub fn try_open(&self, path: &str, flags: u32) -> Result<Opened, Error> {
        let path = path.as_bytes();
        let room = &mut [0; 4096];
        if flags & open::CHANGING == 0 {
            self.tree.open(path, flags, 0, CLIENT, room)
        } else {
            self.tree.open_writable(path, flags, 0o644, CLIENT, room)
        }
    }

    pub fn open(&self, path: &str, flags: u32) -> Result<FileStub<Near>, Error> {
        Ok(FileStub::new(
            self.try_open(path, flags)?.file,
            Near(CLIENT),
        ))
    }

    pub fn attributes(&self, path: &str, follow: bool) -> Result<Attributes, Error> {
        let mut bytes = [0; 4096];
        let length = self.tree.attributes(path.as_bytes(), follow, &mut bytes)?;
        Ok(Attributes::read_from_bytes(&bytes[..length]).unwrap())
    }

    pub fn read_link(&self, path: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; 4096];
        let length = self.tree.read_link(path.as_bytes(), &mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    pub fn put(&self, path: &str, contents: &[u8]) -> Result<(), Error> {
        let file = self.open(path, open::WRITE | open::CREATE | open::TRUNCATE)?;
        let written = file.write(0, contents).map(drop);
        testing::release(file.reference().raw());
        written
    }

    pub fn contents(&self, path: &str) -> Result<Vec<u8>, Error> {
        let file = self.open(path, open::READ)?;
        let contents = read_all(&file);
        testing::release(file.reference().raw());
        contents
    }

    pub fn list(&self, path: &str) -> Result<Vec<Listed>, Error> {
        let directory = self.open(path, open::READ | open::DIRECTORY)?;
        let entries = list(&directory, 4096);
        testing::release(directory.reference().raw());
        entries
    }

    pub fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<_> = self
            .list(path)
            .unwrap()
            .into_iter()
            .map(|entry| String::from_utf8(entry.name).unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn make_directory(&self, path: &str) -> Result<(), Error> {
        self.tree
            .make_directory(path.as_bytes(), 0o755, &mut [0; 4096])
    }

    pub fn remove(&self, path: &str, directory: bool) -> Result<(), Error> {
        self.tree.remove(path.as_bytes(), directory, &mut [0; 4096])
    }

    pub fn rename(&self, from: &str, to: &str, flags: u32) -> Result<(), Error> {
        self.tree
            .rename(from.as_bytes(), to.as_bytes(), flags, &mut [0; 4096])
    }

    pub fn link(&self, from: &str, to: &str) -> Result<(), Error> {
        self.tree
            .link(from.as_bytes(), to.as_bytes(), &mut [0; 4096])
    }

    pub fn make_link(&self, target: &str, path: &str) -> Result<(), Error> {
        self.tree
            .make_link(target.as_bytes(), path.as_bytes(), &mut [0; 4096])
    }
}

pub fn read_all(file: &FileStub<Near>) -> Result<Vec<u8>, Error> {
    let mut contents = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match file.read(contents.len() as u64, &mut buffer)? {
            0 => return Ok(contents),
            length => contents.extend_from_slice(&buffer[..length]),
        }
    }
}

pub fn list(directory: &FileStub<Near>, room: usize) -> Result<Vec<Listed>, Error> {
    let mut entries: Vec<Listed> = Vec::new();
    let mut buffer = vec![0; room];
    loop {
        let cookie = entries.last().map_or(0, |entry| entry.cookie);
        match directory.read_directory(cookie, &mut buffer)? {
            0 => return Ok(entries),
            length => entries.extend(parse_listing(&buffer[..length])),
        }
    }
}
