//! Servers for tests: real ones, in the test's own thread.
//!
//! The carrier goes through the file servers' own table of objects, which checks owner and rights;
//! the name space and pages are made here.

use std::cell::RefCell;
use std::vec::Vec;

use alloc::sync::Arc;

use kiln_file_server::testing::{self, Near};
use kiln_interface::file::{FileTree, FileTreeDispatch};
use kiln_interface::kernel::FileCache;
use kiln_interface::name_space::{MountEntry, NameSpace as NameSpaceTrait, NameSpaceDispatch};
use kiln_memory_fs::{MemoryServer, MemoryTree};
use kiln_object::call::CALL_WORDS;
use kiln_object::near::Found;
use kiln_object::{
    Binder, Error, ObjectName, ProcessId, RawReference, Reference, Reply, Rights, Transport,
};
use zerocopy::IntoBytes;

use super::server::{NameSpace, Tree, this_process};

/// Calls in the name of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carrier;

impl Transport for Carrier {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        CALLS.with_borrow_mut(|calls| *calls += 1);
        Near(this_process()).call(reference, method, words, input, output)
    }
}

impl Binder for Carrier {
    fn this_process(&self) -> ProcessId {
        this_process()
    }

    fn near(&self, _reference: RawReference) -> Option<Found> {
        None
    }

    fn server(&self, _name: &str) -> Result<RawReference, Error> {
        Err(Error::NotFound)
    }

    fn bind(
        &self,
        bootstrap: RawReference,
        _hash: u64,
        _idempotent: &'static [u16],
    ) -> Result<RawReference, Error> {
        Ok(bootstrap)
    }
}

std::thread_local! {
    static MOUNTS: RefCell<Vec<(Vec<u8>, u32, RawReference)>> = const { RefCell::new(Vec::new()) };
    static PAGES: RefCell<Vec<&'static [u8]>> = const { RefCell::new(Vec::new()) };
    static CALLS: RefCell<usize> = const { RefCell::new(0) };
}

/// Mounts a tree.
pub fn mount(path: &[u8], flags: u32, tree: impl FileTree + Send + Sync + 'static) {
    let object = Arc::new(FileTreeDispatch(tree));
    let reference = testing::export(object, this_process(), Rights::ALL).expect("has room");
    MOUNTS.with_borrow_mut(|mounts| mounts.push((path.to_vec(), flags, reference)));
}

/// Mounts an empty tree that can be written.
pub fn mount_memory(path: &[u8]) {
    let clock = || kiln_runtime::time::wall_clock_ns() as i64;
    let number = MOUNTS.with_borrow(Vec::len) as u64 + 1;
    let tree = MemoryTree::new(None, 64 << 20, clock, number).expect("is empty");
    mount(path, 0, MemoryServer::new(tree, testing::export));
}

/// Puts up pages.
pub fn put_up_pages(bytes: &'static [u8]) -> Reference<dyn FileCache> {
    let place = PAGES.with_borrow_mut(|pages| {
        pages.push(bytes);
        pages.len() - 1
    });
    Reference::new(RawReference {
        process: ProcessId::KERNEL,
        object: ObjectName::new(place as u32, 1),
    })
}

/// The bytes behind pages that were put up.
pub fn pages(cache: Reference<dyn FileCache>) -> &'static [u8] {
    PAGES.with_borrow(|pages| {
        let place = cache.raw().object.slot() as usize;
        pages.get(place).copied().unwrap_or_default()
    })
}

/// Gives an object back.
pub fn release<I: ?Sized>(reference: Reference<I>) {
    if reference.raw().process != ProcessId::KERNEL {
        testing::release(reference.raw());
    }
}

/// Calls made since the thread started.
pub fn calls() -> usize {
    CALLS.with_borrow(|calls| *calls)
}

struct Table;

impl NameSpaceTrait for Table {
    fn version(&self) -> Result<u64, Error> {
        Ok(1)
    }

    fn mounts(&self, answer: &mut [u8]) -> Result<(u64, u64), Error> {
        let mut bytes = Vec::new();
        let mounts = MOUNTS.with_borrow(Vec::clone);
        for (path, flags, reference) in mounts {
            let head = MountEntry {
                server: reference,
                flags,
                path_bytes: path.len() as u32,
            };
            bytes.extend(head.as_bytes());
            bytes.extend(&path);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        answer[..bytes.len()].copy_from_slice(&bytes);
        Ok((bytes.len() as u64, 1))
    }

    fn mount(&self, _path: &[u8], _server: RawReference, _flags: u32) -> Result<(), Error> {
        Err(Error::Denied)
    }

    fn unmount(&self, _path: &[u8]) -> Result<(), Error> {
        Err(Error::Denied)
    }
}

/// The name space of the test.
pub fn bind_name_space() -> Result<NameSpace, Error> {
    let object = Arc::new(NameSpaceDispatch(Table));
    let reference = testing::export(object, this_process(), Rights::ALL)?;
    Ok(NameSpace::new(Reference::new(reference), Carrier))
}

/// The tree of `server`, which needs no binding here.
pub fn bind_tree(server: RawReference) -> Result<Tree, Error> {
    Ok(Tree::new(Reference::new(server), Carrier))
}
