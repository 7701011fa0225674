//! What is written can be read, and is what was put in.

mod support;

use kiln_erofs::write::{Attributes, Builder, Item, Tree};
use kiln_erofs::{BLOCK_SIZE, Error, Image, Kind, Layout, Timestamp};
use proptest::prelude::*;
use support::{assert_same, attributes, file, image_of, inode_at, read_all, tree};

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_tree(tree in tree(40)) {
        let bytes = image_of(&tree);
        assert_same(&tree, &bytes);
        prop_assert_eq!(&image_of(&tree.clone()), &bytes);
        let layout = Builder::new(&tree).layout().unwrap();
        prop_assert_eq!(layout.summary().length, bytes.len() as u64);
    }

    #[test]
    fn any_part_of_a_file(
        size in 0usize..9000,
        offset in 0u64..9500,
        length in 0usize..9500,
    ) {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let mut tree = Tree::default();
        tree.insert("f", attributes(0o644), file(content.clone())).unwrap();
        let bytes = image_of(&tree);
        let image = Image::new(&bytes).unwrap();
        let mut buffer = vec![0; length];
        let count = image.read_at(&inode_at(&image, b"f"), offset, &mut buffer).unwrap();
        let start = size.min(offset as usize);
        prop_assert_eq!(&buffer[..count], &content[start..size.min(start + length)]);
    }
}

#[test]
fn sizes_around_a_page() {
    let mut tree = Tree::default();
    for size in [0usize, 1, 4095, 4096, 4097, 8192, 1_000_000] {
        let content: Vec<u8> = (0..size).map(|at| (at * 7 % 255) as u8 + 1).collect();
        tree.insert(format!("{size}"), attributes(0o644), file(content))
            .unwrap();
    }
    let bytes = image_of(&tree);
    assert_same(&tree, &bytes);
}

#[test]
fn an_empty_tree_is_one_page() {
    let tree = Tree::default();
    let bytes = image_of(&tree);
    assert_eq!(bytes.len(), BLOCK_SIZE);
    assert_same(&tree, &bytes);
}

#[test]
fn a_small_program_costs_one_page_of_metadata() {
    let mut tree = Tree::default();
    tree.insert("bin/hello", attributes(0o755), file(vec![0x90; 20_000]))
        .unwrap();
    let summary = Builder::new(&tree).layout().unwrap().summary();
    assert_eq!(summary.metadata, 4096);
    assert_eq!(summary.length, 4096 + 20_480);
}

#[test]
fn five_thousand_names_in_one_directory() {
    let mut tree = Tree::default();
    for number in 0..5000u32 {
        // Lengths vary, so that blocks end at all kinds of places.
        let name = format!("d/{number}{}", "x".repeat(number as usize % 40));
        tree.insert(name, attributes(0o600), file(number.to_le_bytes()))
            .unwrap();
    }
    let bytes = image_of(&tree);
    assert_same(&tree, &bytes);

    let image = Image::new(&bytes).unwrap();
    let directory = inode_at(&image, b"d");
    assert!(directory.size > 20 * BLOCK_SIZE as u64);
    for missing in [&b"0x"[..], b"", b"zzz", b"!", b"4999y", b"x"] {
        assert_eq!(
            image.lookup(&directory, missing),
            Err(Error::NotFound),
            "{missing:?}"
        );
    }
    // Any entry's cookie goes on with the entry behind it.
    let all: Vec<_> = image
        .read_directory(&directory, 0)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(all.len(), 5002);
    for (index, entry) in all.iter().enumerate().step_by(97) {
        let rest: Vec<_> = image
            .read_directory(&directory, entry.next)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rest, all[index + 1..]);
    }
    assert_eq!(
        image
            .read_directory(&directory, all[5001].next)
            .unwrap()
            .count(),
        0
    );
    assert_eq!(
        image.read_directory(&directory, u64::MAX).unwrap().count(),
        0
    );
}

#[test]
fn directories_of_all_lengths_around_a_block() {
    let mut tree = Tree::default();
    // Tails of 4016 to 4096 bytes, then a second block.
    let extras = 0..90usize;
    for extra in extras.clone() {
        for number in 0..35 {
            let path = format!("{extra}/{number:0>100}");
            tree.insert(path, attributes(0o644), file([])).unwrap();
        }
        let path = format!("{extra}/{}", "x".repeat(57 + extra));
        tree.insert(path, attributes(0o644), file([])).unwrap();
    }
    let bytes = image_of(&tree);
    assert_same(&tree, &bytes);
    let image = Image::new(&bytes).unwrap();
    let lengths: Vec<(u64, Layout)> = extras
        .map(|extra| inode_at(&image, format!("{extra}").as_bytes()))
        .map(|inode| (inode.size, inode.layout))
        .collect();
    assert!(lengths.contains(&(4064, Layout::FlatInline)));
    assert!(lengths.contains(&(4065, Layout::FlatPlain)));
    assert!(lengths.contains(&(4096, Layout::FlatPlain)));
    assert!(
        lengths
            .iter()
            .any(|&(size, layout)| size > 4096 && layout == Layout::FlatInline)
    );
}

