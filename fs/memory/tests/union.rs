//! The tree over an image: what shows through, what is copied, what is hidden.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln_erofs::Timestamp;
use kiln_erofs::write::{Attributes as Given, Content, Item, Tree};
use kiln_file_server::Listing;
use kiln_file_server::testing::{self, parse_listing};
use kiln_interface::file::{Attributes, File, FileTree, Opened, change, kind, open};
use kiln_memory_fs::{Lower, MemoryTree};
use kiln_object::{Error, ProcessId};
use support::{Client, clock, lower, read_all};
use zerocopy::IntoBytes;

const MODIFIED: i64 = 1_700_000_000_000_000_005;

fn put(tree: &mut Tree, path: &str, item: Item) {
    let time = Timestamp {
        seconds: MODIFIED / 1_000_000_000,
        nanoseconds: 5,
    };
    let given = Given {
        uid: 7,
        gid: 8,
        ..Given::new(0o751)
    }
    .modified(time);
    tree.insert(path, given, item).unwrap();
}

fn file(bytes: impl Into<Vec<u8>>) -> Item {
    Item::File(Content::Bytes(bytes.into()))
}

fn link(target: &str) -> Item {
    Item::Symlink(target.as_bytes().to_vec())
}

fn sample() -> Tree {
    let mut tree = Tree::default();
    put(&mut tree, "usr/lib/module.py", file(vec![b'm'; 10_000]));
    put(&mut tree, "usr/lib/deep/er/file", file("deep"));
    put(&mut tree, "usr/share/text", file("text"));
    put(&mut tree, "lib", link("usr/lib"));
    put(&mut tree, "usr/up", link("../etc"));
    put(&mut tree, "etc/conf", file("old"));
    put(&mut tree, "etc/pipe", Item::Fifo);
    put(&mut tree, "etc/link", link("conf"));
    put(&mut tree, "big", file(vec![b'b'; 1 << 20]));
    tree.link("etc/conf", "etc/conf2").unwrap();
    tree.link("etc/conf", "usr/conf3").unwrap();
    tree
}

fn blocks_used(client: &Client) -> u64 {
    let (blocks, _) = client.tree.statistics().unwrap();
    blocks.0 - blocks.1
}

#[test]
fn what_nobody_changed_is_read_at_the_lower_server() {
    let client = Client::over(&sample());
    let before = testing::live_objects();
    let reader = client.open("lib/module.py", open::READ).unwrap();
    assert_eq!(testing::live_objects(), before + 1);
    assert_eq!(read_all(&reader).unwrap(), [b'm'; 10_000]);
    assert_eq!(
        reader.set_attributes(&[], 0),
        Err(Error::ReadOnly),
        "it is the lower server's"
    );
    assert_eq!(blocks_used(&client), 0);
    let seen = client.attributes("usr/lib/module.py", true).unwrap();
    assert_eq!(
        (seen.mode, seen.user, seen.modified),
        (kind::REGULAR | 0o751, 7, MODIFIED)
    );
}

#[test]
fn a_file_is_copied_up_when_it_is_opened_to_be_written() {
    let client = Client::over(&sample());
    let before = client.attributes("usr/lib/module.py", true).unwrap();
    let reader = client.open("usr/lib/module.py", open::READ).unwrap();
    let objects = testing::live_objects();
    let writer = client
        .open("lib/module.py", open::READ | open::WRITE)
        .unwrap();
    assert_eq!(
        testing::live_objects(),
        objects + 1,
        "nothing is left open at the lower server"
    );
    let copied = client.attributes("usr/lib/module.py", true).unwrap();
    assert_eq!(
        (
            copied.number,
            copied.tree,
            copied.mode,
            copied.user,
            copied.group,
            copied.modified
        ),
        (
            before.number,
            before.tree,
            before.mode,
            before.user,
            before.group,
            MODIFIED
        ),
    );
    writer.write(0, b"new").unwrap();
    let contents = client.contents("usr/lib/module.py").unwrap();
    assert_eq!(
        (contents.len(), &contents[..4]),
        (10_000, b"newm".as_slice())
    );
    assert!(
        client
            .attributes("usr/lib/module.py", true)
            .unwrap()
            .modified
            > MODIFIED
    );
    assert_eq!(
        &read_all(&reader).unwrap()[..4],
        b"mmmm",
        "who read before goes on with the old"
    );
}

