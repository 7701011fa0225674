//! Filling a tree: paths, links, merging, and files from the host.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use kiln_erofs::write::{
    Attributes, Builder, Content, HostOptions, Item, Ownership, Tree, TreeError, WriteError,
};
use kiln_erofs::{Device, Image, Timestamp};
use support::{assert_same, attributes, file, image_of, inode_at, read_all};

fn paths(tree: &Tree) -> Vec<String> {
    tree.walk()
        .map(|(path, _)| String::from_utf8(path).unwrap())
        .collect()
}

fn link(target: &str) -> Item {
    Item::Symlink(target.as_bytes().to_vec())
}

fn directory(tree: &mut Tree, path: &str) {
    tree.insert(path, attributes(0o755), Item::Directory)
        .unwrap();
}

#[test]
fn parents_are_made() {
    let mut tree = Tree::default();
    tree.insert("/a//b/./c", attributes(0o600), file(*b"x"))
        .unwrap();
    assert_eq!(paths(&tree), ["/", "/a", "/a/b", "/a/b/c"]);
    assert_eq!(
        tree.get("a/b").unwrap().attributes(),
        &Attributes::new(0o755)
    );
}

#[test]
fn links_to_directories_are_followed() {
    let mut tree = Tree::default();
    directory(&mut tree, "usr/lib");
    tree.insert("lib", attributes(0o777), link("usr/lib"))
        .unwrap();
    tree.insert("usr/lib64", attributes(0o777), link("/lib"))
        .unwrap();
    tree.insert("lib/x", attributes(0o644), file(*b"x"))
        .unwrap();
    tree.insert("usr/lib64/y/z", attributes(0o644), file(*b"z"))
        .unwrap();
    // A package that ships "lib/" itself does not undo the link.
    tree.insert("lib", attributes(0o700), Item::Directory)
        .unwrap();
    assert_eq!(
        paths(&tree),
        [
            "/",
            "/lib",
            "/usr",
            "/usr/lib",
            "/usr/lib/x",
            "/usr/lib/y",
            "/usr/lib/y/z",
            "/usr/lib64"
        ]
    );
    assert_eq!(tree.get("usr/lib").unwrap().attributes().mode, 0o755);
    assert_eq!(tree.resolve("usr/lib64/../lib/./x").unwrap(), b"/usr/lib/x");
    assert_eq!(tree.resolve("/../lib/..").unwrap(), b"/usr");
    assert_eq!(tree.get_following("lib").unwrap().item(), &Item::Directory);
}

#[test]
fn a_link_to_what_is_not_there_yet_makes_it() {
    let mut tree = Tree::default();
    tree.insert("bin", attributes(0o777), link("usr/bin"))
        .unwrap();
    tree.insert("bin/sh", attributes(0o755), file(*b"sh"))
        .unwrap();
    assert_eq!(
        paths(&tree),
        ["/", "/bin", "/usr", "/usr/bin", "/usr/bin/sh"]
    );
}

#[test]
fn a_directory_becomes_a_link() {
    let mut tree = Tree::default();
    tree.insert("lib/a/one", attributes(0o644), file(*b"1"))
        .unwrap();
    tree.insert("lib/two", attributes(0o644), file(*b"new"))
        .unwrap();
    tree.link("lib/two", "second").unwrap();
    tree.insert("usr/lib/two", attributes(0o644), file(*b"old"))
        .unwrap();
    tree.insert("usr/lib/a/three", attributes(0o644), file(*b"3"))
        .unwrap();
    tree.insert_link_and_merge("lib", attributes(0o777), b"usr/lib".to_vec())
        .unwrap();
    assert_eq!(
        paths(&tree),
        [
            "/",
            "/lib",
            "/second",
            "/usr",
            "/usr/lib",
            "/usr/lib/a",
            "/usr/lib/a/one",
            "/usr/lib/a/three",
            "/usr/lib/two"
        ]
    );
    assert_eq!(tree.get("lib/two").unwrap().item(), &file(*b"new"));
    assert_eq!(tree.get("second").unwrap().link_count(), 2);
    assert_same(&tree, &image_of(&tree));
}

#[test]
fn replacing_and_removing() {
    let mut tree = Tree::default();
    tree.insert("d/f", attributes(0o644), file(*b"1")).unwrap();
    tree.link("d/f", "kept").unwrap();
    tree.insert("d/f", attributes(0o600), file(*b"2")).unwrap();
    assert_eq!(tree.get("d/f").unwrap().item(), &file(*b"2"));
    assert_eq!(tree.get("kept").unwrap().link_count(), 1);
    assert!(matches!(
        tree.insert("d", attributes(0o644), file(*b"3")),
        Err(TreeError::IsDirectory(_))
    ));
    assert!(matches!(
        tree.insert("kept", attributes(0o755), Item::Directory),
        Err(TreeError::NotDirectory(_))
    ));
    assert!(matches!(
        tree.insert("kept/x", attributes(0o644), file(*b"4")),
        Err(TreeError::NotDirectory(_))
    ));
    tree.replace("d", attributes(0o644), file(*b"5")).unwrap();
    assert_eq!(paths(&tree), ["/", "/d", "/kept"]);
    tree.remove("kept").unwrap();
    assert!(matches!(tree.remove("kept"), Err(TreeError::NotFound(_))));
    assert_eq!(paths(&tree), ["/", "/d"]);
    assert_same(&tree, &image_of(&tree));
}

