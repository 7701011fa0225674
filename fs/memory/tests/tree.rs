//! The tree alone: what no comparison with the host shows.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use kiln_file_server::testing::{self, Near};
use kiln_interface::file::{
    Attributes, File, FileStub, FileTree, FileTreeDispatch, FileTreeStub, change, kind, open,
};
use kiln_memory_fs::{MemoryServer, MemoryTree};
use kiln_object::{Caller, Error, ProcessId, Reference, Rights};
use proptest::prelude::*;
use support::{CLIENT, Client, clock, list, read_all};
use zerocopy::IntoBytes;

const BOTH: u32 = open::READ | open::WRITE;

fn free_bytes(client: &Client) -> u64 {
    client.tree.statistics().unwrap().0.1 * 4096
}

fn fill(file: &FileStub<Near>, pages: u64) -> Result<(), Error> {
    for page in 0..pages {
        file.write(page * 4096, &[7; 4096])?;
    }
    Ok(())
}

#[test]
fn the_limit_holds_and_space_comes_back() {
    let client = Client::new(None, 100 << 12);
    let file = client.open("big", BOTH | open::CREATE).unwrap();
    let before = free_bytes(&client);
    assert_eq!(fill(&file, 200), Err(Error::NoSpace));
    assert!(free_bytes(&client) < 2 * 4096);
    assert_eq!(client.put("more", &[1; 4096]), Err(Error::NoSpace));
    client.remove("big", false).unwrap();
    assert!(
        free_bytes(&client) < 2 * 4096,
        "an open file keeps its contents"
    );
    assert_eq!(file.read(4096, &mut [0; 10]), Ok(10));
    testing::release(file.reference().raw());
    assert!(free_bytes(&client) >= before);
    client.put("more", &[1; 4096]).unwrap();
}

#[test]
fn a_write_that_meets_the_limit_says_how_far_it_came() {
    let client = Client::new(None, 10 << 12);
    let file = client.open("file", BOTH | open::CREATE).unwrap();
    let mut offset = 2000;
    let last = loop {
        match file.write(offset, &[9; 4096]) {
            Ok((4096, end)) => offset = end,
            other => break other,
        }
    };
    let (written, end) = last.unwrap();
    assert!(written > 0 && written < 4096 && end == offset + written);
    assert_eq!(read_all(&file).unwrap().len() as u64, end);
    assert_eq!(file.write(end, b"x"), Err(Error::NoSpace));
}

#[test]
fn names_and_nodes_cost_too() {
    let client = Client::new(None, 64 << 10);
    let mut made = 0;
    let error = loop {
        if let Err(error) = client.make_directory(&format!("directory-{made}")) {
            break error;
        }
        made += 1;
    };
    assert_eq!(error, Error::NoSpace);
    assert!((20..500).contains(&made), "{made}");
    assert_eq!(client.names("").len(), made);
    client.remove("directory-0", true).unwrap();
    client.make_directory("directory-0").unwrap();
}

#[test]
fn holes_read_as_zeroes_and_cost_nothing() {
    let client = Client::new(None, 1 << 20);
    let file = client.open("sparse", BOTH | open::CREATE).unwrap();
    let far = (i64::MAX as u64) - 3;
    assert_eq!(file.write(far, b"end"), Ok((3, i64::MAX as u64)));
    let attributes = client.attributes("sparse", true).unwrap();
    assert_eq!(
        (attributes.length, attributes.storage),
        (i64::MAX as u64, 4096)
    );
    let mut buffer = [1; 4096];
    assert_eq!(file.read(1 << 40, &mut buffer), Ok(4096));
    assert_eq!(buffer, [0; 4096]);
    assert_eq!(file.read(far - 1, &mut buffer), Ok(4));
    assert_eq!(&buffer[..4], b"\0end");
}

#[test]
fn offsets_beyond_any_file_are_refused() {
    let client = Client::empty();
    let file = client.open("file", BOTH | open::CREATE).unwrap();
    for offset in [i64::MAX as u64, u64::MAX - 1, u64::MAX - 4096] {
        assert_eq!(file.write(offset, b"x"), Err(Error::TooLarge), "{offset}");
        assert_eq!(file.read(offset, &mut [0; 8]), Ok(0));
    }
    let beyond = Attributes {
        length: 1 << 63,
        ..Attributes::default()
    };
    let refused = file.set_attributes(beyond.as_bytes(), change::LENGTH);
    assert_eq!(refused, Err(Error::TooLarge));
    assert_eq!(file.write(u64::MAX, b"one"), Ok((3, 3)));
    assert_eq!(file.write(u64::MAX, b"two"), Ok((3, 6)));
    assert_eq!(read_all(&file).unwrap(), b"onetwo");
    assert_eq!(file.write(0, b""), Ok((0, 0)));
}

