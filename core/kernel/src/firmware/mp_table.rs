//! The MultiProcessor table, for machines that are described by nothing newer.
//!
//! Source: MultiProcessor Specification 1.4, chapter 4. Firecracker and qboot write one.

use super::physical::{OutOfReach, PhysicalMemory};
use super::{IoApic, IsaRoute, Machine};

/// Buses that are remembered for being ISA.
const BUSES: usize = 32;

/// Finds the floating pointer: extended BIOS data, last KiB of base memory, BIOS area.
fn floating_pointer(memory: &impl PhysicalMemory) -> Option<u64> {
    let extended = u64::from(memory.u16(0x40e).unwrap_or(0)) << 4;
    let extended = if (0x8_0000..0xa_0000).contains(&extended) {
        extended
    } else {
        0x9_fc00
    };
    [
        (extended, extended + 1024),
        (0x9_fc00, 0xa_0000),
        (0xf_0000, 0x10_0000),
    ]
    .into_iter()
    .find_map(|(start, end)| scan(memory, start, end))
}

fn scan(memory: &impl PhysicalMemory, start: u64, end: u64) -> Option<u64> {
    let mut page = [0_u8; 1024];
    let mut address = start;
    while address < end {
        if memory.read(address, &mut page).is_ok() {
            for (index, slot) in (0..).zip(page.chunks_exact(16)) {
                let sum = slot.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
                if slot.starts_with(b"_MP_") && sum == 0 {
                    return Some(address + index * 16);
                }
            }
        }
        address += page.len() as u64;
    }
    None
}

/// Reads processors, I/O APICs and ISA routes into `machine`.
pub fn read(memory: &impl PhysicalMemory, machine: &mut Machine) -> Result<(), OutOfReach> {
    let pointer = floating_pointer(memory).ok_or(OutOfReach)?;
    let table = u64::from(memory.u32(pointer + 4)?);
    let mut header = [0; 44];
    memory.read(table, &mut header)?;
    if !header.starts_with(b"PCMP") {
        return Err(OutOfReach);
    }
    // By length: the count of entries is left 0 by some firmware.
    let end = table + u64::from(u16::from_le_bytes([header[4], header[5]]));
    let mut isa_buses = [false; BUSES];
    let mut at = table + header.len() as u64;
    while at < end {
        let size = match memory.u8(at)? {
            0 => {
                // Bit 0 of the flags: usable.
                if memory.u8(at + 3)? & 1 != 0 {
                    machine.add_processor(u32::from(memory.u8(at + 1)?));
                }
                20
            }
            1 => {
                let bus = usize::from(memory.u8(at + 1)?);
                let mut name = [0; 6];
                memory.read(at + 2, &mut name)?;
                if let Some(isa) = isa_buses.get_mut(bus) {
                    *isa = name.starts_with(b"ISA");
                }
                8
            }
            2 => {
                if memory.u8(at + 3)? & 1 != 0 {
                    machine.add_io_apic(IoApic {
                        address: memory.u32(at + 4)?,
                        // The table numbers pins by controller; ISA lines are on the first.
                        first_interrupt: if machine.io_apics().is_empty() {
                            0
                        } else {
                            u32::MAX
                        },
                    });
                }
                8
            }
            3 => {
                let mut entry = [0; 8];
                memory.read(at, &mut entry)?;
                let [_, kind, flags, _, bus, line, _, pin] = entry;
                if kind == 0 && isa_buses.get(usize::from(bus)) == Some(&true) {
                    machine.set_isa_route(
                        line,
                        IsaRoute {
                            interrupt: u32::from(pin),
                            active_low: flags & 3 == 3,
                            level: flags >> 2 & 3 == 3,
                        },
                    );
                }
                8
            }
            4 => 8,
            _ => return Err(OutOfReach),
        };
        at += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::physical::pieces::Pieces;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn memory(entries: &[&[u8]]) -> Pieces {
        let mut pointer = vec![0; 1024];
        pointer[16..24].copy_from_slice(&[b'_', b'M', b'P', b'_', 0x00, 0x10, 0, 0]);
        pointer[24] = 1;
        pointer[25] = 4;
        let sum = pointer[16..32]
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        pointer[26] = 0_u8.wrapping_sub(sum);
        let mut table = vec![0; 44];
        table[..4].copy_from_slice(b"PCMP");
        for entry in entries {
            table.extend_from_slice(entry);
        }
        let length = table.len() as u8;
        table[4] = length;
        Pieces(vec![(0x9_fc00, pointer), (0x1000, table)])
    }

    fn processor(apic: u8, flags: u8) -> Vec<u8> {
        let mut entry = vec![0; 20];
        entry[1] = apic;
        entry[3] = flags;
        entry
    }

    #[test]
    fn processors_controllers_and_routes_are_read() {
        let memory = memory(&[
            &processor(0, 3),
            &processor(1, 1),
            &processor(2, 0),
            &[1, 0, b'I', b'S', b'A', b' ', b' ', b' '],
            &[2, 2, 0x11, 1, 0, 0, 0xc0, 0xfe],
            &[3, 0, 0b1111, 0, 0, 4, 2, 9],
        ]);
        let mut machine = Machine::new();
        read(&memory, &mut machine).unwrap();
        assert_eq!(machine.processors(), [0, 1]);
        assert_eq!(machine.io_apics()[0].address, 0xfec0_0000);
        let route = machine.isa_route(4).unwrap();
        assert_eq!(
            (route.interrupt, route.active_low, route.level),
            (9, true, true)
        );
        assert_eq!(machine.isa_route(3).unwrap().interrupt, 3);
    }

    #[test]
    fn a_table_that_ends_early_keeps_what_was_read() {
        let mut memory = memory(&[&processor(0, 3), &processor(1, 1)]);
        memory.0[1].1.truncate(44 + 22);
        let mut machine = Machine::new();
        assert_eq!(read(&memory, &mut machine), Err(OutOfReach));
        assert_eq!(machine.processors(), [0]);
    }

    proptest! {
        #[test]
        fn garbage_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut memory = memory(&[]);
            let table = &mut memory.0[1].1;
            table[4] = 0xff;
            table[5] = 0xff;
            table.extend_from_slice(&bytes);
            let mut machine = Machine::new();
            let _ = read(&memory, &mut machine);
            prop_assert!(machine.processors().len() <= super::super::MAX_PROCESSORS);
        }
    }
}
