//! What is written is read back, and no bytes make the readers panic or give ranges outside.

use kiln_image_format::{
    ComponentRecord, ImageTable, Kind, LaterEntries, Location, Permissions, SegmentRecord,
    SymbolTable, TableError, encode, encode_symbols, encoded_bytes,
};
use proptest::prelude::*;

const IMAGE_BYTES: u64 = 1 << 24;

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Kernel),
        Just(Kind::Server),
        Just(Kind::Personality),
        Just(Kind::Root),
        Just(Kind::Config),
        any::<u32>().prop_map(Kind::Symbols),
        any::<u32>().prop_map(Kind::Other),
        Just(Kind::Program),
    ]
}

fn segments() -> impl Strategy<Value = SegmentRecord> {
    let permissions = prop_oneof![
        Just(Permissions::Read),
        Just(Permissions::ReadExecute),
        Just(Permissions::ReadWrite)
    ];
    (
        0..1_u64 << 47,
        0..IMAGE_BYTES,
        any::<u64>(),
        0..1_u64 << 40,
        permissions,
    )
        .prop_map(|(address, offset, bytes, more, permissions)| {
            let file_bytes = bytes % (IMAGE_BYTES - offset + 1);
            SegmentRecord {
                virtual_address: address & !4095 | offset & 4095,
                image_offset: offset,
                file_bytes,
                memory_bytes: file_bytes + more,
                permissions,
            }
        })
}

fn components() -> impl Strategy<Value = Vec<ComponentRecord>> {
    let component = (
        ".{0,12}",
        kinds(),
        any::<[u64; 3]>(),
        prop::collection::vec(segments(), 0..5),
    );
    let component = component.prop_map(|(name, kind, entries, segments)| ComponentRecord {
        name,
        kind,
        entry: entries[0],
        later: LaterEntries {
            reflected: entries[1],
            trap: entries[2],
        },
        segments,
    });
    prop::collection::vec(component, 0..6)
}

fn walk(bytes: &[u8]) -> Result<usize, TableError> {
    let table = ImageTable::parse(bytes)?;
    let mut segments = 0;
    for component in table.components() {
        for segment in component.segments {
            let end = segment.image_offset.checked_add(segment.file_bytes);
            assert!(end.is_some_and(|end| end <= table.image_bytes()));
            assert!(segment.file_bytes <= segment.memory_bytes);
            assert!(
                segment
                    .virtual_address
                    .checked_add(segment.memory_bytes)
                    .is_some()
            );
            segments += 1;
        }
    }
    Ok(segments)
}