#[test]
fn paths_of_every_sort_are_answered() {
    let client = Client::empty();
    client.make_directory("a").unwrap();
    client.make_directory("a/b").unwrap();
    client.put("a//b/./../c", b"here").unwrap();
    assert_eq!(client.contents("///a/b/..//./c").unwrap(), b"here");
    assert_eq!(
        client.attributes("a//b/./../c/", true).map(drop),
        Err(Error::NotDirectory)
    );
    assert_eq!(
        client.attributes("a\0b", true).map(drop),
        Err(Error::BadArgument)
    );
    assert_eq!(client.put("a\0b", b""), Err(Error::BadArgument));
    assert_eq!(client.put(&"n".repeat(300), b""), Err(Error::NameTooLong));
    assert_eq!(client.put(&"n".repeat(255), b""), Ok(()));
    assert_eq!(client.put(&"x/".repeat(2100), b""), Err(Error::TooLarge));
    assert_eq!(client.make_directory(""), Err(Error::Exists));
    assert_eq!(client.make_directory("/"), Err(Error::Exists));
    assert_eq!(client.make_directory("."), Err(Error::Exists));
    assert_eq!(client.remove("", true), Err(Error::Busy));
    assert_eq!(client.remove("/", false), Err(Error::IsDirectory));
    assert_eq!(client.remove("a/.", true), Err(Error::BadArgument));
    assert_eq!(client.remove("a/b/..", true), Err(Error::NotEmpty));
    assert_eq!(client.rename("a", "", 0), Err(Error::Busy));
    assert_eq!(client.rename("a", "", 1), Err(Error::Exists));
    assert_eq!(client.rename("", "a", 0), Err(Error::Busy));
    assert_eq!(client.rename("a", "a/b/d", 0), Err(Error::BadArgument));
    assert_eq!(client.rename("a/c", "d", 4), Err(Error::BadArgument));
    assert_eq!(client.make_link("", "l"), Err(Error::NotFound));
    assert_eq!(client.make_link("x\0y", "l"), Err(Error::BadArgument));
    assert_eq!(client.link("a", "l"), Err(Error::Denied));
    let node = |mode| client.tree.make_node(b"node", mode, 5, &mut []);
    assert_eq!(node(kind::DIRECTORY | 0o755), Err(Error::Denied));
    assert_eq!(node(kind::LINK), Err(Error::BadArgument));
    assert_eq!(node(kind::CHARACTER | 0o600), Ok(()));
    let made = client.attributes("node", true).unwrap();
    assert_eq!((made.mode, made.device), (kind::CHARACTER | 0o600, 5));
}

#[test]
fn walks_out_of_the_tree_say_where_to_and_for_which_path() {
    let client = Client::empty();
    client.make_directory("d").unwrap();
    client.make_link("/etc", "d/out").unwrap();
    client.put("file", b"").unwrap();
    let mut room = [0xff; 64];
    let tree = &client.tree;
    assert_eq!(
        tree.rename(b"file", b"d/out/x", 0, &mut room),
        Err(Error::Elsewhere)
    );
    assert!(room.starts_with(b"//etc/x\0"));
    assert_eq!(
        tree.link(b"d/out/x", b"y", &mut room),
        Err(Error::Elsewhere)
    );
    assert!(room.starts_with(b"/etc/x\0"));
    assert_eq!(
        tree.link(b"file", b"d/../../y", &mut room),
        Err(Error::Elsewhere)
    );
    assert!(room.starts_with(b"//y\0"));
    assert_eq!(
        tree.attributes(b"d/out", true, &mut room),
        Err(Error::Elsewhere)
    );
    assert!(room.starts_with(b"/etc\0"));
    assert_eq!(
        tree.attributes(b"d/out", true, &mut [0; 4]),
        Err(Error::TooLarge)
    );
    assert!(client.attributes("d/out", false).is_ok());
    let made = tree.open_writable(b"d/out", open::WRITE | open::CREATE, 0, CLIENT, &mut room);
    assert_eq!(made, Err(Error::Elsewhere));
}

#[test]
fn a_name_changes_and_the_file_stays_the_same() {
    let client = Client::empty();
    client.put("one", b"1").unwrap();
    client.make_directory("d").unwrap();
    let first = client.attributes("one", true).unwrap();
    client.rename("one", "d/two", 0).unwrap();
    client.link("d/two", "three").unwrap();
    let same = client.attributes("three", true).unwrap();
    assert_eq!(
        (same.number, same.tree, same.links),
        (first.number, first.tree, 2)
    );
    assert!(same.changed > first.changed && same.modified == first.modified);
    client.remove("d/two", false).unwrap();
    client.remove("three", false).unwrap();
    client.put("one", b"1").unwrap();
    assert_ne!(client.attributes("one", true).unwrap().number, first.number);
}

