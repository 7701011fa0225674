//! Linux's own EROFS tools and this crate agree on what an image says.
//!
//! The tools are in the Debian package erofs-utils.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use kiln_erofs::write::{Attributes, Builder, Content, HostOptions, Item, Ownership, Tree};
use kiln_erofs::{Device, Error, Image, Kind, Layout, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::{file, image_of, inode_at, read_all};

/// Runs a tool.
fn tool<S: AsRef<OsStr>>(name: &str, arguments: &[S]) -> Output {
    let result = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    match result {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            panic!("{name} is not there: install the Debian package erofs-utils")
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

fn succeeded(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0)
}

fn dated(mode: u16, seconds: i64, nanoseconds: u32) -> Attributes {
    Attributes::new(mode).modified(Timestamp {
        seconds,
        nanoseconds,
    })
}

fn sample() -> Tree {
    let mut tree = Tree::new(dated(0o755, 1_600_000_000, 0));
    for size in [0usize, 1, 4095, 4096, 4097, 300_000] {
        let content: Vec<u8> = (0..size).map(|at| (at * 31 % 253) as u8).collect();
        tree.insert(
            format!("sizes/{size}"),
            dated(0o640, 1_700_000_000, 123_456_789),
            file(content),
        )
        .unwrap();
    }
    for number in 0..5000 {
        let content = Content::Bytes(format!("{}", number % 7).into_bytes());
        let path = format!("many/name-{number}");
        tree.insert(path, dated(0o644, number, 0), Item::File(content))
            .unwrap();
    }
    for name in [&b"!"[..], b"-", b"..a", b"\xff\xfe", &[b'n'; 255], b"\x01"] {
        let mut path = b"names/".to_vec();
        path.extend_from_slice(name);
        tree.insert(path, dated(0o4755, 5, 0), file(name)).unwrap();
    }
    let deep = "d/".repeat(60) + "end";
    tree.insert(deep, dated(0o400, 6, 999_999_999), file(*b"deep"))
        .unwrap();
    tree.link("sizes/4097", "hard").unwrap();
    tree.link("sizes/4097", "many/hard").unwrap();
    for target in [
        b"sizes/1".to_vec(),
        vec![b't'; 4000],
        vec![b't'; 4095],
        b"/\xff".to_vec(),
    ] {
        let path = format!("link-{}", target.len());
        tree.insert(path, dated(0o777, 9, 0), Item::Symlink(target))
            .unwrap();
    }
    tree.insert("pipe", dated(0o600, 10, 0), Item::Fifo)
        .unwrap();
    tree
}

fn assert_extracted(tree: &Tree, directory: &Path) {
    for (path, node) in tree.walk() {
        let relative = path.strip_prefix(b"/").unwrap_or(&path);
        let host = directory.join(OsStr::from_bytes(relative));
        let status = fs::symlink_metadata(&host).unwrap();
        let attributes = node.attributes();
        let mtime = (
            attributes.mtime.seconds,
            i64::from(attributes.mtime.nanoseconds),
        );
        assert_eq!((status.mtime(), status.mtime_nsec()), mtime, "{host:?}");
        if is_root() {
            assert_eq!(
                (status.uid(), status.gid()),
                (attributes.uid, attributes.gid),
                "{host:?}"
            );
        }
        if node.item().kind() != Kind::Symlink {
            // The tool changes owners last, for which Linux takes set-ID bits away.
            let expected = u32::from(attributes.mode) & 0o1777;
            assert_eq!(status.mode() & 0o1777, expected, "{host:?}");
        }
        match node.item() {
            Item::File(Content::Bytes(content)) => {
                assert!(fs::read(&host).unwrap() == *content, "{host:?}");
            }
            Item::File(_) => unreachable!("tests hold their bytes"),
            Item::Symlink(target) => {
                assert_eq!(
                    &fs::read_link(&host).unwrap().into_os_string().into_vec(),
                    target
                );
            }
            Item::Directory => {
                let mut names: Vec<Vec<u8>> = fs::read_dir(&host)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_vec())
                    .collect();
                names.sort_unstable();
                assert!(names.iter().map(Vec::as_slice).eq(node.names()), "{host:?}");
            }
            Item::CharacterDevice(_) => assert!(status.file_type().is_char_device()),
            Item::BlockDevice(_) => assert!(status.file_type().is_block_device()),
            Item::Fifo => assert!(status.file_type().is_fifo()),
        }
    }
}

/// Checks `tree`'s image with fsck.erofs, extracts it and compares.
fn check_and_extract(tree: &Tree) {
    let scratch = tempfile::tempdir().unwrap();
    let (path, target) = (
        scratch.path().join("image"),
        scratch.path().join("extracted"),
    );
    fs::write(&path, image_of(tree)).unwrap();
    let mut extract = OsStr::new("--extract=").to_owned();
    extract.push(&target);
    // Also for ordinary users, for whom modes would be subject to their umask.
    let arguments = [&extract, OsStr::new("--preserve-perms"), path.as_os_str()];
    let output = tool("fsck.erofs", &arguments);
    succeeded(&output);
    assert_extracted(tree, &target);
}

#[test]
fn fsck_accepts_and_extracts_the_same() {
    let mut tree = sample();
    if is_root() {
        let device = Device {
            major: 4095,
            minor: 1_048_575,
        };
        tree.insert(
            "dev/null",
            dated(0o666, 3, 0),
            Item::CharacterDevice(Device { major: 1, minor: 3 }),
        )
        .unwrap();
        tree.insert("dev/far", dated(0o660, 3, 0), Item::BlockDevice(device))
            .unwrap();
        let owner = Attributes {
            uid: 70_000,
            gid: 12,
            ..dated(0o600, 3, 0)
        };
        tree.insert("owned", owner, file(*b"mine")).unwrap();
    }
    check_and_extract(&tree);
}

#[test]
fn fsck_accepts_compact_inodes() {
    let then = Timestamp {
        seconds: 1_700_000_000,
        nanoseconds: 5,
    };
    let mut tree = Tree::new(Attributes::new(0o755).modified(then));
    tree.insert("a/b", Attributes::new(0o644).modified(then), file(*b"x"))
        .unwrap();
    tree.insert(
        "link",
        Attributes::new(0o777).modified(then),
        Item::Symlink(b"a".to_vec()),
    )
    .unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    fs::write(
        &path,
        Builder::new(&tree).build_time(then).to_bytes().unwrap(),
    )
    .unwrap();
    let mut extract = OsStr::new("--extract=").to_owned();
    extract.push(scratch.path().join("extracted"));
    let arguments = [&extract, OsStr::new("--preserve-perms"), path.as_os_str()];
    let output = tool("fsck.erofs", &arguments);
    succeeded(&output);
    assert_extracted(&tree, &scratch.path().join("extracted"));
}

/// Whether the tool could extract this on any host: it makes files with these names and owners.
fn extractable(tree: &Tree) -> bool {
    tree.walk().all(|(path, node)| {
        let permitted = match node.item() {
            Item::CharacterDevice(_) | Item::BlockDevice(_) => is_root(),
            // Without all bits for the owner only root can look into it.
            _ => is_root() || node.attributes().mode & 0o700 == 0o700,
        };
        // -1 as an owner means "leave it" to chown.
        let owners = [node.attributes().uid, node.attributes().gid];
        permitted && path.len() < 1000 && !owners.contains(&u32::MAX)
    })
}

#[test]
fn fsck_accepts_any_tree() {
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let trees = support::tree(25).prop_filter("not for every host", extractable);
    runner
        .run(&trees, |tree| {
            check_and_extract(&tree);
            Ok(())
        })
        .unwrap();
}

#[test]
fn dump_tells_the_same() {
    let tree = sample();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let bytes = Builder::new(&tree).uuid([0xab; 16]).to_bytes().unwrap();
    fs::write(&path, &bytes).unwrap();
    let output = tool("dump.erofs", &[OsStr::new("-s"), path.as_os_str()]);
    let text = succeeded(&output);
    assert!(
        text.contains("abababab-abab-abab-abab-abababababab"),
        "{text}"
    );
    assert!(text.contains("sb_csum") && text.contains("mtime"), "{text}");
    let image = Image::new(&bytes).unwrap();
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("Filesystem inode count:"))
        .map(|count| count.trim().parse());
    assert_eq!(count, Some(Ok(image.inode_count())), "{text}");

    let arguments = [OsStr::new("--path=/sizes/4097"), path.as_os_str()];
    let text = succeeded(&tool("dump.erofs", &arguments));
    let inode = inode_at(&image, b"sizes/4097");
    assert!(text.contains(&format!("NID: {}", inode.nid.0)), "{text}");
    assert!(text.contains("Links: 3"), "{text}");
    assert!(text.contains("Size: 4097"), "{text}");
    assert!(text.contains("Layout: 0"), "{text}");
}

