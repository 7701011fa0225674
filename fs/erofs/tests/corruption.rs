//! Corrupt images give errors: no panic, and no work without an end.

mod explore;
mod seal;
mod support;

use explore::explore;
use kiln_erofs::write::{Item, Tree};
use kiln_erofs::{Error, Image};
use proptest::collection::vec;
use proptest::prelude::*;
use seal::resealed;
use support::{attributes, file, image_of, inode_at};

fn sample() -> Vec<u8> {
    let mut tree = Tree::default();
    for number in 0..150 {
        let path = format!("lib/some-longer-name-to-fill-blocks-{number}");
        tree.insert(path, attributes(0o644), file([number as u8; 10]))
            .unwrap();
    }
    tree.insert("a", attributes(0o755), file(vec![1; 9000]))
        .unwrap();
    tree.insert("link", attributes(0o777), Item::Symlink(b"lib/x".to_vec()))
        .unwrap();
    tree.insert("long", attributes(0o777), Item::Symlink(vec![b'l'; 4095]))
        .unwrap();
    tree.insert("pipe", attributes(0o600), Item::Fifo).unwrap();
    image_of(&tree)
}

#[test]
fn every_flip_in_the_checked_block_is_noticed() {
    let bytes = sample();
    for at in 1024..4096 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(Image::new(&flipped).is_err(), "byte {at}");
    }
}

#[test]
fn the_checksum_is_crc_32c() {
    let bytes = sample();
    assert_eq!(resealed(bytes.clone()), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes(flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..30)) {
        let mut bytes = sample();
        // Most of what matters is in the first blocks.
        let metadata = bytes.len().min(8 * 4096);
        for (index, value) in flips {
            let at = index.index(metadata);
            bytes[at] = value;
        }
        explore(&resealed(bytes));
    }

    #[test]
    fn flipped_fields(flips in vec((any::<prop::sample::Index>(), any::<u16>()), 1..4)) {
        let mut bytes = sample();
        for (index, value) in flips {
            let at = 1024 + index.index(1600) * 2;
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        explore(&resealed(bytes));
    }

    #[test]
    fn truncated(index in any::<prop::sample::Index>()) {
        let bytes = sample();
        let length = index.index(bytes.len());
        prop_assert!(Image::new(&bytes[..length]).is_err());
    }

    #[test]
    fn truncated_with_a_superblock_that_agrees(blocks in 1u32..12) {
        let mut bytes = sample();
        bytes[1024 + 36..1024 + 40].copy_from_slice(&blocks.to_le_bytes());
        let bytes = resealed(bytes);
        prop_assert!(Image::new(&bytes).is_ok());
        explore(&bytes);
    }

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..6000)) {
        explore(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_superblock(noise in vec(any::<u8>(), 4096 - 1152)) {
        let mut bytes = sample();
        for (at, byte) in noise.iter().enumerate() {
            bytes[1152 + at] = *byte;
        }
        explore(&resealed(bytes));
    }
}

#[test]
fn a_directory_in_itself_does_not_hold_anything_up() {
    let mut tree = Tree::default();
    tree.insert("a", attributes(0o755), Item::Directory)
        .unwrap();
    let mut bytes = image_of(&tree);
    let image = Image::new(&bytes).unwrap();
    let root = image.root();
    // The third entry ("a", behind "." and "..") of the root's inline data.
    let at = root.0 as usize * 32 + 32 + 2 * 12;
    bytes[at..at + 8].copy_from_slice(&root.0.to_le_bytes());
    assert!(explore(&resealed(bytes)) > 0);
}

#[test]
fn names_that_would_lead_elsewhere_are_refused() {
    for bad in [*b"a/b", *b"a\0b"] {
        let mut tree = Tree::default();
        tree.insert("axb", attributes(0o644), file([])).unwrap();
        tree.insert("z", attributes(0o644), file([])).unwrap();
        let mut bytes = image_of(&tree);
        let at = bytes
            .windows(3)
            .position(|window| window == b"axb")
            .unwrap();
        bytes[at..at + 3].copy_from_slice(&bad);
        let bytes = resealed(bytes);
        let image = Image::new(&bytes).unwrap();
        let root = image.inode(image.root()).unwrap();
        let listed: Result<Vec<_>, _> = image.read_directory(&root, 0).unwrap().collect();
        assert!(matches!(listed, Err(Error::Corrupt { .. })));
    }
}

#[test]
fn what_is_not_supported_is_said() {
    let bytes = sample();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[1024 + at] = value;
        resealed(bytes)
    };
    let result = |bytes: Vec<u8>| Image::new(&bytes).err();
    assert!(matches!(
        result(with(12, 9)),
        Some(Error::Unsupported { .. })
    ));
    assert!(matches!(
        result(with(80, 0x80)),
        Some(Error::Unsupported { .. })
    ));
    assert!(matches!(
        result(with(90, 1)),
        Some(Error::Unsupported { .. })
    ));
    assert!(matches!(
        result(with(8, 2)),
        Some(Error::Unsupported { .. })
    ));
    assert!(matches!(result(with(0, 0)), Some(Error::Corrupt { .. })));
    assert_eq!(result(with(64, b'n')), None);
}

#[test]
fn data_behind_extended_attributes_is_found() {
    let target = b"a target that is long enough";
    let mut tree = Tree::default();
    tree.insert("l", attributes(0o777), Item::Symlink(target.to_vec()))
        .unwrap();
    let mut bytes = image_of(&tree);
    let at = bytes
        .windows(target.len())
        .position(|window| window == target)
        .unwrap();
    let inode = at - 32;
    // An attribute header (12 bytes) and two units of 4: the target moves behind them.
    bytes[inode + 2..inode + 4].copy_from_slice(&3u16.to_le_bytes());
    bytes.copy_within(at..at + target.len(), at + 20);
    bytes[at..at + 20].fill(0);
    let bytes = resealed(bytes);
    let image = Image::new(&bytes).unwrap();
    assert_eq!(
        image.symlink_target(&inode_at(&image, b"l")),
        Ok(&target[..])
    );
}

#[test]
fn inline_data_ends_with_its_block() {
    let mut tree = Tree::default();
    tree.insert("f", attributes(0o644), file(vec![1; 9000]))
        .unwrap();
    tree.insert("l", attributes(0o777), Item::Symlink(b"f".to_vec()))
        .unwrap();
    let bytes = image_of(&tree);
    let inode = inode_at(&Image::new(&bytes).unwrap(), b"l");
    let at = inode.nid.0 as usize * 32;
    let room = 4096 - (at as u32 + 32) % 4096;
    for (size, fits) in [(1, true), (room, true), (room + 1, false)] {
        let mut bytes = bytes.clone();
        bytes[at + 8..at + 12].copy_from_slice(&size.to_le_bytes());
        bytes[at + 32..4096].fill(b'x');
        let bytes = resealed(bytes);
        let image = Image::new(&bytes).unwrap();
        let target = image.symlink_target(&inode_at(&image, b"l"));
        match target {
            Ok(target) => assert!(fits && target.len() == size as usize),
            Err(error) => assert!(!fits && matches!(error, Error::Corrupt { .. }), "{error}"),
        }
    }
}
