//! What the tests share: random trees, and comparing an image with its tree.
#![allow(dead_code, reason = "each test file uses some of it")]

use kiln_erofs::write::{Attributes, Builder, Content, Item, Tree};
use kiln_erofs::{Device, Image, Inode, Kind, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

/// Permission bits that let the owner in, so that tests need not run as root to look at results.
pub fn attributes(mode: u16) -> Attributes {
    Attributes::new(mode)
}

pub fn file(bytes: impl Into<Vec<u8>>) -> Item {
    Item::File(Content::Bytes(bytes.into()))
}

pub fn image_of(tree: &Tree) -> Vec<u8> {
    Builder::new(tree).to_bytes().unwrap()
}

/// Reads through a path of real directories, as the file server does.
pub fn inode_at(image: &Image<'_>, path: &[u8]) -> Inode {
    let mut inode = image.inode(image.root()).unwrap();
    for name in path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
    {
        inode = image.inode(image.lookup(&inode, name).unwrap()).unwrap();
    }
    inode
}

pub fn read_all(image: &Image<'_>, inode: &Inode) -> Vec<u8> {
    let mut bytes = vec![0xaa; inode.size as usize + 1];
    let count = image.read_at(inode, 0, &mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

/// Checks that the image says of every node just what the tree does.
pub fn assert_same(tree: &Tree, bytes: &[u8]) {
    let image = Image::new(bytes).unwrap();
    assert_eq!(image.length(), bytes.len());
    for (path, node) in tree.walk() {
        let inode = inode_at(&image, &path);
        let attributes = node.attributes();
        let kind = node.item().kind();
        assert_eq!(inode.kind, kind, "{path:?}");
        assert_eq!(inode.mode, kind.mode_bits() | attributes.mode, "{path:?}");
        assert_eq!(
            (inode.uid, inode.gid),
            (attributes.uid, attributes.gid),
            "{path:?}"
        );
        assert_eq!(inode.mtime, attributes.mtime, "{path:?}");
        match node.item() {
            Item::File(Content::Bytes(content)) => {
                assert_eq!(inode.nlink, node.link_count(), "{path:?}");
                assert_eq!(&read_all(&image, &inode), content, "{path:?}");
                let extent = image.data_extent(&inode).unwrap().expect("one piece");
                assert_eq!(extent.length, content.len() as u64);
                assert_eq!(extent.offset % 4096, 0);
                let start = extent.offset as usize;
                let end = start + content.len();
                assert_eq!(&bytes[start..end], &content[..]);
                assert!(
                    bytes[end..end.next_multiple_of(4096)]
                        .iter()
                        .all(|&byte| byte == 0)
                );
            }
            Item::File(_) => {}
            Item::Symlink(target) => {
                assert_eq!(image.symlink_target(&inode).unwrap(), target, "{path:?}");
                assert_eq!(inode.size, target.len() as u64);
            }
            Item::CharacterDevice(device) | Item::BlockDevice(device) => {
                assert_eq!(inode.rdev, *device, "{path:?}");
            }
            Item::Fifo => assert_eq!(inode.size, 0),
            Item::Directory => {
                let mut expected: Vec<&[u8]> = node.names().collect();
                expected.extend([&b"."[..], b".."]);
                expected.sort_unstable();
                let entries: Vec<_> = image
                    .read_directory(&inode, 0)
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                let names: Vec<&[u8]> = entries.iter().map(|entry| entry.name).collect();
                assert_eq!(names, expected, "{path:?}");
                for entry in &entries {
                    assert_eq!(image.inode(entry.nid).unwrap().kind, entry.kind);
                    assert_eq!(image.lookup(&inode, entry.name), Ok(entry.nid));
                }
                let below = entries
                    .iter()
                    .filter(|entry| entry.kind == Kind::Directory)
                    .count();
                // "." and ".." are among them, and count as the format wants it.
                assert_eq!(inode.nlink as usize, below);
            }
        }
    }
}

/// A name of a file: any bytes but zero and "/", and neither "." nor "..".
pub fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = (1u8..=255).prop_filter("a separator", |&byte| byte != b'/');
    let short = vec(
        prop_oneof![b'a'..=b'd', Just(b'.'), Just(b'-'), byte.clone()],
        1..6,
    );
    prop_oneof![9 => short, 1 => vec(byte, 200..=255)]
        .prop_filter("a special name", |name| name != b"." && name != b"..")
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let id = || prop_oneof![4 => Just(0u32), 1 => 0u32..70_000, 1 => any::<u32>()];
    let mtime = prop_oneof![
        Just(Timestamp::default()),
        (0i64..4_000_000_000, 0u32..1_000_000_000).prop_map(|(seconds, nanoseconds)| Timestamp {
            seconds,
            nanoseconds
        }),
    ];
    (0u16..=0o7777, id(), id(), mtime).prop_map(|(mode, uid, gid, mtime)| Attributes {
        mode,
        uid,
        gid,
        mtime,
    })
}

fn any_item() -> impl Strategy<Value = Item> {
    let size = prop_oneof![0usize..100, 4000usize..4200, 8100usize..8300];
    let content = (size, 0u8..3).prop_map(|(size, fill)| {
        file(
            (0..size)
                .map(|at| (at as u8).wrapping_mul(fill))
                .collect::<Vec<u8>>(),
        )
    });
    let byte = 1u8..=255;
    let target = prop_oneof![9 => vec(byte.clone(), 1..60), 1 => vec(byte, 3900..=4095)];
    let device = || {
        (0..=Device::MAJOR_MAX, 0..=Device::MINOR_MAX)
            .prop_map(|(major, minor)| Device { major, minor })
    };
    prop_oneof![
        4 => content,
        3 => Just(Item::Directory),
        2 => target.prop_map(Item::Symlink),
        1 => device().prop_map(Item::CharacterDevice),
        1 => device().prop_map(Item::BlockDevice),
        1 => Just(Item::Fifo),
    ]
}

/// Trees of up to `size` insertions, some of them hard links to an earlier one.
pub fn tree(size: usize) -> impl Strategy<Value = Tree> {
    let step = (
        vec(name(), 1..4),
        any_attributes(),
        any_item(),
        any::<prop::sample::Index>(),
    );
    vec((step, 0u8..8), 0..size).prop_map(|steps| {
        let mut tree = Tree::default();
        let mut paths: Vec<Vec<u8>> = Vec::new();
        for ((names, attributes, item, index), choice) in steps {
            let path = names.join(&b'/');
            // Insertions that meet a file or a link on their way may fail; the tree stays whole.
            if choice == 0 && !paths.is_empty() {
                let _ = tree.link(index.get(&paths), &path);
            } else if tree.insert(&path, attributes, item).is_ok() {
                paths.push(path);
            }
        }
        tree
    })
}
