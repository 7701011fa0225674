//! The few ACPI tables that a kernel without an interpreter needs.
//!
//! MADT (processors, interrupt controllers), FADT (power and reset registers), and the one object
//! `\_S5` of the definition blocks, found by pattern. Every length is checked against the table
//! and every table against a limit. Source: ACPI specification 6.5, chapter 5.

use super::physical::{OutOfReach, PhysicalMemory};
use super::{IoApic, IsaRoute, Machine};
use crate::rolled::rolled;

/// Longest table that is looked at, in bytes; a longer one is looked at so far.
const LONGEST_TABLE: u32 = 1 << 20;
/// Most tables that a root table may list.
const MOST_TABLES: u64 = 128;
/// Length of a table's header.
const HEADER_BYTES: u32 = 36;

/// A table that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    signature: u32,
    address: u64,
    /// In bytes; at least the header's.
    length: u32,
}

/// A signature as a number.
const fn signature(text: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*text)
}

/// A register as ACPI's generic address structure describes it (section 5.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// In I/O space.
    Port(u16),
    /// In memory, at a physical address.
    Memory(u64),
}

/// Bytes of the fixed table that are looked at.
const FIXED_BYTES: usize = 276;

/// A copy of the fixed table (FADT), as far as it matters: most of it is only needed to switch off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fixed {
    bytes: [u8; FIXED_BYTES],
    length: u32,
}

impl Fixed {
    /// The port at an offset; zero is none.
    fn port(&self, offset: u64) -> Option<u16> {
        let port = self.u32(offset).ok()?;
        u16::try_from(port).ok().filter(|port| *port != 0)
    }
}

impl PhysicalMemory for Fixed {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), OutOfReach> {
        let start = usize::try_from(address).map_err(|_| OutOfReach)?;
        let end = start.checked_add(into.len()).ok_or(OutOfReach)?;
        into.copy_from_slice(self.bytes.get(start..end).ok_or(OutOfReach)?);
        Ok(())
    }
}

/// What the fixed table says about switching off and resetting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerRegisters {
    /// PM1a control block port.
    pub control_a: Option<u16>,
    /// PM1b control block port.
    pub control_b: Option<u16>,
    /// Sleep control register of hardware-reduced machines.
    pub sleep_control: Option<Register>,
    /// Reset register and the value to write.
    pub reset: Option<(Register, u8)>,
    /// Where the definition block with `\_S5` should be.
    definition: u64,
}

/// Where the tables are that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    interrupt_controllers: Option<(u64, u32)>,
    fixed: Fixed,
}

// Not inlined, like what follows: this runs a few times at boot, and once compiled is enough.
#[inline(never)]
fn table(memory: &impl PhysicalMemory, address: u64) -> Result<Table, OutOfReach> {
    let signature = memory.u32(address)?;
    let length = memory.u32(address.checked_add(4).ok_or(OutOfReach)?)?;
    if length < HEADER_BYTES {
        return Err(OutOfReach);
    }
    Ok(Table {
        signature,
        address,
        length: length.min(LONGEST_TABLE),
    })
}

/// Looks for the root pointer where a PC BIOS puts it (section 5.2.5.1).
pub fn scan_for_root_pointer(memory: &impl PhysicalMemory) -> Option<u64> {
    let extended = u64::from(memory.u16(0x40e).unwrap_or(0)) << 4;
    scan(memory, 0xe_0000, 0x10_0000).or_else(|| {
        (0x8_0000..0xa_0000)
            .contains(&extended)
            .then(|| scan(memory, extended, extended + 1024))?
    })
}

fn scan(memory: &impl PhysicalMemory, start: u64, end: u64) -> Option<u64> {
    // The first word alone, since these are many.
    let first = Ok(u64::from_le_bytes(*ROOT_POINTER));
    let mut addresses = (start..end).step_by(16);
    addresses.find(|address| memory.u64(*address) == first && is_root_pointer(memory, *address))
}

/// What a root pointer begins with.
const ROOT_POINTER: &[u8; 8] = b"RSD PTR ";

