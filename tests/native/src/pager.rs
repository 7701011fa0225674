//! A server of files whose pages come slowly, or not at all.
//!
//! All bytes of a page are the file's key plus the page's number. Of pages with a number that is 7
//! modulo 8 the pager says that they do not come; those that are 6 modulo 8 it forgets.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use kiln_interface::kernel::{
    AddressSpace as _, FileCache, PagedFile, PagedFileStub, Pager, PagerDispatch,
};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{Caller, Error, ProcessId, RawReference, Reference, Rights};
use kiln_runtime::thread::{self, Channel, Priority};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, SpinMutex, address_space, objects};

struct File {
    key: u64,
    cache: Reference<dyn PagedFile>,
    delay: u64,
}

static FILES: SpinMutex<Vec<File>> = SpinMutex::new(Vec::new());
static FILLS: AtomicU64 = AtomicU64::new(0);
static ASKED: Channel<(u64, u64)> = Channel::new(64);
static OBJECT: SpinMutex<Option<RawReference>> = SpinMutex::new(None);

struct Filler;

impl Pager for Filler {
    fn fill(&self, key: u64, offset: u64) -> Result<(), Error> {
        FILLS.fetch_add(1, SeqCst);
        ASKED.try_send((key, offset)).map_err(|_| Error::Busy)
    }
}

/// Starts the threads that bring pages.
pub fn start() {
    let object = objects::export(
        Arc::new(PagerDispatch(Filler)),
        ProcessId::KERNEL,
        Rights::CONTROL,
    );
    *OBJECT.lock() = object.ok();
    for _ in 0..2 {
        let _ = thread::spawn(Priority::Normal, || {
            while let Ok((key, offset)) = ASKED.receive() {
                let _ = bring(key, offset);
            }
        });
    }
}

/// What every byte of that page is.
pub fn content(key: u64, number: u64) -> u8 {
    (key + number) as u8
}

fn bring(key: u64, offset: u64) -> Result<(), Error> {
    let number = offset / PAGE_BYTES;
    let delay = {
        let files = FILES.lock();
        let file = files.iter().find(|file| file.key == key);
        file.ok_or(Error::NotFound)?.delay
    };
    thread::sleep_until(monotonic_ns() + delay);
    match number % 8 {
        6 => Ok(()),
        7 => with(key, |file| file.fail(offset)),
        _ => with(key, |file| {
            file.supply(offset, &[content(key, number); PAGE_BYTES as usize])
        }),
    }
}

/// A file with its key, for `caller`.
pub fn file(
    pages: u64,
    delay: u64,
    caller: Caller,
) -> Result<(Reference<dyn FileCache>, u64), Error> {
    let object = OBJECT.lock().ok_or(Error::NotFound)?.object;
    let mut files = FILES.lock();
    let key = files.len() as u64 + 1;
    let cache = address_space().create_file(pages * PAGE_BYTES, object.raw(), key)?;
    files.push(File { key, cache, delay });
    let rights = Rights::READ | Rights::WRITE | Rights::MAP;
    let shared = PagedFileStub::new(cache, Far).share(caller.0, rights.bits())?;
    Ok((shared, key))
}

/// How often pages were asked for.
pub fn fills() -> u64 {
    FILLS.load(SeqCst)
}

/// Does something with the file of that key.
pub fn with<R>(
    key: u64,
    action: impl FnOnce(&PagedFileStub<Far>) -> Result<R, Error>,
) -> Result<R, Error> {
    let cache = {
        let files = FILES.lock();
        let file = files.iter().find(|file| file.key == key);
        file.ok_or(Error::NotFound)?.cache
    };
    action(&PagedFileStub::new(cache, Far))
}
