//! Hand-overs as loaders make them, and as no loader should.

use super::*;
use crate::firmware::physical::pieces::Pieces;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const INFORMATION: u64 = 0x9500;
const LIST: u64 = 0xa000;
const LINE: u64 = 0xb000;
const IMAGE: core::ops::Range<u64> = 0x20_0000..0x24_0000;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn line(start: u64, length: u64, kind: u32) -> Vec<u8> {
    let mut bytes = start.to_le_bytes().to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes
}

fn list() -> [Vec<u8>; 3] {
    [
        line(0, 0x9_f000, 1),
        line(0xf_0000, 0x1_0000, 2),
        line(0x10_0000, 0x700_0000, 1),
    ]
}

fn ranges(boot: &BootInformation) -> Vec<core::ops::Range<u64>> {
    boot.usable_memory().collect()
}

/// What every protocol's example comes to.
fn assert_example(boot: &BootInformation) {
    assert_eq!(
        ranges(boot),
        [0..0x9_f000, 0x10_0000..0x20_0000, 0x24_0000..0x710_0000]
    );
    assert_eq!(boot.command_line(), b"stdin=pipe quiet");
    assert_eq!(boot.image_start()..boot.image_end(), IMAGE);
}

fn command_line() -> (u64, Vec<u8>) {
    (LINE, b"stdin=pipe quiet\0rest".to_vec())
}

fn pvh_memory(version: u32, magic: u32) -> Pieces {
    let information = words(&[
        magic,
        version,
        0,
        0,
        0,
        0,
        LINE as u32,
        0,
        0xe_0000,
        0,
        LIST as u32,
        0,
        3,
        0,
    ]);
    let entries = list().map(|mut entry| {
        entry.extend([0; 4]);
        entry
    });
    Pieces(vec![
        (INFORMATION, information),
        (LIST, entries.concat()),
        command_line(),
    ])
}

fn multiboot1_memory(flags: u32) -> Pieces {
    let entries: Vec<u8> = list()
        .into_iter()
        .flat_map(|entry| [words(&[20]), entry].concat())
        .collect();
    let mut information = words(&[flags, 639, 0x1_fc00, 0, LINE as u32]);
    information.resize(44, 0);
    information.extend(words(&[entries.len() as u32, LIST as u32]));
    Pieces(vec![
        (INFORMATION, information),
        (LIST, entries),
        command_line(),
    ])
}

fn tag(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[kind, 8 + body.len() as u32]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn multiboot2_memory(tags: &[Vec<u8>]) -> Pieces {
    let tags = tags.concat();
    let mut information = words(&[8 + tags.len() as u32, 0]);
    information.extend(tags);
    Pieces(vec![(INFORMATION, information)])
}

fn multiboot2_tags() -> Vec<Vec<u8>> {
    let entries = list().map(|mut entry| {
        entry.extend([0; 4]);
        entry
    });
    let map = [words(&[24, 0]), entries.concat()].concat();
    vec![
        tag(2, b"a loader\0"),
        tag(1, b"stdin=pipe quiet\0"),
        tag(14, b"RSD PTR old"),
        tag(6, &map),
        tag(15, b"RSD PTR new"),
        tag(0, &[]),
    ]
}

fn read(memory: &Pieces, protocol: Protocol) -> Result<BootInformation, HandOverError> {
    let mut boot = BootInformation::EMPTY;
    super::read(memory, protocol, INFORMATION, IMAGE, &mut boot).map(|()| boot)
}

#[test]
fn pvh() {
    let boot = read(&pvh_memory(1, PVH_MAGIC), Protocol::Pvh).unwrap();
    assert_example(&boot);
    assert_eq!(boot.root_pointer(), Some(0xe_0000));
}

#[test]
fn pvh_without_memory_or_magic_is_refused() {
    let old = read(&pvh_memory(0, PVH_MAGIC), Protocol::Pvh);
    assert_eq!(old, Err(HandOverError::NoMemoryMap));
    let other = read(&pvh_memory(1, 1), Protocol::Pvh);
    assert_eq!(other, Err(HandOverError::WrongMagic));
    let nothing = read(&Pieces::default(), Protocol::Pvh);
    assert_eq!(nothing, Err(HandOverError::OutOfReach));
}

#[test]
fn multiboot1() {
    let boot = read(&multiboot1_memory(1 << 6 | 1 << 2), Protocol::Multiboot1).unwrap();
    assert_example(&boot);
    assert_eq!(boot.root_pointer(), None);
}

#[test]
fn multiboot1_with_a_size_alone() {
    let boot = read(&multiboot1_memory(1), Protocol::Multiboot1).unwrap();
    assert_eq!(ranges(&boot), [0x10_0000..0x20_0000, 0x24_0000..0x800_0000]);
    assert_eq!(boot.command_line(), b"");
    let none = read(&multiboot1_memory(0), Protocol::Multiboot1);
    assert_eq!(none, Err(HandOverError::NoMemoryMap));
}

#[test]
fn multiboot2() {
    let boot = read(&multiboot2_memory(&multiboot2_tags()), Protocol::Multiboot2).unwrap();
    assert_example(&boot);
    let tags = multiboot2_tags();
    let before: usize = tags[..4].iter().map(Vec::len).sum();
    assert_eq!(
        boot.root_pointer(),
        Some(INFORMATION + 8 + before as u64 + 8)
    );
}

#[test]
fn multiboot2_stops_at_a_tag_without_length() {
    let mut tags = multiboot2_tags();
    tags.insert(4, words(&[1, 0]));
    let boot = read(&multiboot2_memory(&tags), Protocol::Multiboot2).unwrap();
    assert_example(&boot);
}

#[test]
fn a_long_command_line_is_cut() {
    let mut memory = pvh_memory(1, PVH_MAGIC);
    memory.0[2].1 = vec![b'x'; 4096];
    let boot = read(&memory, Protocol::Pvh).unwrap();
    assert_eq!(
        boot.command_line(),
        [b'x'; super::super::COMMAND_LINE_BYTES]
    );
}

fn any_example() -> impl Strategy<Value = (Pieces, Protocol)> {
    (0..3).prop_map(|which| match which {
        0 => (pvh_memory(1, PVH_MAGIC), Protocol::Pvh),
        1 => (multiboot1_memory(0x45), Protocol::Multiboot1),
        _ => (multiboot2_memory(&multiboot2_tags()), Protocol::Multiboot2),
    })
}

proptest! {
    #[test]
    fn damage_is_survived(
        (mut memory, protocol) in any_example(),
        damage in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..16),
        cut in any::<prop::sample::Index>(),
    ) {
        for (piece, at, value) in damage {
            let pieces = memory.0.len();
            let bytes = &mut memory.0[piece.index(pieces)].1;
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = &mut memory.0[0].1;
        let keep = cut.index(bytes.len() + 1);
        bytes.truncate(keep);
        if let Ok(boot) = read(&memory, protocol) {
            for range in boot.usable_memory() {
                prop_assert!(range.end <= IMAGE.start || range.start >= IMAGE.end);
            }
        }
    }
}
