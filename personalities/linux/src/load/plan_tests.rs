use alloc::vec;
use proptest::prelude::*;

use super::*;

struct Load(u64, u64, u64, u64, u32);

fn file(machine: u16, kind: u16, loads: &[Load], file_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; file_bytes];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &kind.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(24, &0x1234_u64.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &64_u16.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &(loads.len() as u16).to_le_bytes());
    for (index, Load(address, memory, offset, in_file, flags)) in loads.iter().enumerate() {
        let at = 64 + index * 56;
        put(at, &1_u32.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        put(at + 8, &offset.to_le_bytes());
        put(at + 16, &address.to_le_bytes());
        put(at + 32, &in_file.to_le_bytes());
        put(at + 40, &memory.to_le_bytes());
        put(at + 48, &0x1000_u64.to_le_bytes());
    }
    bytes
}

fn plan(bytes: &[u8]) -> Result<Plan, Refusal> {
    let header = Header::parse(bytes)?;
    let start = usize::try_from(header.table_offset).unwrap_or(usize::MAX);
    let table = bytes.get(start..).unwrap_or_default();
    Plan::make(&header, table, bytes.len() as u64)
}

#[test]
fn a_usual_program_is_planned() {
    let bytes = file(
        62,
        2,
        &[
            Load(0x40_0000, 0x800, 0, 0x800, 5),
            Load(0x60_1800, 0x5000, 0x1800, 0x200, 6),
        ],
        0x2000,
    );
    let plan = plan(&bytes).unwrap();
    assert!(!plan.relocatable);
    assert_eq!(plan.entry, 0x1234);
    assert_eq!(plan.table_address, 0x40_0040);
    assert_eq!(plan.extent(), (0x40_0000, 0x60_7000));
    assert_eq!(plan.segments.len(), 2);
    assert!(plan.segments[0].executable && !plan.segments[0].writable);
}

#[test]
fn the_hosts_own_programs_are_planned() {
    let path = std::env::current_exe().unwrap();
    let bytes = std::fs::read(path).unwrap();
    let plan = plan(&bytes).unwrap();
    assert!(plan.relocatable);
    assert!(plan.segments.len() >= 3);
    let (offset, length) = plan.interpreter.unwrap();
    let path = &bytes[offset as usize..offset as usize + length];
    assert!(path.starts_with(b"/lib") && path.ends_with(b"\0"));
}

#[test]
fn refusals_say_what_is_wrong() {
    let load = [Load(0x40_0000, 0x800, 0, 0x800, 5)];
    let text = |bytes: &[u8]| std::format!("{}", plan(bytes).unwrap_err());
    assert_eq!(
        text(&file(183, 2, &load, 0x1000)),
        "wrong architecture: this is an ELF file for AARCH64; Kiln runs x86-64"
    );
    assert_eq!(
        text(&file(62, 1, &load, 0x1000)),
        "this ELF file is an object file to be linked, not a program"
    );
    let whole = file(62, 2, &load, 0x1000);
    assert_eq!(
        text(&whole[..40]),
        "truncated ELF file: it ends before the end of its header"
    );
    assert_eq!(
        text(&whole[..100]),
        "truncated ELF file: it ends before the end of its program headers"
    );
    assert_eq!(
        text(&whole[..0x700]),
        "truncated ELF file: it ends before the end of a segment"
    );
    assert_eq!(plan(b"hello"), Err(Refusal::NotElf));
    assert_eq!(plan(b""), Err(Refusal::NotElf));
    let mut thirty_two = file(3, 2, &load, 0x1000);
    thirty_two[4] = 1;
    assert_eq!(plan(&thirty_two), Err(Refusal::Machine(3)));
}

#[test]
fn impossible_places_are_refused() {
    let refused = |loads: &[Load]| plan(&file(62, 2, loads, 0x4000)).unwrap_err();
    for address in [
        0,
        0x6000_0000_0000,
        0x5fff_ffff_f000,
        0x7fff_ffff_e000,
        0xffff_8000_0000_0000,
    ] {
        assert!(matches!(
            refused(&[Load(address, 0x4000, 0, 0x1000, 4)]),
            Refusal::Malformed(_)
        ));
    }
    assert_eq!(
        refused(&[Load(0x40_0000, 0x1000, 0, 0x1000, 7)]),
        Refusal::WritableCode
    );
    for loads in [
        &[Load(0x40_0000, 0x100, 0, 0x1000, 4)][..],
        &[Load(0x40_0100, 0x1000, 0, 0x1000, 4)],
        &[Load(0x40_0000, u64::MAX, 0, 0x1000, 4)],
        &[Load(0x40_2000, 8, 0, 8, 4), Load(0x40_0000, 8, 0, 8, 4)],
        &[],
    ] {
        assert!(matches!(refused(loads), Refusal::Malformed(_)));
    }
    assert!(matches!(
        refused(&[Load(0x40_0000, u64::MAX, u64::MAX - 0xfff, 0x2000, 4)]),
        Refusal::Truncated(_)
    ));
}

proptest! {
    #[test]
    fn a_plan_can_always_be_carried_out(
        flips in prop::collection::vec((0_usize..300, any::<u8>()), 0..12),
        relocatable: bool,
    ) {
        let mut bytes = file(
            62,
            if relocatable { 3 } else { 2 },
            &[
                Load(0x40_0000, 0x800, 0, 0x800, 5),
                Load(0x60_1800, 0x5000, 0x1800, 0x200, 6),
                Load(0x70_0000, 0x5000, 0, 0, 6),
            ],
            0x2000,
        );
        for (at, value) in flips {
            bytes[at] = value;
        }
        if let Ok(plan) = plan(&bytes) {
            let (start, end) = plan.extent();
            prop_assert!(start < end && end - start <= SPAN + 0x1000);
            prop_assert!(plan.relocatable || place_is_free(start, end));
            let mut last = 0;
            for segment in &plan.segments {
                prop_assert!(segment.address >= last);
                last = segment.address + segment.memory_bytes;
                prop_assert!(segment.file_bytes <= segment.memory_bytes);
                prop_assert!(
                    segment.file_bytes == 0 || segment.file_offset + segment.file_bytes <= 0x2000
                );
                prop_assert!(!(segment.writable && segment.executable));
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        let _ = plan(&bytes);
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.extend(bytes);
        let _ = plan(&elf);
    }
}