/// Whether the first 20 bytes at an address are a root pointer's.
#[inline(never)]
fn is_root_pointer(memory: &impl PhysicalMemory, address: u64) -> bool {
    let mut pointer = [0; 20];
    memory.read(address, &mut pointer).is_ok()
        && pointer.starts_with(ROOT_POINTER)
        && sum(&pointer) == 0
}

fn sum(bytes: &[u8]) -> u8 {
    rolled(bytes).fold(0, |sum, byte| sum.wrapping_add(*byte))
}

impl Tables {
    /// No tables.
    pub const NONE: Self = Self {
        interrupt_controllers: None,
        fixed: Fixed {
            bytes: [0; FIXED_BYTES],
            length: 0,
        },
    };

    /// Follows the root pointer at `address` to the tables.
    pub fn find(&mut self, memory: &impl PhysicalMemory, address: u64) -> Result<(), OutOfReach> {
        if !is_root_pointer(memory, address) {
            return Err(OutOfReach);
        }
        let extended = match memory.u8(address + 15)? {
            0 => 0,
            _ => memory.u64(address + 24)?,
        };
        if extended != 0 && self.read(memory, extended, 8).is_ok() {
            return Ok(());
        }
        self.read(memory, u64::from(memory.u32(address + 16)?), 4)
    }

    /// Reads the root table's list of addresses, each of `width` bytes.
    #[inline(never)]
    fn read(
        &mut self,
        memory: &impl PhysicalMemory,
        root: u64,
        width: u64,
    ) -> Result<(), OutOfReach> {
        let root = table(memory, root)?;
        let wanted = if width == 8 { b"XSDT" } else { b"RSDT" };
        if root.signature != signature(wanted) {
            return Err(OutOfReach);
        }
        let count = (u64::from(root.length - HEADER_BYTES) / width).min(MOST_TABLES);
        let mut entry = root.address + u64::from(HEADER_BYTES);
        for _ in 0..count {
            let address = if width == 8 {
                memory.u64(entry)?
            } else {
                u64::from(memory.u32(entry)?)
            };
            entry += width;
            let Ok(found) = table(memory, address) else {
                continue;
            };
            if found.signature == signature(b"APIC") {
                self.interrupt_controllers = Some((found.address, found.length));
            } else if found.signature == signature(b"FACP") {
                let length = found.length.min(FIXED_BYTES as u32);
                let bytes = self.fixed.bytes.get_mut(..length as usize);
                memory.read(found.address, bytes.ok_or(OutOfReach)?)?;
                self.fixed.length = length;
            }
        }
        Ok(())
    }

    /// Registers for switching off and resetting.
    pub fn power(&self) -> PowerRegisters {
        read_power(&self.fixed)
    }

    /// The power management timer's port, if it has one.
    pub fn timer(&self) -> Option<u16> {
        timer(&self.fixed)
    }

    /// Reads the MADT into `machine` (section 5.2.12).
    pub(super) fn read_interrupt_controllers(
        &self,
        memory: &impl PhysicalMemory,
        machine: &mut Machine,
    ) -> Result<(), OutOfReach> {
        let Some((address, length)) = self.interrupt_controllers else {
            return Ok(());
        };
        let end = address.checked_add(u64::from(length)).ok_or(OutOfReach)?;
        let mut at = address + u64::from(HEADER_BYTES) + 8;
        while at + 2 <= end {
            let size = u64::from(memory.u8(at + 1)?);
            if size < 2 || at + size > end {
                return Err(OutOfReach);
            }
            // What all have in the same place that are looked at, if it is that long.
            let kind = memory.u8(at)?;
            let line = memory.u8(at + 3).unwrap_or(0);
            let number = memory.u32(at + 4).unwrap_or(0);
            match (kind, size) {
                // Local APIC and local x2APIC: enabled, or allowed to be (flags 0 and 1).
                (0, 8..) if number & 1 != 0 => machine.add_processor(u32::from(line)),
                (9, 16..) if memory.u32(at + 8)? & 1 != 0 => machine.add_processor(number),
                (1, 12..) => machine.add_io_apic(IoApic {
                    address: number,
                    first_interrupt: memory.u32(at + 8)?,
                }),
                // Interrupt source override, with MP table flags for polarity and trigger.
                (2, 10..) => {
                    let flags = memory.u16(at + 8)?;
                    machine.set_isa_route(
                        line,
                        IsaRoute {
                            interrupt: number,
                            active_low: flags & 3 == 3,
                            level: flags >> 2 & 3 == 3,
                        },
                    );
                }
                _ => {}
            }
            at += size;
        }
        Ok(())
    }
}