proptest! {
    #[test]
    fn a_table_is_read_back(components in components()) {
        let bytes = encode(&components, IMAGE_BYTES).expect("encode");
        let counts = components.iter().map(|c| (c.name.as_str(), c.segments.len()));
        prop_assert_eq!(bytes.len(), encoded_bytes(counts));
        let table = ImageTable::parse(&bytes).expect("parse");
        prop_assert_eq!(table.len(), components.len());
        for (read, written) in table.components().zip(&components) {
            prop_assert_eq!(read.name(), &written.name);
            prop_assert_eq!(read.kind, written.kind);
            prop_assert_eq!(read.entry, written.entry);
            prop_assert_eq!(read.later, written.later);
            prop_assert_eq!(read.segments.len(), written.segments.len());
            prop_assert_eq!(read.segments.collect::<Vec<_>>(), &written.segments[..]);
        }
        for length in 0..bytes.len() {
            prop_assert!(ImageTable::parse(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn a_damaged_table_gives_nothing_outside(
        components in components(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(&components, IMAGE_BYTES).expect("encode");
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = walk(&bytes);
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = walk(&bytes);
        let _ = SymbolTable::parse(&bytes);
        if let Some((header, _)) = bytes.split_first_chunk_mut::<12>() {
            *header = *b"KILNTABL\x01\0\0\0";
        }
        let _ = walk(&bytes);
        if let Some((header, _)) = bytes.split_first_chunk_mut::<8>() {
            *header = *b"KILNSYMB";
        }
        if let Ok(table) = SymbolTable::parse(&bytes) {
            for (address, _) in table.iter() {
                let _ = table.symbolise(address);
            }
            let _ = table.symbolise(u64::MAX);
        }
        if let Some(bytes) = bytes.first_chunk::<32>() {
            let _ = Location::parse(bytes);
        }
    }

    #[test]
    fn a_symbol_is_found_from_any_of_its_bytes(
        mut starts in prop::collection::btree_map(0..1_u64 << 32, "[a-z]{1,9}|.{90,120}", 1..40),
        probe in any::<prop::sample::Index>(),
        within in 0..1_u64 << 33,
    ) {
        const BASE: u64 = 0xffff_ffff_0000_0000;
        // Equal names are stored once.
        let first = starts.values().next().cloned().unwrap_or_default();
        starts.insert(7, first);
        let mut functions: Vec<(u64, &str)> =
            starts.iter().rev().map(|(start, name)| (BASE + start, name.as_str())).collect();
        let bytes = encode_symbols(BASE, &mut functions).expect("encode");
        let table = SymbolTable::parse(&bytes).expect("parse");
        prop_assert_eq!(table.len(), starts.len());
        let keys: Vec<u64> = starts.keys().copied().collect();
        let index = probe.index(keys.len());
        let room = keys.get(index + 1).map_or(1 << 33, |next| next - keys[index]);
        // The base lies 4 GiB below the end of the address space.
        let offset = (within % room).min((1_u64 << 32) - 1 - keys[index]);
        let (name, found) = table.symbolise(BASE + keys[index] + offset).expect("a symbol");
        prop_assert_eq!(found, offset);
        prop_assert!(name.len() <= 96 && starts[&keys[index]].starts_with(name));
        prop_assert!(!name.is_empty());
        prop_assert_eq!(table.symbolise(BASE - 1), None);
    }

    #[test]
    fn a_location_is_read_back_if_it_is_inside(offset: u64, bytes: u64, image: u64) {
        let location = Location { table_offset: offset, table_bytes: bytes, image_bytes: image };
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= image);
        let read = Location::parse(&location.to_bytes());
        prop_assert_eq!(read, inside.then_some(location));
    }
}

#[test]
fn faults_are_told_apart() {
    let segment = SegmentRecord {
        virtual_address: 0x1000,
        image_offset: 0x2000,
        file_bytes: 16,
        memory_bytes: 32,
        permissions: Permissions::Read,
    };
    let check = |segment: SegmentRecord| {
        let component = ComponentRecord {
            name: "a".into(),
            kind: Kind::Server,
            entry: 0,
            later: LaterEntries::default(),
            segments: vec![segment],
        };
        walk(&encode(&[component], 0x3000).expect("encode"))
    };
    assert_eq!(check(segment), Ok(1));
    let outside = Err(TableError::SegmentOutside);
    assert_eq!(
        check(SegmentRecord {
            image_offset: 0x4000,
            ..segment
        }),
        outside
    );
    assert_eq!(
        check(SegmentRecord {
            memory_bytes: 8,
            ..segment
        }),
        outside
    );
    assert_eq!(
        check(SegmentRecord {
            virtual_address: u64::MAX - 4095,
            memory_bytes: 4096,
            ..segment
        }),
        outside
    );
    let misaligned = Err(TableError::Misaligned);
    assert_eq!(
        check(SegmentRecord {
            image_offset: 0x2008,
            ..segment
        }),
        misaligned
    );
    assert_eq!(walk(b"KILNTABL\x01\0\0\0"), Err(TableError::Version(1)));
    assert_eq!(walk(b"nonsense"), Err(TableError::Magic));
    assert_eq!(walk(b"KILNTABL\x02\0\0\0"), Err(TableError::Truncated));
}