#[test]
fn directories_count_their_subdirectories() {
    let client = Client::empty();
    let links = |path| client.attributes(path, true).unwrap().links;
    for path in ["a", "b", "a/x", "a/y"] {
        client.make_directory(path).unwrap();
    }
    client.put("a/file", b"").unwrap();
    assert_eq!(
        (links(""), links("a"), links("b"), links("a/x")),
        (4, 4, 2, 2)
    );
    client.rename("a/x", "b/x", 0).unwrap();
    assert_eq!((links("a"), links("b")), (3, 3));
    client.rename("a/file", "b/x", 2).unwrap();
    assert_eq!((links("a"), links("b")), (4, 2));
    client.rename("a/file", "a/y", 0).unwrap();
    assert_eq!(links("a"), 3);
    client.remove("a/y", true).unwrap();
    assert_eq!(links("a"), 2);
}

#[test]
fn contents_and_attributes_are_changed_as_the_reference_allows() {
    let client = Client::empty();
    client.put("file", b"contents").unwrap();
    let reader = client.open("file", open::READ).unwrap();
    assert_eq!(reader.write(0, b"x"), Err(Error::Denied));
    let shorter = Attributes {
        length: 3,
        mode: 0o7777,
        user: 5,
        ..Attributes::default()
    };
    let refused = reader.set_attributes(shorter.as_bytes(), change::LENGTH);
    assert_eq!(refused, Err(Error::Denied));
    reader
        .set_attributes(shorter.as_bytes(), change::MODE | change::USER)
        .unwrap();
    let now = client.attributes("file", true).unwrap();
    assert_eq!(
        (now.mode, now.user, now.length),
        (kind::REGULAR | 0o7777, 5, 8)
    );
    assert_eq!(
        reader.set_attributes(&[0; 3], change::MODE),
        Err(Error::BadArgument)
    );
    assert_eq!(
        reader.set_attributes(shorter.as_bytes(), 1 << 9),
        Err(Error::BadArgument)
    );
    let writer = client.open("file", open::WRITE).unwrap();
    assert_eq!(writer.read(0, &mut [0; 4]), Err(Error::Denied));
    writer
        .set_attributes(shorter.as_bytes(), change::LENGTH)
        .unwrap();
    assert_eq!(client.contents("file").unwrap(), b"con");
    let place = client.open("file", open::PATH | open::READ).unwrap();
    assert_eq!(place.read(0, &mut [0; 4]), Err(Error::Denied));
    assert_eq!(
        place.set_attributes(shorter.as_bytes(), change::MODE),
        Err(Error::Denied)
    );
    assert_eq!(reader.pages(Caller(CLIENT)), Err(Error::Unsupported));
    let looked = client.tree.open(b"file", open::WRITE, 0, CLIENT, &mut []);
    assert_eq!(looked, Err(Error::Denied));
    let theirs = client
        .tree
        .open(b"file", open::READ, 0, ProcessId::new(9, 9), &mut []);
    assert_eq!(theirs, Err(Error::Denied));
}

#[test]
fn a_nameless_file_lives_as_long_as_it_is_open() {
    let client = Client::new(None, 1 << 20);
    let before = free_bytes(&client);
    let file = client.open("", BOTH | open::NAMELESS).unwrap();
    fill(&file, 10).unwrap();
    assert_eq!(client.names(""), [""; 0]);
    testing::release(file.reference().raw());
    assert_eq!(free_bytes(&client), before);
    client.put("file", b"").unwrap();
    let refused = client.open("file", BOTH | open::NAMELESS).map(drop);
    assert_eq!(refused, Err(Error::NotDirectory));
}

#[test]
fn a_reader_that_removes_what_it_reads_sees_each_name_once() {
    let client = Client::empty();
    client.make_directory("d").unwrap();
    for index in 0..300 {
        client.put(&format!("d/{index:03}"), b"").unwrap();
    }
    let directory = client.open("d", open::READ).unwrap();
    let mut seen = BTreeSet::new();
    let mut cookie = 0;
    let mut buffer = [0; 200];
    while let Ok(length @ 1..) = directory.read_directory(cookie, &mut buffer) {
        for entry in testing::parse_listing(&buffer[..length]) {
            let name = String::from_utf8(entry.name).unwrap();
            client.remove(&format!("d/{name}"), false).unwrap();
            // What comes while somebody reads must not keep him busy with what he saw.
            client.put("d/same", b"").unwrap();
            assert!(
                seen.insert(name.clone()) || name == "same",
                "{name} came twice"
            );
            cookie = entry.cookie;
        }
        if seen.len() > 320 {
            break;
        }
        if seen.contains("same") {
            client.remove("d/same", false).ok();
            break;
        }
    }
    assert!(seen.len() >= 300);
    client.remove("d", true).unwrap();
    assert_eq!(list(&directory, 4096).unwrap(), []);
    for cookie in [1 << 61, u64::MAX, 12345, 1 << 63] {
        assert_eq!(directory.read_directory(cookie, &mut buffer), Ok(0));
    }
}

