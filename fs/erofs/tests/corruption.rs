//! Corrupt images give errors: no panic, and no work without an end.

mod support;

use kiln_erofs::write::{Item, Tree};
use kiln_erofs::{Error, Image, Nid};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{attributes, file, image_of};

/// Looks at everything that can be reached in `depth` steps down; returns the number of errors met.
fn explore(bytes: &[u8]) -> usize {
    let Ok(image) = Image::new(bytes) else {
        return 1;
    };
    let mut errors = 0;
    let mut visits = 0;
    let mut pending = vec![image.root(), Nid(0), Nid(u64::MAX), Nid(u64::MAX / 32)];
    while let Some(nid) = pending.pop() {
        visits += 1;
        if visits > 500 {
            break;
        }
        let inode = match image.inode(nid) {
            Ok(inode) => inode,
            Err(_) => {
                errors += 1;
                continue;
            }
        };
        let mut buffer = [0; 5000];
        for offset in [0, 1, 4095, 4096, u64::MAX] {
            errors += usize::from(image.read_at(&inode, offset, &mut buffer).is_err());
        }
        if let Ok(Some(extent)) = image.data_extent(&inode) {
            assert!(extent.offset + extent.length <= bytes.len() as u64);
        }
        errors += usize::from(image.symlink_target(&inode).is_err());
        for name in [&b"a"[..], b"lib", b"zz", b"", &[0xff; 300]] {
            let found = image.lookup(&inode, name);
            errors += usize::from(!matches!(found, Ok(_) | Err(Error::NotFound)));
        }
        for cookie in [0, 1, 12, 4095, 4096, u64::MAX] {
            let Ok(entries) = image.read_directory(&inode, cookie) else {
                continue;
            };
            let mut previous = None;
            // An entry takes 12 bytes of the image at least: more of them would be an endless walk.
            for (count, entry) in entries.enumerate() {
                assert!(count <= bytes.len() / 12);
                let Ok(entry) = entry else {
                    errors += 1;
                    break;
                };
                assert!(!entry.name.is_empty() && entry.name.len() <= 255);
                assert!(previous < Some(entry.next));
                previous = Some(entry.next);
                if cookie == 0 && !matches!(entry.name, b"." | b"..") {
                    pending.push(entry.nid);
                }
            }
        }
    }
    errors
}

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

/// The sample, changed, with a checksum that is right for the change.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(block) = bytes.get_mut(1024..4096) else {
        return bytes;
    };
    block[4..8].fill(0);
    let mut checksum = !0u32;
    for &byte in block.iter() {
        checksum ^= u32::from(byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0x82f6_3b78 & (checksum & 1).wrapping_neg());
        }
    }
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
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
