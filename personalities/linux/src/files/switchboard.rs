//! Servers for tests: a carrier that finds them in the test's own thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::vec::Vec;

use alloc::sync::Arc;

use kiln_interface::file::{File, FileDispatch, FileTree, FileTreeDispatch};
use kiln_interface::kernel::FileCache;
use kiln_interface::name_space::{MountEntry, NameSpace as NameSpaceTrait, NameSpaceDispatch};
use kiln_object::call::CALL_WORDS;
use kiln_object::{
    Caller, Dispatch, Error, Loopback, ObjectName, ProcessId, RawReference, Reference, Reply,
    Rights, Transport,
};
use zerocopy::IntoBytes;

use super::server::{NameSpace, Tree};

/// Calls the objects that this thread has put up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carrier;

#[derive(Default)]
struct Objects {
    dispatches: BTreeMap<RawReference, Arc<dyn Dispatch>>,
    pages: BTreeMap<RawReference, &'static [u8]>,
    mounts: Vec<(Vec<u8>, u32, RawReference)>,
    next: u32,
    calls: usize,
}

std::thread_local! {
    static OBJECTS: RefCell<Objects> = RefCell::default();
}

impl Transport for Carrier {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        let dispatch = OBJECTS.with_borrow_mut(|objects| {
            objects.calls += 1;
            objects.dispatches.get(&reference).cloned()
        });
        let dispatch = dispatch.ok_or(Error::BadReference)?;
        let loopback = Loopback {
            dispatch: &*dispatch,
            caller: Caller(kiln_runtime::startup().process),
            rights: Rights::ALL,
        };
        loopback.call(reference, method, words, input, output)
    }
}

fn fresh() -> RawReference {
    OBJECTS.with_borrow_mut(|objects| {
        objects.next += 1;
        RawReference {
            process: ProcessId::new(objects.next, 1),
            object: ObjectName::BOOTSTRAP,
        }
    })
}

fn put_up(dispatch: Arc<dyn Dispatch>) -> RawReference {
    let reference = fresh();
    OBJECTS.with_borrow_mut(|objects| objects.dispatches.insert(reference, dispatch));
    reference
}

/// Mounts a tree.
pub fn mount(path: &[u8], flags: u32, tree: impl FileTree + Send + Sync + 'static) {
    let reference = put_up(Arc::new(FileTreeDispatch(tree)));
    OBJECTS.with_borrow_mut(|objects| objects.mounts.push((path.to_vec(), flags, reference)));
}

/// Puts up a file of a tree.
pub fn put_up_file(file: impl File + Send + Sync + 'static) -> Reference<dyn File> {
    Reference::new(put_up(Arc::new(FileDispatch(file))))
}

/// Puts up pages.
pub fn put_up_pages(bytes: &'static [u8]) -> Reference<dyn FileCache> {
    let reference = fresh();
    OBJECTS.with_borrow_mut(|objects| objects.pages.insert(reference, bytes));
    Reference::new(reference)
}

/// The bytes behind pages that were put up.
pub fn pages(cache: Reference<dyn FileCache>) -> &'static [u8] {
    OBJECTS.with_borrow(|objects| objects.pages.get(&cache.raw()).copied().unwrap_or_default())
}

/// Forgets an object.
pub fn release<I: ?Sized>(reference: Reference<I>) {
    // Tests may end while objects are open: the thread's objects may be gone by then.
    let _ = OBJECTS.try_with(|objects| {
        let removed = objects.borrow_mut().dispatches.remove(&reference.raw());
        drop(removed);
    });
}

/// Files and trees that are put up now.
pub fn open_objects() -> usize {
    OBJECTS.with_borrow(|objects| objects.dispatches.len())
}

/// Calls made since the thread started.
pub fn calls() -> usize {
    OBJECTS.with_borrow(|objects| objects.calls)
}

struct Table;

impl NameSpaceTrait for Table {
    fn version(&self) -> Result<u64, Error> {
        Ok(1)
    }

    fn mounts(&self, answer: &mut [u8]) -> Result<(u64, u64), Error> {
        let mut bytes = Vec::new();
        let mounts = OBJECTS.with_borrow(|objects| objects.mounts.clone());
        for (path, flags, reference) in mounts {
            let head = MountEntry {
                process: reference.process,
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

    fn mount(&self, _path: &[u8], _process: ProcessId, _flags: u32) -> Result<(), Error> {
        Err(Error::Denied)
    }

    fn unmount(&self, _path: &[u8]) -> Result<(), Error> {
        Err(Error::Denied)
    }
}

/// The name space of the test.
pub fn bind_name_space() -> Result<NameSpace, Error> {
    let reference = put_up(Arc::new(NameSpaceDispatch(Table)));
    Ok(NameSpace::new(Reference::new(reference), Carrier))
}

/// The tree that `process` serves.
pub fn bind_tree(process: ProcessId) -> Result<Tree, Error> {
    let reference = RawReference {
        process,
        object: ObjectName::BOOTSTRAP,
    };
    Ok(Tree::new(Reference::new(reference), Carrier))
}