#[test]
fn emptying_copies_no_contents() {
    let client = Client::over(&sample());
    client.put("big", b"small").unwrap();
    assert_eq!(client.contents("big").unwrap(), b"small");
    assert!(blocks_used(&client) < 4);
    let nothing = Attributes::default();
    let room = &mut [0; 64];
    let path = b"usr/lib/module.py";
    client
        .tree
        .set_attributes(path, nothing.as_bytes(), change::LENGTH, true, room)
        .unwrap();
    assert_eq!(client.contents("usr/lib/module.py").unwrap(), b"");
    assert!(blocks_used(&client) < 5);
}

#[test]
fn a_copy_that_does_not_fit_changes_nothing() {
    let client = Client::new(Some(lower(&sample())), 64 << 12);
    assert_eq!(
        client.open("big", open::WRITE).map(drop),
        Err(Error::NoSpace)
    );
    assert_eq!(blocks_used(&client), 0);
    assert_eq!(client.contents("big").unwrap().len(), 1 << 20);
    assert_eq!(
        client.rename("big", "large", 0),
        Ok(()),
        "renaming needs no copy"
    );
    assert_eq!(client.contents("large").unwrap().len(), 1 << 20);
    assert_eq!(
        client.attributes("big", true).map(drop),
        Err(Error::NotFound)
    );
}

#[test]
fn attributes_change_in_a_copy() {
    let client = Client::over(&sample());
    let to = Attributes {
        mode: 0o600,
        user: 1,
        modified: 5,
        ..Attributes::default()
    };
    let fields = change::MODE | change::USER | change::MODIFIED;
    let set = |path: &str, follow| {
        let room = &mut [0; 64];
        client
            .tree
            .set_attributes(path.as_bytes(), to.as_bytes(), fields, follow, room)
    };
    for path in ["etc/link", "etc/pipe", "usr/share", "big"] {
        let before = client.attributes(path, false).unwrap();
        set(path, false).unwrap();
        let after = client.attributes(path, false).unwrap();
        assert_eq!(
            (after.mode, after.user),
            (before.mode & kind::MASK | 0o600, 1),
            "{path}"
        );
        assert_eq!((after.modified, after.number), (5, before.number), "{path}");
    }
    assert_eq!(client.read_link("etc/link").unwrap(), b"conf");
    assert_eq!(client.contents("big").unwrap().len(), 1 << 20);
    assert_eq!(client.names("usr/share"), ["text"]);
    assert_eq!(set("none", true), Err(Error::NotFound));
}

#[test]
fn what_is_removed_stays_hidden() {
    let client = Client::over(&sample());
    client.remove("etc/pipe", false).unwrap();
    assert_eq!(
        client.attributes("etc/pipe", true).map(drop),
        Err(Error::NotFound)
    );
    assert_eq!(client.names("etc"), ["conf", "conf2", "link"]);
    client.put("etc/pipe", b"a file now").unwrap();
    assert_eq!(client.names("etc"), ["conf", "conf2", "link", "pipe"]);
    assert_eq!(client.contents("etc/pipe").unwrap(), b"a file now");
    client.remove("etc/pipe", false).unwrap();
    assert_eq!(client.names("etc"), ["conf", "conf2", "link"]);

    assert_eq!(client.remove("usr/share", true), Err(Error::NotEmpty));
    client.remove("usr/share/text", false).unwrap();
    client.remove("usr/share", true).unwrap();
    client.make_directory("usr/share").unwrap();
    assert_eq!(
        client.names("usr/share"),
        [""; 0],
        "nothing shows through a new directory"
    );
    assert_eq!(client.contents("usr/share/text"), Err(Error::NotFound));
}

#[test]
fn a_directory_moves_with_what_shows_through_it() {
    let client = Client::over(&sample());
    client.put("usr/lib/new", b"new").unwrap();
    client.rename("usr/lib", "library", 0).unwrap();
    assert_eq!(client.names("library"), ["deep", "module.py", "new"]);
    assert_eq!(client.contents("library/deep/er/file").unwrap(), b"deep");
    assert_eq!(
        client.contents("lib/module.py"),
        Err(Error::NotFound),
        "the link dangles"
    );
    assert_eq!(client.names("usr"), ["conf3", "share", "up"]);
    client.make_directory("usr/lib").unwrap();
    assert_eq!(client.names("lib"), [""; 0]);
    client.rename("library/deep", "usr/lib/deep", 0).unwrap();
    assert_eq!(client.contents("lib/deep/er/file").unwrap(), b"deep");
    assert_eq!(client.names("library"), ["module.py", "new"]);
    assert_eq!(
        client.rename("library", "library/deep/x", 0),
        Err(Error::NotFound)
    );
    assert_eq!(
        client.rename("usr", "usr/lib/deep/x", 0),
        Err(Error::BadArgument)
    );
    assert!(blocks_used(&client) < 4, "nothing but names was written");
}

