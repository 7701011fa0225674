//! Files that are mapped, against a kernel that keeps pages in a list: what is stored in them and what is
//! written are the same.

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use kiln_file_server::testing::{self, Near};
use kiln_interface::file::{
    Attributes, File, FileStub, FileTree, FileTreeDispatch, FileTreeStub, change, open,
};
use kiln_interface::kernel::{FileCache, PagedFile, Pager};
use kiln_memory_fs::{Kept, MemoryPager, MemoryServer, MemoryTree};
use kiln_object::{Caller, Error, ProcessId, RawReference, Reference, Rights};
use proptest::prelude::*;
use support::{CLIENT, clock};
use zerocopy::IntoBytes;

const PAGE: u64 = 4096;

/// A file as the kernel has it.
#[derive(Default)]
struct State {
    length: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    failed: Option<u64>,
    users: u64,
    dropped: bool,
    rights: Vec<u32>,
}

type Shared = Arc<Mutex<State>>;

std::thread_local! {
    static FILES: RefCell<BTreeMap<u64, Shared>> = const { RefCell::new(BTreeMap::new()) };
}

struct Fake(Shared);

impl Drop for Fake {
    fn drop(&mut self) {
        self.0.lock().unwrap().dropped = true;
    }
}

fn keep(length: u64, key: u64) -> Result<Kept, Error> {
    let state = Shared::default();
    state.lock().unwrap().length = length;
    FILES.with_borrow_mut(|files| files.insert(key, Arc::clone(&state)));
    Ok(Box::new(Fake(state)))
}

impl State {
    fn pieces(
        &mut self,
        offset: u64,
        bytes: usize,
        mut each: impl FnMut(&mut u8, usize),
    ) -> Result<usize, Error> {
        let left = self.length.saturating_sub(offset).min(bytes as u64);
        for done in 0..left {
            let at = offset + done;
            match self.pages.get_mut(&(at / PAGE)) {
                Some(page) => each(&mut page[(at % PAGE) as usize], done as usize),
                None if done == 0 => return Err(Error::NotFound),
                None => return Ok(done as usize),
            }
        }
        Ok(left as usize)
    }
}

impl PagedFile for Fake {
    fn share(&self, _owner: ProcessId, rights: u32) -> Result<Reference<dyn FileCache>, Error> {
        let mut state = self.0.lock().unwrap();
        state.users += 1;
        state.rights.push(rights);
        Ok(Reference::new(RawReference::NONE))
    }

    fn supply(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap();
        if !offset.is_multiple_of(PAGE) || offset >= state.length || bytes.is_empty() {
            return Err(Error::BadArgument);
        }
        let mut page = bytes.to_vec();
        page.resize(PAGE as usize, 0);
        match state.pages.insert(offset / PAGE, page) {
            None => Ok(()),
            Some(_) => panic!("a page is brought twice"),
        }
    }

    fn fail(&self, offset: u64) -> Result<(), Error> {
        self.0.lock().unwrap().failed = Some(offset);
        Ok(())
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let length = bytes.len();
        let mut state = self.0.lock().unwrap();
        state.pieces(offset, length, |byte, at| bytes[at] = *byte)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        let mut state = self.0.lock().unwrap();
        state.pieces(offset, bytes.len(), |byte, at| *byte = bytes[at])
    }

    fn set_length(&self, length: u64) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap();
        let end = length.min(state.length);
        if let Some(page) = state.pages.get_mut(&(end / PAGE)) {
            page[(end % PAGE) as usize..].fill(0);
        }
        state.length = length;
        state.pages.split_off(&length.div_ceil(PAGE));
        Ok(())
    }

    fn users(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().users)
    }
}

struct Client {
    tree: FileTreeStub<Near>,
    pager: Rc<MemoryPager>,
}

/// A file that is open, and the kernel's file for it.
struct Mapped {
    file: FileStub<Near>,
    key: u64,
    state: Shared,
    pager: Rc<MemoryPager>,
}

impl Client {
    fn new(limit: u64) -> Self {
        FILES.with_borrow_mut(BTreeMap::clear);
        let tree = MemoryTree::new(None, limit, clock, 42).unwrap();
        let server = MemoryServer::new(tree.with_mapping(keep), testing::export);
        let pager = Rc::new(server.pager());
        let object = Arc::new(FileTreeDispatch(server));
        let rights = Rights::LOOKUP | Rights::WRITE;
        let reference = testing::export(object, CLIENT, rights).unwrap();
        Self {
            tree: FileTreeStub::new(Reference::new(reference), Near(CLIENT)),
            pager,
        }
    }

    fn open(&self, path: &str, flags: u32) -> FileStub<Near> {
        let flags = flags | open::CREATE;
        let opened = self
            .tree
            .open_writable(path.as_bytes(), flags, 0o644, CLIENT, &mut [0; 64])
            .unwrap();
        FileStub::new(opened.file, Near(CLIENT))
    }

    fn map(&self, path: &str) -> Mapped {
        let file = self.open(path, open::READ | open::WRITE);
        file.pages(Caller(CLIENT)).unwrap();
        let (key, state) = FILES.with_borrow(|files| {
            let (key, state) = files.last_key_value().unwrap();
            (*key, Arc::clone(state))
        });
        Mapped {
            file,
            key,
            state,
            pager: Rc::clone(&self.pager),
        }
    }
}

impl Mapped {
    /// Touches a page as whoever maps it does; answers whether it is there.
    fn touch(&self, number: u64) -> bool {
        let absent = {
            let state = self.state.lock().unwrap();
            if number * PAGE >= state.length {
                return false;
            }
            !state.pages.contains_key(&number)
        };
        if absent {
            let _ = self.pager.fill(self.key, number * PAGE);
        }
        self.state.lock().unwrap().pages.contains_key(&number)
    }