/// A generic address structure's register, if it is one that bytes can be written to.
fn register(memory: &impl PhysicalMemory, at: u64) -> Option<Register> {
    let address = memory.u64(at.checked_add(4)?).ok()?;
    match memory.u8(at).ok()? {
        0 if address != 0 => Some(Register::Memory(address)),
        1 if address != 0 => u16::try_from(address).ok().map(Register::Port),
        _ => None,
    }
}

/// Reads the FADT (section 5.2.9).
fn read_power(fixed: &Fixed) -> PowerRegisters {
    let has = |end: u32| fixed.length >= end;
    let word = |offset: u64| fixed.u32(offset).unwrap_or(0);
    let port = |offset: u64| fixed.port(offset);
    let mut power = PowerRegisters::default();
    if has(76) {
        power.control_a = port(64);
        power.control_b = port(68);
    }
    if has(129) && word(112) & 1 << 10 != 0 {
        let value = fixed.u8(128).unwrap_or(0);
        power.reset = register(fixed, 116).map(|found| (found, value));
    }
    if has(256) && word(112) & 1 << 20 != 0 {
        power.sleep_control = register(fixed, 244);
    }
    power.definition = u64::from(word(40));
    if has(148)
        && let Ok(address) = fixed.u64(140)
        && address != 0
    {
        power.definition = address;
    }
    power
}

/// The power management timer's port, of four bytes (section 4.8.3.3).
fn timer(fixed: &Fixed) -> Option<u16> {
    let has = fixed.length >= 80 && fixed.u8(91) == Ok(4);
    has.then(|| fixed.port(76))?
}

impl PowerRegisters {
    /// The sleep types for state S5, for control blocks A and B, from `\_S5` (section 7.4.2).
    ///
    /// The package is found by its encoding, `08 "_S5_" 12 length count value value`, not by
    /// interpreting the block (section 20.2).
    pub fn sleep_types(&self, memory: &impl PhysicalMemory) -> Option<(u8, u8)> {
        let found = table(memory, self.definition).ok()?;
        if found.signature != signature(b"DSDT") {
            return None;
        }
        let end = found.address.checked_add(u64::from(found.length))?;
        let mut window = [0; 512];
        let mut at = found.address + u64::from(HEADER_BYTES);
        while at + 4 <= end {
            // Windows overlap by three bytes, so that no name is cut in two.
            let size = (end - at).min(window.len() as u64);
            let bytes = window.get_mut(..usize::try_from(size).ok()?)?;
            memory.read(at, bytes).ok()?;
            let found = (0..)
                .zip(bytes.windows(4))
                .find(|(_, name)| *name == b"_S5_");
            if let Some((offset, _)) = found
                && let Some(types) = sleep_package(memory, at + offset + 4)
            {
                return Some(types);
            }
            at += match found {
                Some((offset, _)) => offset + 4,
                None => size - 3,
            };
        }
        None
    }
}

/// Two small integers of the package whose operator is at `at`.
fn sleep_package(memory: &impl PhysicalMemory, at: u64) -> Option<(u8, u8)> {
    let mut bytes = [0; 12];
    memory.read(at, &mut bytes).ok()?;
    if bytes[0] != 0x12 {
        return None;
    }
    // The package length's top two bits say how many more bytes it has; the count follows.
    let mut rest = bytes.get(2 + usize::from(bytes[1] >> 6) + 1..)?.iter();
    let mut integer = || match rest.next()? {
        0x0a => rest.next().copied(),
        small @ (0 | 1) => Some(*small),
        _ => None,
    };
    let first = integer()?;
    Some((first, integer().unwrap_or(first)))
}

#[cfg(test)]
#[path = "acpi_tests.rs"]
mod tests;