#[test]
fn long_names_odd_names_and_depth() {
    let mut tree = Tree::default();
    let longest = [0xff_u8; 255];
    tree.insert(longest, attributes(0o644), file(*b"long"))
        .unwrap();
    tree.insert(b"\x01\xfe\xff", attributes(0o644), file(*b"odd"))
        .unwrap();
    // Sorted before and behind "." and "..".
    for name in ["!", "-", "..a", ".a", "...", "/0"] {
        tree.insert(name, attributes(0o644), file(name.as_bytes()))
            .unwrap();
    }
    let mut deep = Vec::new();
    for _ in 0..2000 {
        deep.extend_from_slice(b"/d");
    }
    deep.extend_from_slice(b"/end");
    tree.insert(&deep, attributes(0o644), file(*b"deep"))
        .unwrap();
    let bytes = image_of(&tree);
    let image = Image::new(&bytes).unwrap();
    assert_eq!(read_all(&image, &inode_at(&image, &deep)), b"deep");
    assert_eq!(read_all(&image, &inode_at(&image, &longest)), b"long");
    assert_eq!(read_all(&image, &inode_at(&image, b"\x01\xfe\xff")), b"odd");
    for name in ["!", "-", "..a", ".a", "...", "0"] {
        assert_eq!(inode_at(&image, name.as_bytes()).kind, Kind::File);
    }
}

#[test]
fn parents_are_found_through_dot_dot() {
    let mut tree = Tree::default();
    tree.insert("a/b/c", attributes(0o755), Item::Directory)
        .unwrap();
    let bytes = image_of(&tree);
    let image = Image::new(&bytes).unwrap();
    assert_eq!(
        inode_at(&image, b"a/b/c/..").nid,
        inode_at(&image, b"a/b").nid
    );
    assert_eq!(inode_at(&image, b"a/b/../..").nid, image.root());
    assert_eq!(inode_at(&image, b"..").nid, image.root());
}

#[test]
fn hard_links_are_one_inode() {
    let mut tree = Tree::default();
    tree.insert("a", attributes(0o644), file(*b"shared"))
        .unwrap();
    tree.link("a", "d/b").unwrap();
    tree.link("d/b", "c").unwrap();
    let bytes = image_of(&tree);
    let image = Image::new(&bytes).unwrap();
    assert_same(&tree, &bytes);
    assert_eq!(inode_at(&image, b"a").nid, inode_at(&image, b"d/b").nid);
    assert_eq!(inode_at(&image, b"c").nlink, 3);
}

#[test]
fn equal_contents_are_stored_once() {
    let mut tree = Tree::default();
    let one: Vec<u8> = (0..300_000).map(|at| (at % 253) as u8).collect();
    let mut other = one.clone();
    other[299_999] ^= 1;
    tree.insert("a", attributes(0o644), file(one.clone()))
        .unwrap();
    tree.insert("b", attributes(0o755), file(one)).unwrap();
    tree.insert("c", attributes(0o755), file(other)).unwrap();
    let summary = Builder::new(&tree).layout().unwrap().summary();
    assert_eq!((summary.content, summary.shared), (600_000, 300_000));
    let bytes = image_of(&tree);
    assert_same(&tree, &bytes);
    let image = Image::new(&bytes).unwrap();
    assert_ne!(inode_at(&image, b"a").nid, inode_at(&image, b"b").nid);
}

#[test]
fn inodes_at_the_build_time_are_compact() {
    let then = Timestamp::from_seconds(1_700_000_000);
    let directory = Attributes::new(0o755).modified(then);
    let mut tree = Tree::new(directory);
    for number in 0..1000 {
        tree.insert(format!("{number}"), directory, file([]))
            .unwrap();
    }
    let compact = Builder::new(&tree).build_time(then);
    let extended = Builder::new(&tree);
    let difference = extended.layout().unwrap().summary().metadata
        - compact.layout().unwrap().summary().metadata;
    assert!(difference >= 31_000, "{difference}");
    assert_same(&tree, &compact.to_bytes().unwrap());
    assert_same(&tree, &extended.to_bytes().unwrap());
}

#[test]
fn identifier_and_name_are_kept() {
    let tree = Tree::default();
    let builder = Builder::new(&tree)
        .uuid([7; 16])
        .volume_name(*b"kiln-root\0\0\0\0\0\0\0");
    let bytes = builder.to_bytes().unwrap();
    let image = Image::new(&bytes).unwrap();
    assert_eq!(image.uuid(), [7; 16]);
    assert_eq!(&image.volume_name(), b"kiln-root\0\0\0\0\0\0\0");
    assert_eq!(image.inode_count(), 1);
}

#[test]
fn operations_on_the_wrong_kind_are_refused() {
    let mut tree = Tree::default();
    tree.insert("f", attributes(0o644), file(*b"x")).unwrap();
    tree.insert("l", attributes(0o777), Item::Symlink(b"f".to_vec()))
        .unwrap();
    let bytes = image_of(&tree);
    let image = Image::new(&bytes).unwrap();
    let (root, file, link) = (
        inode_at(&image, b""),
        inode_at(&image, b"f"),
        inode_at(&image, b"l"),
    );
    assert_eq!(image.lookup(&file, b"x"), Err(Error::NotDirectory));
    assert_eq!(
        image.read_directory(&link, 0).err(),
        Some(Error::NotDirectory)
    );
    assert_eq!(image.symlink_target(&root), Err(Error::NotSymlink));
    assert_eq!(image.read_at(&root, 0, &mut [0]), Err(Error::NotFile));
    assert_eq!(image.data_extent(&link), Err(Error::NotFile));
}