#[test]
fn links_lead_across_both_layers() {
    let client = Client::over(&sample());
    client.put("lib/added", b"through a lower link").unwrap();
    assert_eq!(
        client.contents("usr/lib/added").unwrap(),
        b"through a lower link"
    );
    client.make_link("usr/up/../usr/lib", "upper").unwrap();
    assert_eq!(client.contents("upper/deep/er/file").unwrap(), b"deep");
    client.make_directory("usr/up2").unwrap();
    client.make_link("../../etc/link", "usr/up2/conf").unwrap();
    assert_eq!(client.contents("usr/up2/conf").unwrap(), b"old");
    client
        .put("usr/up2/conf", b"written through links")
        .unwrap();
    assert_eq!(
        client.contents("etc/conf").unwrap(),
        b"written through links"
    );
    client.remove("etc/conf", false).unwrap();
    assert_eq!(client.contents("etc/link"), Err(Error::NotFound));
    client
        .put("etc/link", b"made where the link leads")
        .unwrap();
    assert_eq!(
        client.contents("etc/conf").unwrap(),
        b"made where the link leads"
    );
}

#[test]
fn hard_links_of_the_image_stay_one_file() {
    let client = Client::over(&sample());
    let links = |path| client.attributes(path, true).unwrap().links;
    assert_eq!(links("etc/conf"), 3);
    client.remove("etc/conf2", false).unwrap();
    assert_eq!(links("usr/conf3"), 2);
    client.rename("etc/conf", "moved", 0).unwrap();
    let writer = client.open("moved", open::WRITE).unwrap();
    writer.write(0, b"new").unwrap();
    assert_eq!(client.contents("usr/conf3").unwrap(), b"new");
    assert_eq!((links("moved"), links("usr/conf3")), (2, 2));
    let numbers = ["moved", "usr/conf3"].map(|path| client.attributes(path, true).unwrap().number);
    assert_eq!(numbers[0], numbers[1]);
    client.link("usr/conf3", "more").unwrap();
    assert_eq!(links("moved"), 3);
    for path in ["moved", "usr/conf3", "more"] {
        client.remove(path, false).unwrap();
    }
    let nothing = client.attributes("usr/conf3", true).map(drop);
    assert_eq!(nothing, Err(Error::NotFound));
}

#[test]
fn listed_numbers_are_those_of_attributes() {
    let client = Client::over(&sample());
    client.put("etc/new", b"").unwrap();
    client.open("etc/conf", open::WRITE).unwrap();
    client.rename("etc/pipe", "etc/conduit", 0).unwrap();
    client.make_directory("etc/directory").unwrap();
    for directory in ["", "etc", "usr", "usr/lib"] {
        for entry in client.list(directory).unwrap() {
            let name = String::from_utf8(entry.name).unwrap();
            let seen = client
                .attributes(&format!("{directory}/{name}"), false)
                .unwrap();
            let told = (entry.number, entry.kind);
            assert_eq!(told, (seen.number, seen.mode & kind::MASK), "{name}");
        }
    }
}

#[test]
fn a_reader_that_changes_what_it_lists_sees_each_name_once() {
    let mut tree = Tree::default();
    for index in 0..200 {
        put(&mut tree, &format!("d/{index:03}"), file("x"));
        put(&mut tree, &format!("d/sub{index:03}/x"), file("x"));
    }
    let client = Client::over(&tree);
    for index in 0..50 {
        client.put(&format!("d/own{index:03}"), b"").unwrap();
    }
    let directory = client.open("d", open::READ).unwrap();
    let mut seen = BTreeSet::new();
    let mut cookie = 0;
    let mut buffer = [0; 300];
    while let Ok(length @ 1..) = directory.read_directory(cookie, &mut buffer) {
        for entry in parse_listing(&buffer[..length]) {
            let name = String::from_utf8(entry.name).unwrap();
            let path = format!("d/{name}");
            assert!(seen.insert(name), "{path} came twice");
            match seen.len() % 4 {
                0 if entry.kind == kind::REGULAR => client.put(&path, b"changed").unwrap(),
                1 if entry.kind == kind::REGULAR => client.remove(&path, false).unwrap(),
                2 => drop(client.attributes(&format!("{path}/x"), true)),
                _ => {}
            }
            cookie = entry.cookie;
        }
    }
    assert_eq!(seen.len(), 450);
}

