//! ACPI parsing on made-up and on damaged tables.

use super::super::physical::pieces::Pieces;
use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn with_header(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; HEADER_BYTES as usize];
    table[..4].copy_from_slice(signature);
    table[4..8].copy_from_slice(&(HEADER_BYTES + body.len() as u32).to_le_bytes());
    table.extend_from_slice(body);
    table
}

fn root_pointer(root: u32) -> Vec<u8> {
    let mut pointer = vec![0; 20];
    pointer[..8].copy_from_slice(b"RSD PTR ");
    pointer[16..20].copy_from_slice(&root.to_le_bytes());
    pointer[8] = 0_u8.wrapping_sub(sum(&pointer));
    pointer
}

/// A fixed table of version 5 with a definition block at 0x5000.
fn fixed_table() -> Vec<u8> {
    let mut fixed = vec![0; 268 - HEADER_BYTES as usize];
    let mut put = |offset: usize, bytes: &[u8]| {
        let at = offset - HEADER_BYTES as usize;
        fixed[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(40, &0x5000_u32.to_le_bytes());
    put(64, &0x604_u32.to_le_bytes());
    put(76, &0x608_u32.to_le_bytes());
    put(91, &[4]);
    put(112, &(1_u32 << 10 | 1 << 20).to_le_bytes());
    put(116, &[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0]);
    put(128, &[6]);
    put(244, &[0, 8, 0, 1, 0x00, 0x20, 0x00, 0xfe, 0, 0, 0, 0]);
    with_header(b"FACP", &fixed)
}

fn memory(definition: &[u8]) -> Pieces {
    let controllers = [
        &[0, 0, 0xe0, 0xfe, 0, 0, 0, 0][..],
        &[0, 8, 0, 0, 1, 0, 0, 0],
        &[0, 8, 1, 4, 1, 0, 0, 0],
        &[0, 8, 2, 5, 0, 0, 0, 0],
        &[9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0],
        &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
        &[2, 10, 0, 9, 20, 0, 0, 0, 0x0f, 0],
    ]
    .concat();
    let root: Vec<u8> = [0x3000_u32, 0x4000, 0xffff_fff0]
        .iter()
        .flat_map(|address| address.to_le_bytes())
        .collect();
    Pieces(vec![
        (0xf_0000, {
            let mut area = vec![0; 1024];
            area[32..52].copy_from_slice(&root_pointer(0x2000));
            area
        }),
        (0x2000, with_header(b"RSDT", &root)),
        (0x3000, with_header(b"APIC", &controllers)),
        (0x4000, fixed_table()),
        (0x5000, with_header(b"DSDT", definition)),
    ])
}

fn tables(memory: &Pieces) -> Tables {
    let pointer = scan_for_root_pointer(memory).unwrap();
    find(memory, pointer).unwrap()
}

fn find(memory: &Pieces, pointer: u64) -> Result<Tables, OutOfReach> {
    let mut tables = Tables::NONE;
    tables.find(memory, pointer).map(|()| tables)
}

#[test]
fn processors_and_controllers_are_found() {
    let memory = memory(&[]);
    let mut machine = Machine::new();
    tables(&memory)
        .read_interrupt_controllers(&memory, &mut machine)
        .unwrap();
    assert_eq!(machine.processors(), [0, 4, 256]);
    assert_eq!(
        machine.io_apics(),
        [IoApic {
            address: 0xfec0_0000,
            first_interrupt: 0
        }]
    );
    let route = machine.isa_route(9).unwrap();
    assert_eq!(
        (route.interrupt, route.active_low, route.level),
        (20, true, true)
    );
    assert_eq!(
        machine.isa_route(4),
        Some(IsaRoute {
            interrupt: 4,
            ..IsaRoute::default()
        })
    );
}

#[test]
fn power_registers_are_read() {
    let memory = memory(&[]);
    let tables = tables(&memory);
    let power = tables.power();
    assert_eq!(power.control_a, Some(0x604));
    assert_eq!(power.control_b, None);
    assert_eq!(tables.timer(), Some(0x608));
    assert_eq!(power.reset, Some((Register::Port(0xcf9), 6)));
    assert_eq!(power.sleep_control, Some(Register::Memory(0xfe00_2000)));
    assert_eq!(power.sleep_types(&memory), None);
}

#[test]
fn the_sleep_package_is_found_across_window_borders() {
    for before in [0, 471, 474, 475, 476, 477, 508, 509, 510, 511, 512, 2000] {
        let mut definition = vec![0x5f; before];
        definition.extend_from_slice(b"\x08_S5_\x12\x06\x04\x0a\x05\x01\x00\x00");
        definition.extend_from_slice(&[0; 64]);
        let memory = memory(&definition);
        assert_eq!(
            tables(&memory).power().sleep_types(&memory),
            Some((5, 1)),
            "{before}"
        );
    }
}

#[test]
fn a_name_that_is_no_package_is_passed_over() {
    let memory =
        memory(b"\x10_S5_junk here\x08_S5_\x12\x07\x02\x0a\x07\x0a\x07\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(tables(&memory).power().sleep_types(&memory), Some((7, 7)));
}

#[test]
fn a_wrong_checksum_is_no_root_pointer() {
    let mut memory = memory(&[]);
    memory.0[0].1[40] ^= 1;
    assert_eq!(scan_for_root_pointer(&memory), None);
    assert_eq!(find(&memory, 0xf_0020), Err(OutOfReach));
}

proptest! {
    #[test]
    fn damaged_tables_are_survived(
        damage in proptest::collection::vec((1_usize..5, any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        which in 1_usize..5,
    ) {
        let mut memory = memory(b"\x08_S5_\x12\x06\x04\x0a\x05\x01\0\0\0\0\0\0\0\0\0");
        for (piece, at, value) in damage {
            let bytes = &mut memory.0[piece].1;
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = &mut memory.0[which].1;
        let keep = cut.index(bytes.len() + 1);
        bytes.truncate(keep);
        if let Ok(tables) = find(&memory, 0xf_0020) {
            let mut machine = Machine::new();
            let _ = tables.read_interrupt_controllers(&memory, &mut machine);
            let _ = tables.power().sleep_types(&memory);
        }
    }
}