#[test]
fn many_clients_at_once_leave_a_tree_that_holds_together() {
    let tree = MemoryTree::new(None, 1 << 26, clock, 1).unwrap();
    let server = Arc::new(FileTreeDispatch(MemoryServer::new(tree, testing::export)));
    let workers: Vec<_> = (0..4u64)
        .map(|worker| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || {
                let server = &server.0;
                let mut state = worker * 2 + 1;
                let room = &mut [0; 64];
                for _ in 0..4000 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let name = |shift: u64| {
                        let of = ["a", "b", "a/c", "b/c", "a/c/d", "b/c/d"];
                        of[((state >> shift) % 6) as usize].as_bytes()
                    };
                    let (one, other) = (name(33), name(40));
                    let _ = match (state >> 50) % 6 {
                        0 => server.make_directory(one, 0o755, room),
                        1 => server.rename(one, other, 0, room),
                        2 => server.rename(one, other, 2, room),
                        3 => server.remove(one, state >> 60 & 1 == 1, room),
                        4 => server.link(one, other, room),
                        _ => server
                            .open_writable(one, BOTH | open::CREATE, 0, CLIENT, room)
                            .map(|opened| {
                                let file = FileStub::new(opened.file, Near(CLIENT));
                                let _ = file.write(u64::MAX, b"some");
                                let _ = file.read_directory(0, &mut [0; 512]);
                                testing::release(opened.file.raw());
                            }),
                    };
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    // What is left can be taken apart to nothing.
    let rights = Rights::LOOKUP | Rights::WRITE;
    let reference = testing::export(server, CLIENT, rights).unwrap();
    let client = Client {
        tree: FileTreeStub::new(Reference::new(reference), Near(CLIENT)),
    };
    remove_all(&client, "");
    let (blocks, _) = client.tree.statistics().unwrap();
    assert_eq!(client.attributes("", true).unwrap().links, 2);
    assert_eq!(
        blocks.0 - blocks.1,
        1,
        "the root, and nothing that nobody can reach"
    );
}

fn remove_all(client: &Client, directory: &str) {
    for entry in client.list(directory).unwrap() {
        let path = format!("{directory}/{}", String::from_utf8(entry.name).unwrap());
        let is_directory = entry.kind == kind::DIRECTORY;
        if is_directory {
            remove_all(client, &path);
        }
        client.remove(&path, is_directory).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No bytes that a client can send do more than earn it an error.
    #[test]
    fn garbage_is_answered(
        path in proptest::collection::vec(any::<u8>(), 0..40),
        other in proptest::collection::vec(any::<u8>(), 0..400),
        number in any::<u32>(),
        offset in any::<u64>(),
        room in 0usize..200,
    ) {
        testing::clear();
        let client = Client::new(None, 1 << 20);
        client.put("f", b"f").unwrap();
        let mut buffer = vec![0; room];
        let tree = &client.tree;
        let _ = tree.open_writable(&path, number, number, CLIENT, &mut buffer);
        let _ = tree.make_node(&path, number, offset, &mut buffer);
        let _ = tree.make_link(&other, &path, &mut buffer);
        let _ = tree.attributes(&path, true, &mut buffer);
        let _ = tree.read_link(&path, &mut buffer);
        let _ = tree.rename(&path, &other, number & 7, &mut buffer);
        let _ = tree.link(&other, &path, &mut buffer);
        let _ = tree.set_attributes(&path, &other, number, true, &mut buffer);
        let _ = tree.remove(&path, number & 1 == 0, &mut buffer);
        let root = client.open("", open::READ).unwrap();
        let _ = root.read_directory(offset, &mut buffer);
        let _ = root.write(offset, &other);
        let _ = root.set_attributes(&other, number);
        let file = client.open("f", BOTH).unwrap();
        let _ = file.write(offset, &other);
        let _ = file.read(offset, &mut buffer);
        let _ = file.set_attributes(&other, number);
        let _ = tree.remove(&path, true, &mut buffer);
    }
}