/// Answers for `Lower::read_directory`, given cookie and buffer.
type ListingAnswer = fn(u64, &mut [u8]) -> Result<usize, Error>;

/// Counts what the tree asks for, and may answer nonsense.
struct Watched {
    inner: Box<dyn Lower>,
    questions: Arc<AtomicUsize>,
    listing: Option<ListingAnswer>,
}

impl Lower for Watched {
    fn attributes(&self, path: &[u8]) -> Result<Attributes, Error> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.inner.attributes(path)
    }

    fn target(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.inner.target(path)
    }

    fn open(&self, path: &[u8], flags: u32, owner: ProcessId) -> Result<Opened, Error> {
        self.inner.open(path, flags, owner)
    }

    fn read(
        &self,
        path: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.inner.read(path, each)
    }

    fn read_directory(&self, path: &[u8], cookie: u64, answer: &mut [u8]) -> Result<usize, Error> {
        match self.listing {
            Some(listing) => listing(cookie, answer),
            None => self.inner.read_directory(path, cookie, answer),
        }
    }
}

fn watched(listing: Option<ListingAnswer>) -> (Client, Arc<AtomicUsize>) {
    let questions = Arc::new(AtomicUsize::new(0));
    let inner = lower(&sample());
    let watched = Watched {
        inner,
        questions: Arc::clone(&questions),
        listing,
    };
    (Client::new(Some(Box::new(watched)), 1 << 30), questions)
}

#[test]
fn the_lower_tree_is_asked_once_about_each_name() {
    let (client, questions) = watched(None);
    let names = [
        "lib/module.py",
        "lib/none.so",
        "lib/deep/none",
        "none/x",
        "usr/up/conf",
    ];
    for name in names {
        let _ = client.attributes(name, true);
    }
    let asked = questions.load(Ordering::Relaxed);
    for _ in 0..3 {
        for name in names {
            let _ = client.attributes(name, true);
            let _ = client.open(name, open::READ);
        }
    }
    assert_eq!(questions.load(Ordering::Relaxed), asked);
    for index in 0..20_000 {
        let _ = client.attributes(&format!("lib/probe-{index}"), true);
    }
    assert_eq!(client.contents("lib/module.py").unwrap().len(), 10_000);
}

#[test]
fn a_lower_listing_that_does_not_get_on_is_corrupt() {
    let listings: [ListingAnswer; 4] = [
        // The same again and again.
        |_, answer| {
            let mut listing = Listing::new(answer);
            listing.push(1, 1, kind::REGULAR, b"again");
            listing.finish()
        },
        // Not in the range of cookies.
        |cookie, answer| {
            let mut listing = Listing::new(answer);
            listing.push(1, cookie + (1 << 61), kind::REGULAR, b"far");
            listing.finish()
        },
        // No entries at all.
        |_, answer| {
            answer.fill(0xff);
            Ok(answer.len())
        },
        |_, _| Err(Error::ServerDied),
    ];
    let errors = [
        Error::Corrupt,
        Error::Corrupt,
        Error::Corrupt,
        Error::ServerDied,
    ];
    for (listing, error) in listings.into_iter().zip(errors) {
        testing::clear();
        let (client, _) = watched(Some(listing));
        let etc = client.open("etc", open::READ).unwrap();
        assert_eq!(etc.read_directory(0, &mut [0; 4096]), Err(error));
        for path in ["conf", "conf2", "link", "pipe"] {
            client.remove(&format!("etc/{path}"), false).unwrap();
        }
        assert!(client.remove("etc", true).is_err());
    }
}

#[test]
fn a_lower_tree_without_a_root_is_an_error_at_the_start() {
    struct Dead;
    impl Lower for Dead {
        fn attributes(&self, _path: &[u8]) -> Result<Attributes, Error> {
            Err(Error::ServerDied)
        }
        fn target(&self, _path: &[u8]) -> Result<Vec<u8>, Error> {
            Err(Error::ServerDied)
        }
        fn open(&self, _path: &[u8], _flags: u32, _owner: ProcessId) -> Result<Opened, Error> {
            Err(Error::ServerDied)
        }
        fn read(
            &self,
            _path: &[u8],
            _each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
        ) -> Result<(), Error> {
            Err(Error::ServerDied)
        }
        fn read_directory(&self, _: &[u8], _: u64, _: &mut [u8]) -> Result<usize, Error> {
            Err(Error::ServerDied)
        }
    }
    let started = MemoryTree::new(Some(Box::new(Dead)), 1 << 20, clock, 1);
    assert_eq!(started.map(drop), Err(Error::ServerDied));
}