#[test]
fn bad_paths_targets_and_numbers_are_refused() {
    let mut tree = Tree::default();
    let long = "x".repeat(256);
    for path in [
        "",
        "/",
        "..",
        "a/..",
        "a/.",
        "a\0b",
        "a\0b/c",
        &long,
        &format!("{long}/y"),
    ] {
        let result = tree.insert(path, attributes(0o644), file(*b""));
        assert!(matches!(result, Err(TreeError::BadName(_))), "{path:?}");
    }
    for target in [&b""[..], b"a\0", &[b'x'; 4096]] {
        let result = tree.insert("l", attributes(0o777), Item::Symlink(target.to_vec()));
        assert!(matches!(result, Err(TreeError::BadTarget(_))));
    }
    let device = Device {
        major: 4096,
        minor: 0,
    };
    assert!(matches!(
        tree.insert("c", attributes(0o600), Item::CharacterDevice(device)),
        Err(TreeError::BadDevice(_))
    ));
    tree.insert("p", attributes(0o777), link("q")).unwrap();
    tree.insert("q", attributes(0o777), link("p")).unwrap();
    assert!(matches!(
        tree.insert("p/x", attributes(0o644), file(*b"")),
        Err(TreeError::SymlinkLoop(_))
    ));
    assert!(matches!(
        tree.link("/", "d"),
        Err(TreeError::IsDirectory(_))
    ));
}

#[test]
fn attributes_are_made_to_fit() {
    let mut tree = Tree::default();
    let mtime = Timestamp {
        seconds: 5,
        nanoseconds: 1_500_000_000,
    };
    tree.insert("f", Attributes::new(0o100_644).modified(mtime), file(*b""))
        .unwrap();
    let found = *tree.get("f").unwrap().attributes();
    let mtime = Timestamp {
        seconds: 6,
        nanoseconds: 500_000_000,
    };
    assert_eq!(found, Attributes::new(0o644).modified(mtime));
}

#[test]
fn a_host_directory_comes_whole() {
    let host = tempfile::tempdir().unwrap();
    let at = |name: &str| host.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/f"), b"content").unwrap();
    fs::set_permissions(at("d/f"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(at("d/f"), at("again")).unwrap();
    symlink("d/f", at("link")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();

    let mut tree = Tree::default();
    directory(&mut tree, "usr");
    tree.insert("opt", attributes(0o777), link("usr")).unwrap();
    let options = HostOptions {
        ownership: Ownership::Keep,
        mtime: None,
    };
    let report = tree
        .add_host_directory(host.path(), "opt/here", &options)
        .unwrap();
    assert_eq!(report.files, 2);
    assert_eq!(report.directories, 2);
    assert_eq!(report.skipped_sockets, [at("socket")]);
    assert_eq!(
        paths(&tree),
        [
            "/",
            "/opt",
            "/usr",
            "/usr/here",
            "/usr/here/again",
            "/usr/here/d",
            "/usr/here/d/f",
            "/usr/here/link"
        ]
    );

    let bytes = image_of(&tree);
    assert_same(&tree, &bytes);
    let image = Image::new(&bytes).unwrap();
    let inode = inode_at(&image, b"usr/here/again");
    assert_eq!(read_all(&image, &inode), b"content");
    let status = fs::metadata(at("again")).unwrap();
    assert_eq!((u32::from(inode.mode), inode.nlink), (status.mode(), 2));
    assert_eq!((inode.uid, inode.gid), (status.uid(), status.gid()));
    assert_eq!(inode.mtime.seconds, status.mtime());
    assert_eq!(i64::from(inode.mtime.nanoseconds), status.mtime_nsec());
}

#[test]
fn times_and_owners_can_be_forced() {
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("f"), b"x").unwrap();
    let mtime = Timestamp::from_seconds(77);
    let options = HostOptions {
        ownership: Ownership::Root,
        mtime: Some(mtime),
    };
    let mut tree = Tree::default();
    tree.add_host_directory(host.path(), "/", &options).unwrap();
    tree.add_host_file(host.path().join("f"), "g", &options)
        .unwrap();
    for path in ["/", "f", "g"] {
        let found = tree.get(path).unwrap().attributes();
        assert_eq!((found.uid, found.gid, found.mtime), (0, 0, mtime), "{path}");
    }
}

#[test]
fn parts_of_host_files_are_read() {
    let host = tempfile::tempdir().unwrap();
    let path = host.path().join("archive");
    let archive: Vec<u8> = (0..700_000).map(|at| (at % 241) as u8).collect();
    fs::write(&path, &archive).unwrap();
    let mut tree = Tree::default();
    let ranges = [(0, 10), (10, 5000), (100_000, 600_000), (241, 10)];
    for (offset, length) in ranges {
        let content = Content::HostRange {
            path: path.clone(),
            offset,
            length,
        };
        tree.insert(format!("{offset}"), attributes(0o644), Item::File(content))
            .unwrap();
    }
    let bytes = image_of(&tree);
    let image = Image::new(&bytes).unwrap();
    for (offset, length) in ranges {
        let inode = inode_at(&image, format!("{offset}").as_bytes());
        let expected = &archive[offset as usize..][..length as usize];
        assert_eq!(read_all(&image, &inode), expected);
    }
    // Two of the parts have the same bytes.
    assert_eq!(Builder::new(&tree).layout().unwrap().summary().shared, 10);
}

#[test]
fn a_host_file_that_changes_is_an_error() {
    let host = tempfile::tempdir().unwrap();
    let path = host.path().join("f");
    fs::write(&path, b"long").unwrap();
    let mut tree = Tree::default();
    tree.add_host_file(&path, "f", &HostOptions::default())
        .unwrap();
    let layout = Builder::new(&tree).layout().unwrap();
    fs::write(&path, b"longer").unwrap();
    let result = layout.write_to(&mut Vec::new());
    assert!(matches!(
        result,
        Err(WriteError::HostFileChanged {
            expected: 4,
            found: 6,
            ..
        })
    ));
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        layout.write_to(&mut Vec::new()),
        Err(WriteError::Host { .. })
    ));
}