    fn set_length(&self, length: u64) {
        let attributes = Attributes {
            length,
            ..Attributes::default()
        };
        self.file
            .set_attributes(attributes.as_bytes(), change::LENGTH)
            .unwrap();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLength(u64),
    Store(u64, u8),
    Read(u64, usize),
}

const LONGEST: u64 = 12 * PAGE;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..LONGEST, prop::collection::vec(any::<u8>(), 1..3000))
            .prop_map(|(at, bytes)| Step::Write(at, bytes)),
        (0..LONGEST).prop_map(Step::SetLength),
        (0..LONGEST, any::<u8>()).prop_map(|(at, value)| Step::Store(at, value)),
        (0..LONGEST, 1usize..4096).prop_map(|(at, length)| Step::Read(at, length)),
    ]
}

proptest! {
    #[test]
    fn what_is_stored_and_what_is_written_are_the_same(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let client = Client::new(1 << 30);
        let mapped = client.map("file");
        let mut model = Vec::<u8>::new();
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    let end = at as usize + bytes.len();
                    prop_assert_eq!(
                        mapped.file.write(at, &bytes),
                        Ok((bytes.len() as u64, end as u64))
                    );
                    model.resize(model.len().max(end), 0);
                    model[at as usize..end].copy_from_slice(&bytes);
                }
                Step::SetLength(length) => {
                    mapped.set_length(length);
                    model.resize(length as usize, 0);
                }
                Step::Store(at, value) => {
                    let inside = at < model.len() as u64;
                    let page = at / PAGE;
                    let there = page < (model.len() as u64).div_ceil(PAGE);
                    prop_assert_eq!(mapped.touch(page), there);
                    if there {
                        // Behind the end it is nobody's business.
                        let mut state = mapped.state.lock().unwrap();
                        state.pages.get_mut(&page).unwrap()[(at % PAGE) as usize] = value;
                    }
                    if inside {
                        model[at as usize] = value;
                    }
                }
                Step::Read(at, length) => {
                    let mut bytes = vec![0xee; length];
                    let count = mapped.file.read(at, &mut bytes).unwrap();
                    let start = (at as usize).min(model.len());
                    let expected = &model[start..(start + length).min(model.len())];
                    prop_assert_eq!(&bytes[..count], expected);
                }
            }
            prop_assert_eq!(mapped.state.lock().unwrap().length, model.len() as u64);
        }
        for page in 0..(model.len() as u64).div_ceil(PAGE) {
            prop_assert!(mapped.touch(page));
            let start = (page * PAGE) as usize;
            let end = (start + PAGE as usize).min(model.len());
            let state = mapped.state.lock().unwrap();
            prop_assert_eq!(&state.pages[&page][..end - start], &model[start..end]);
        }
    }
}

#[test]
fn pages_that_follow_come_along_and_holes_do_not() {
    let client = Client::new(1 << 30);
    let mapped = client.map("file");
    for page in [0, 1, 2, 4] {
        mapped.file.write(page * PAGE, &[page as u8; 4096]).unwrap();
    }
    assert!(mapped.touch(0));
    let there: Vec<u64> = mapped.state.lock().unwrap().pages.keys().copied().collect();
    assert_eq!(there, [0, 1, 2]);
    assert!(mapped.touch(3));
    assert_eq!(mapped.state.lock().unwrap().pages[&4], [4; 4096]);
}

#[test]
fn rights_to_store_are_those_of_who_opened() {
    let client = Client::new(1 << 30);
    let writer = client.map("file");
    let reader = client.open("file", open::READ);
    reader.pages(Caller(CLIENT)).unwrap();
    let rights = writer.state.lock().unwrap().rights.clone();
    let read = Rights::READ | Rights::MAP;
    assert_eq!(rights, [(read | Rights::WRITE).bits(), read.bits()]);
}

#[test]
fn a_file_stays_while_it_is_mapped_and_no_longer() {
    let client = Client::new(64 * PAGE);
    let free = || client.tree.statistics().unwrap().0.1;
    let before = free();
    let mapped = client.map("file");
    mapped.file.write(0, &[9; 4096]).unwrap();
    client.tree.remove(b"file", false, &mut [0; 64]).unwrap();
    let Mapped {
        file,
        key,
        state,
        pager,
    } = mapped;
    testing::release(file.reference().raw());
    let mapped = Mapped {
        file: client.open("other", open::READ),
        key,
        state: Arc::clone(&state),
        pager,
    };
    assert!(free() < before, "what is mapped takes room");
    assert!(mapped.touch(0));
    assert_eq!(state.lock().unwrap().pages[&0], [9; 4096]);
    state.lock().unwrap().users = 0;
    client.tree.remove(b"other", false, &mut [0; 64]).unwrap();
    testing::release(mapped.file.reference().raw());
    assert_eq!(free(), before);
    assert!(state.lock().unwrap().dropped);
    assert_eq!(mapped.pager.fill(key, 0), Err(Error::NotFound));
}

#[test]
fn a_hole_that_finds_no_room_does_not_come() {
    let client = Client::new(8 * PAGE);
    let mapped = client.map("file");
    mapped.set_length(100 * PAGE);
    let came = (0..100).take_while(|page| mapped.touch(*page)).count();
    assert!((1..8).contains(&came), "{came} came");
    let failed = mapped.state.lock().unwrap().failed;
    assert_eq!(failed, Some(came as u64 * PAGE));
}
