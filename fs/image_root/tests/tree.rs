//! The server over images made by the writer, called as a client calls it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_erofs::Image;
use kiln_erofs::write::{Attributes as Given, Builder, Content, Item, Tree};
use kiln_erofs::{Device, Timestamp};
use kiln_file_server::testing::{self, Listed, Near, parse_listing};
use kiln_image_root::ImageRoot;
use kiln_interface::file::{
    Attributes, File, FileStub, FileTree, FileTreeDispatch, FileTreeStub, kind, open,
};
use kiln_interface::kernel::FileCache;
use kiln_object::{Caller, Error, ObjectName, ProcessId, RawReference, Reference, Rights};
use proptest::prelude::*;
use zerocopy::FromBytes;

const CLIENT: ProcessId = ProcessId::new(3, 1);
const OTHER: ProcessId = ProcessId::new(4, 1);
const TREE: u64 = 99;

/// Answers with a reference that tells what was asked for.
struct Pages;

impl FileCache for Pages {
    fn length(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn share_range(
        &self,
        offset: u64,
        length: u64,
        owner: ProcessId,
    ) -> Result<Reference<dyn FileCache>, Error> {
        assert_eq!(offset % 4096, 0);
        assert!(length > 0);
        let object = ObjectName::from_raw(offset);
        Ok(Reference::new(RawReference {
            process: owner,
            object,
        }))
    }
}

fn file(bytes: &[u8]) -> Item {
    Item::File(Content::Bytes(bytes.to_vec()))
}

fn link(target: &str) -> Item {
    Item::Symlink(target.as_bytes().to_vec())
}

fn put(tree: &mut Tree, path: &str, mode: u16, item: Item) {
    let time = Timestamp {
        seconds: 1_700_000_000,
        nanoseconds: 5,
    };
    tree.insert(path, Given::new(mode).modified(time), item)
        .unwrap();
}

fn sample() -> Tree {
    let mut tree = Tree::default();
    put(&mut tree, "usr/bin/hello", 0o755, file(&[b'h'; 10_000]));
    put(&mut tree, "etc/empty", 0o644, file(b""));
    put(
        &mut tree,
        "etc/passwd",
        0o600,
        file(b"root:x:0:0::/root:/bin/sh\n"),
    );
    put(&mut tree, "bin", 0o777, link("usr/bin"));
    put(&mut tree, "usr/etc", 0o777, link("../etc"));
    put(&mut tree, "absolute", 0o777, link("/usr/bin/"));
    put(&mut tree, "above", 0o777, link("../../x"));
    put(&mut tree, "dangling", 0o777, link("usr/nothing"));
    put(&mut tree, "loop", 0o777, link("usr/../loop"));
    put(
        &mut tree,
        "dev/null",
        0o666,
        Item::CharacterDevice(Device { major: 1, minor: 3 }),
    );
    put(&mut tree, "dev/pipe", 0o666, Item::Fifo);
    put(&mut tree, "var/empty", 0o755, Item::Directory);
    tree.link("usr/bin/hello", "usr/bin/again").unwrap();
    tree
}

fn client_of(tree: &Tree, rights: Rights) -> FileTreeStub<Near> {
    let bytes = Builder::new(tree).to_bytes().unwrap().leak();
    let server = ImageRoot::new(Image::new(bytes).unwrap(), TREE, Pages, testing::export);
    let reference = testing::export(Arc::new(FileTreeDispatch(server)), CLIENT, rights).unwrap();
    FileTreeStub::new(Reference::new(reference), Near(CLIENT))
}

fn client() -> FileTreeStub<Near> {
    client_of(&sample(), Rights::LOOKUP | Rights::WRITE)
}

fn attributes(tree: &FileTreeStub<Near>, path: &str, follow: bool) -> Result<Attributes, Error> {
    let mut bytes = [0; 4096];
    let length = tree.attributes(path.as_bytes(), follow, &mut bytes)?;
    Ok(Attributes::read_from_bytes(&bytes[..length]).unwrap())
}

fn opened(tree: &FileTreeStub<Near>, path: &str, flags: u32) -> Result<FileStub<Near>, Error> {
    let opened = tree.open(path.as_bytes(), flags, 0, CLIENT, &mut [0; 4096])?;
    Ok(FileStub::new(opened.file, Near(CLIENT)))
}

fn elsewhere(tree: &FileTreeStub<Near>, path: &str) -> String {
    let mut buffer = [0xff; 4096];
    let answer = tree.open(path.as_bytes(), open::READ, 0, CLIENT, &mut buffer);
    assert_eq!(answer, Err(Error::Elsewhere), "{path}");
    let end = buffer.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8(buffer[..end].to_vec()).unwrap()
}

fn list(directory: &FileStub<Near>, room: usize) -> Vec<Listed> {
    let mut entries: Vec<Listed> = Vec::new();
    let mut buffer = vec![0; room];
    loop {
        let cookie = entries.last().map_or(0, |entry| entry.cookie);
        let length = directory.read_directory(cookie, &mut buffer).unwrap();
        if length == 0 {
            return entries;
        }
        entries.extend(parse_listing(&buffer[..length]));
    }
}

#[test]
fn a_file_is_found_by_every_spelling_of_its_path() {
    let tree = client();
    let number = attributes(&tree, "usr/bin/hello", true).unwrap().number;
    for path in [
        "/usr/bin/hello",
        "//usr//bin/./hello",
        "bin/hello",
        "usr/../bin/hello",
        "usr/etc/../bin/../bin/again",
        "var/empty/../../bin/again",
    ] {
        assert_eq!(
            attributes(&tree, path, true).map(|found| found.number),
            Ok(number),
            "{path}"
        );
    }
}

#[test]
fn attributes_are_the_images() {
    let tree = client();
    let hello = attributes(&tree, "bin/hello", true).unwrap();
    assert_eq!(hello.mode, kind::REGULAR | 0o755);
    assert_eq!(
        (hello.links, hello.length, hello.storage),
        (2, 10_000, 12_288)
    );
    assert_eq!(
        (hello.tree, hello.modified),
        (TREE, 1_700_000_000_000_000_005)
    );
    let null = attributes(&tree, "dev/null", true).unwrap();
    assert_eq!(
        (null.mode, null.device),
        (kind::CHARACTER | 0o666, 1 << 32 | 3)
    );
    assert_eq!(
        attributes(&tree, "bin", false).unwrap().mode,
        kind::LINK | 0o777
    );
    assert_eq!(
        attributes(&tree, "bin/", false).unwrap().mode,
        kind::DIRECTORY | 0o755
    );
    assert_eq!(
        attributes(&tree, "", true).unwrap().mode & kind::MASK,
        kind::DIRECTORY
    );
}

#[test]
fn walks_that_cannot_end_say_why() {
    let tree = client();
    for (path, error) in [
        ("nothing", Error::NotFound),
        ("nothing/x", Error::NotFound),
        ("dangling", Error::NotFound),
        ("etc/passwd/x", Error::NotDirectory),
        ("etc/passwd/", Error::NotDirectory),
        ("etc/passwd/.", Error::NotDirectory),
        ("loop", Error::TooManyLinks),
        ("loop/x", Error::TooManyLinks),
        ("a\0b", Error::BadArgument),
    ] {
        assert_eq!(
            attributes(&tree, path, true).map(drop),
            Err(error),
            "{path}"
        );
    }
    let long = "n".repeat(300);
    assert_eq!(
        attributes(&tree, &long, true).map(drop),
        Err(Error::NameTooLong)
    );
    assert_eq!(
        attributes(&tree, &"n".repeat(255), true).map(drop),
        Err(Error::NotFound)
    );
    assert_eq!(
        attributes(&tree, &"./".repeat(2048), true).map(|found| found.links > 0),
        Ok(true)
    );
    assert_eq!(
        attributes(&tree, &"x".repeat(4097), true).map(drop),
        Err(Error::TooLarge)
    );
}

#[test]
fn leaving_the_tree_answers_where_to_go_on() {
    let tree = client();
    assert_eq!(elsewhere(&tree, "absolute"), "/usr/bin/");
    assert_eq!(elsewhere(&tree, "absolute/hello"), "/usr/bin//hello");
    assert_eq!(elsewhere(&tree, "usr/../absolute/../x/"), "/usr/bin//../x/");
    assert_eq!(elsewhere(&tree, ".."), "/");
    assert_eq!(elsewhere(&tree, "usr/../../etc"), "/etc");
    assert_eq!(elsewhere(&tree, "above/y"), "/../x/y");
    let mut short = [0; 6];
    let answer = tree.open(b"absolute/hello", open::READ, 0, CLIENT, &mut short);
    assert_eq!(answer, Err(Error::TooLarge));
    let mut buffer = [0; 64];
    assert_eq!(
        tree.rename(b"etc/passwd", b"absolute/x", 0, &mut buffer),
        Err(Error::Elsewhere)
    );
    assert!(buffer.starts_with(b"//usr/bin//x\0"), "{buffer:?}");
    assert_eq!(
        tree.rename(b"absolute/x", b"etc/passwd", 0, &mut buffer),
        Err(Error::Elsewhere)
    );
    assert!(buffer.starts_with(b"/usr/bin//x\0"), "{buffer:?}");
}

#[test]
fn links_are_followed_as_the_flags_say() {
    let tree = client();
    let mut target = [0; 4096];
    assert_eq!(tree.read_link(b"bin", &mut target), Ok(7));
    assert!(target.starts_with(b"usr/bin"));
    assert_eq!(tree.read_link(b"bin", &mut [0; 3]), Err(Error::TooLarge));
    assert_eq!(tree.read_link(b"usr", &mut target), Err(Error::BadArgument));
    let refused = opened(&tree, "bin", open::READ | open::NO_FOLLOW);
    assert_eq!(refused.map(drop), Err(Error::TooManyLinks));
    let refused = opened(&tree, "bin", open::READ | open::NO_FOLLOW | open::DIRECTORY);
    assert_eq!(refused.map(drop), Err(Error::NotDirectory));
    let itself = opened(&tree, "bin", open::PATH | open::NO_FOLLOW).unwrap();
    let mut bytes = [0; 4096];
    let length = itself.attributes(&mut bytes).unwrap();
    let itself = Attributes::read_from_bytes(&bytes[..length]).unwrap();
    assert_eq!(itself.mode & kind::MASK, kind::LINK);
    assert!(opened(&tree, "bin", open::PATH | open::DIRECTORY).is_ok());
}

#[test]
fn contents_are_read_from_any_offset() {
    let tree = client();
    let hello = opened(&tree, "bin/hello", open::READ).unwrap();
    let mut buffer = [0; 4096];
    assert_eq!(hello.read(0, &mut buffer), Ok(4096));
    assert_eq!(hello.read(8192, &mut buffer), Ok(10_000 - 8192));
    assert!(buffer[..1808].iter().all(|byte| *byte == b'h'));
    assert_eq!(hello.read(9_999, &mut buffer[..3]), Ok(1));
    for offset in [10_000, 1 << 40, u64::MAX - 1, u64::MAX] {
        assert_eq!(hello.read(offset, &mut buffer), Ok(0));
    }
    assert_eq!(hello.read(5, &mut []), Ok(0));
    let directory = opened(&tree, "usr", open::READ).unwrap();
    assert_eq!(directory.read(0, &mut buffer), Err(Error::IsDirectory));
    let device = opened(&tree, "dev/null", open::READ).unwrap();
    assert_eq!(device.read(0, &mut buffer), Err(Error::Unsupported));
    let place = opened(&tree, "bin/hello", open::PATH | open::READ).unwrap();
    assert_eq!(place.read(0, &mut buffer), Err(Error::Denied));
}

#[test]
fn pages_are_shared_for_whoever_asks() {
    let tree = client();
    let hello = opened(&tree, "bin/hello", open::READ).unwrap();
    let (pages, length) = hello.pages(Caller(OTHER)).unwrap();
    assert_eq!((pages.raw().process, length), (CLIENT, 10_000));
    let empty = opened(&tree, "etc/empty", open::READ).unwrap();
    assert_eq!(empty.pages(Caller(CLIENT)), Err(Error::Unsupported));
    let directory = opened(&tree, "etc", open::READ).unwrap();
    assert_eq!(directory.pages(Caller(CLIENT)), Err(Error::Unsupported));
}

#[test]
fn a_reference_for_another_process_needs_the_right() {
    let answer = client().open(b"etc", open::READ, 0, OTHER, &mut []);
    assert_eq!(answer, Err(Error::Denied));
    let tree = client_of(&sample(), Rights::LOOKUP | Rights::DELEGATE);
    let opened = tree
        .open(b"etc/passwd", open::READ, 0, OTHER, &mut [])
        .unwrap();
    let mut buffer = [0; 4];
    let theirs = FileStub::new(opened.file, Near(OTHER));
    assert_eq!(theirs.read(0, &mut buffer), Ok(4));
    let mine = FileStub::new(opened.file, Near(CLIENT));
    assert_eq!(mine.read(0, &mut buffer), Err(Error::BadReference));
}

#[test]
fn releasing_gives_the_open_file_back() {
    let tree = client();
    let before = testing::live_objects();
    let file = opened(&tree, "etc/passwd", open::READ).unwrap();
    assert_eq!(testing::live_objects(), before + 1);
    testing::release(file.reference().raw());
    assert_eq!(testing::live_objects(), before);
    assert_eq!(file.read(0, &mut [0; 1]), Err(Error::BadReference));
}

#[test]
fn directories_list_in_pieces_of_any_size() {
    let mut tree = sample();
    for index in 0..700 {
        put(
            &mut tree,
            &format!("many/name-{index:03}"),
            0o644,
            file(b"x"),
        );
    }
    let tree = client_of(&tree, Rights::LOOKUP);
    let many = opened(&tree, "many", open::READ).unwrap();
    let whole = list(&many, 4096);
    assert_eq!(whole.len(), 700);
    assert!(
        whole
            .iter()
            .all(|entry| entry.kind == kind::REGULAR && entry.cookie < 1 << 62)
    );
    for room in [40, 41, 64, 333] {
        assert_eq!(list(&many, room), whole, "{room}");
    }
    assert_eq!(many.read_directory(0, &mut [0; 20]), Err(Error::TooLarge));
    let numbers: BTreeMap<_, _> = whole
        .iter()
        .map(|entry| (entry.name.clone(), entry.number))
        .collect();
    assert_eq!(numbers.len(), 700);
    let stated = attributes(&tree, "many/name-123", true).unwrap().number;
    assert_eq!(numbers[b"name-123".as_slice()], stated);
    assert_eq!(
        list(&opened(&tree, "var/empty", open::PATH).unwrap(), 4096),
        []
    );
    let plain = opened(&tree, "etc/passwd", open::READ).unwrap();
    assert_eq!(
        plain.read_directory(0, &mut [0; 4096]),
        Err(Error::NotDirectory)
    );
}

#[test]
fn nothing_can_be_changed() {
    let tree = client();
    let mut room = [0; 4096];
    let read_only = Err(Error::ReadOnly);
    assert_eq!(tree.make_directory(b"etc/new", 0o755, &mut room), read_only);
    assert_eq!(
        tree.make_directory(b"etc", 0o755, &mut room),
        Err(Error::Exists)
    );
    assert_eq!(
        tree.make_directory(b"", 0o755, &mut room),
        Err(Error::Exists)
    );
    assert_eq!(
        tree.make_directory(b"no/new", 0o755, &mut room),
        Err(Error::NotFound)
    );
    assert_eq!(tree.make_link(b"x", b"etc/new", &mut room), read_only);
    assert_eq!(tree.make_node(b"etc/new", 0o644, 0, &mut room), read_only);
    assert_eq!(tree.link(b"etc/passwd", b"etc/new", &mut room), read_only);
    assert_eq!(
        tree.link(b"etc/none", b"etc/new", &mut room),
        Err(Error::NotFound)
    );
    assert_eq!(tree.remove(b"etc/passwd", false, &mut room), read_only);
    assert_eq!(
        tree.rename(b"etc/passwd", b"etc/new", 0, &mut room),
        read_only
    );
    assert_eq!(
        tree.set_attributes(b"etc", &[], 0, true, &mut room),
        read_only
    );
    let file = opened(&tree, "etc/passwd", open::READ).unwrap();
    assert_eq!(file.write(0, b"x"), Err(Error::Denied));
    assert_eq!(file.set_attributes(&[], 0), read_only);
    let mut try_open = |path: &str, flags| {
        tree.open_writable(path.as_bytes(), flags, 0o644, CLIENT, &mut room)
            .map(drop)
    };
    assert_eq!(try_open("etc/passwd", open::WRITE), read_only);
    assert_eq!(
        try_open("etc/passwd", open::READ | open::TRUNCATE),
        read_only
    );
    assert_eq!(try_open("etc/passwd", open::READ | open::CREATE), Ok(()));
    assert_eq!(try_open("etc/new", open::WRITE | open::CREATE), read_only);
    assert_eq!(try_open("etc/new/", open::CREATE), Err(Error::IsDirectory));
    assert_eq!(try_open("dangling", open::CREATE), read_only);
    let exclusive = open::CREATE | open::EXCLUSIVE;
    assert_eq!(try_open("dangling", exclusive), Err(Error::Exists));
    assert_eq!(try_open("etc", open::WRITE), Err(Error::IsDirectory));
    assert_eq!(try_open("etc", open::WRITE | open::NAMELESS), read_only);
    assert_eq!(try_open("dev/null", open::WRITE), Ok(()));
    assert_eq!(try_open("etc", 1 << 20), Err(Error::BadArgument));
    let open_to_look = tree.open(b"etc/passwd", open::WRITE, 0, CLIENT, &mut []);
    assert_eq!(open_to_look, Err(Error::Denied));
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(".."),
        Just("."),
        Just(""),
        Just("usr"),
        Just("bin"),
        Just("etc"),
        Just("hello"),
        Just("passwd"),
        Just("loop"),
        Just("above"),
        Just("absolute"),
        Just("dangling"),
        Just("var"),
        Just("empty"),
        Just("no"),
    ];
    proptest::collection::vec(piece, 0..7).prop_map(|pieces| pieces.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The walk ends where one does that resolves links and dots on whole paths.
    #[test]
    fn walks_agree_with_the_writers_tree(paths in proptest::collection::vec(pieces(), 1..12)) {
        testing::clear();
        let model = sample();
        let tree = client_of(&model, Rights::LOOKUP);
        // The second time around, directories are found walked already.
        for path in paths.iter().chain(&paths) {
            let found = attributes(&tree, path, true);
            let cold = client_of(&model, Rights::LOOKUP);
            prop_assert_eq!(&found, &attributes(&cold, path, true), "{:?}", path);
            let expected = model.get_following(path);
            match (&found, &expected) {
                (Ok(found), Ok(node)) => {
                    let mode = u32::from(node.item().kind().mode_bits());
                    prop_assert_eq!(found.mode & kind::MASK, mode);
                }
                // The writer takes the tree for the whole; an absolute path restarts in it.
                (Err(Error::Elsewhere), _) => {
                    prop_assert_eq!(elsewhere(&tree, path), elsewhere(&cold, path));
                }
                (Err(_), Err(_)) => {}
                _ => {
                    let lenient = path.ends_with('/') || path.ends_with("/.");
                    prop_assert!(lenient, "{:?}: {:?} {:?}", path, found, expected.is_ok());
                }
            }
        }
    }

    /// No bytes a client can send do more than earn it an error.
    #[test]
    fn garbage_is_answered(
        path in proptest::collection::vec(any::<u8>(), 0..64),
        flags in any::<u32>(),
        cookie in any::<u64>(),
        offset in any::<u64>(),
        room in 0usize..200,
    ) {
        let tree = client();
        let mut buffer = vec![0; room];
        let _ = tree.open(&path, flags, flags, CLIENT, &mut buffer);
        let _ = tree.open_writable(&path, flags, flags, CLIENT, &mut buffer);
        let _ = tree.attributes(&path, true, &mut buffer);
        let _ = tree.read_link(&path, &mut buffer);
        let _ = tree.rename(&path, &path, flags, &mut buffer);
        let directory = opened(&tree, "usr/bin", open::READ).unwrap();
        if let Ok(length) = directory.read_directory(cookie, &mut buffer) {
            let _ = parse_listing(&buffer[..length]);
        }
        let hello = opened(&tree, "bin/hello", open::READ).unwrap();
        let read = hello.read(offset, &mut buffer).unwrap();
        prop_assert!(read <= room);
    }

    /// A corrupt image gives errors and never takes the server down.
    #[test]
    fn corrupt_images_are_answered(
        flips in proptest::collection::vec((1152usize..20_000, any::<u8>()), 1..40),
    ) {
        let mut bytes = Builder::new(&sample()).to_bytes().unwrap();
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let Ok(image) = Image::new(bytes.leak()) else { return Ok(()) };
        let server = ImageRoot::new(image, TREE, Pages, testing::export);
        let object = Arc::new(FileTreeDispatch(server));
        let reference = testing::export(object, CLIENT, Rights::ALL).unwrap();
        let tree = FileTreeStub::new(Reference::new(reference), Near(CLIENT));
        for path in ["", "usr/bin/hello", "bin", "usr/etc/passwd", "loop", "dev/null", "above"] {
            let _ = attributes(&tree, path, true);
            let _ = tree.read_link(path.as_bytes(), &mut [0; 64]);
            if let Ok(file) = opened(&tree, path, open::READ) {
                let _ = file.read(0, &mut [0; 4096]);
                let mut cookie = 0;
                // A corrupt directory may list anything, but each step goes forward.
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = file.read_directory(cookie, &mut buffer) {
                    let entries = parse_listing(&buffer[..length]);
                    let next = entries.last().unwrap().cookie;
                    prop_assert!(next > cookie);
                    cookie = next;
                }
                let _ = file.pages(Caller(CLIENT));
                testing::release(file.reference().raw());
            }
        }
    }
}