/// An image by Linux's own tool of a small directory, and where the directory is.
fn made_by_linux(options: &[&str]) -> (tempfile::TempDir, Vec<u8>) {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    for size in [0usize, 1, 100, 4090, 4096, 4097, 9000, 40_000] {
        fs::write(source.join(format!("{size}")), vec![b'k'; size]).unwrap();
    }
    fs::create_dir(source.join("many")).unwrap();
    for number in 0..300 {
        fs::write(
            source.join(format!("many/with-a-longer-name-{number}")),
            b"",
        )
        .unwrap();
    }
    std::os::unix::fs::symlink("many/x", source.join("link")).unwrap();
    let path = scratch.path().join("image");
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.extend([path.as_os_str(), source.as_os_str()]);
    succeeded(&tool("mkfs.erofs", &arguments));
    let bytes = fs::read(path).unwrap();
    (scratch, bytes)
}

#[test]
fn images_by_linux_can_be_read() {
    for options in [
        &[][..],
        &["-T1234567"],
        &["-Enoinline_data"],
        &["-Eforce-inode-extended"],
    ] {
        let (scratch, bytes) = made_by_linux(options);
        let image = Image::new(&bytes).unwrap();
        let options = HostOptions {
            ownership: Ownership::Keep,
            mtime: None,
        };
        let mut tree = Tree::default();
        tree.add_host_directory(scratch.path().join("source"), "/", &options)
            .unwrap();
        for (path, node) in tree.walk() {
            let inode = inode_at(&image, &path);
            assert_eq!(inode.mode & 0o7777, node.attributes().mode);
            match node.item() {
                Item::File(Content::HostFile { path, .. }) => {
                    assert_eq!(read_all(&image, &inode), fs::read(path).unwrap());
                }
                Item::Symlink(target) => assert_eq!(image.symlink_target(&inode), Ok(&target[..])),
                _ => {
                    let names = image.read_directory(&inode, 0).unwrap().count();
                    assert_eq!(names, node.names().count() + 2);
                }
            }
        }
    }
}

#[test]
fn data_behind_a_linux_inode_is_not_one_extent() {
    let (_scratch, bytes) = made_by_linux(&[]);
    let image = Image::new(&bytes).unwrap();
    let inode = inode_at(&image, b"4097");
    assert_eq!(inode.layout, Layout::FlatInline);
    assert_eq!(image.data_extent(&inode), Ok(None));
}

#[test]
fn compressed_and_chunked_files_are_unsupported() {
    for options in [&["-zlz4"][..], &["--chunksize=4096"]] {
        let (_scratch, bytes) = made_by_linux(options);
        let image = Image::new(&bytes).unwrap();
        let inode = inode_at(&image, b"40000");
        assert_eq!(inode.size, 40_000);
        let unsupported = |error| matches!(error, Some(Error::Unsupported { .. }));
        assert!(unsupported(image.data_extent(&inode).err()));
        assert!(unsupported(image.read_at(&inode, 0, &mut [0; 10]).err()));
    }
}
