//! What each protocol's information block says, in one form.
//!
//! Sources: Xen `hvm/start_info.h` as documented in the PVH boot ABI; Multiboot 0.6.96 section
//! 3.3; Multiboot2 2.0 section 3.6. Addresses and lengths are followed with bounds only.

use super::memory_map::Entry;
use super::{BootInformation, CommandLine, Protocol};
use crate::firmware::{OutOfReach, PhysicalMemory};

/// Most lines of a memory list that are read.
const MOST_ENTRIES: u64 = 512;
/// Longest Multiboot2 information that is read, in bytes.
const LONGEST_INFORMATION: u64 = 1 << 20;

const PVH_MAGIC: u32 = 0x336e_c578;

/// Why a hand-over cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverError {
    /// The information block is not readable memory.
    OutOfReach,
    /// The information block does not begin as the protocol demands.
    WrongMagic,
    /// The loader says nothing about memory.
    NoMemoryMap,
}

impl From<OutOfReach> for HandOverError {
    fn from(_: OutOfReach) -> Self {
        Self::OutOfReach
    }
}

/// A loader's memory list: entries `stride` bytes apart, or each with its own size in front.
struct List<'a, M> {
    memory: &'a M,
    at: u64,
    end: u64,
    stride: Option<u64>,
    left: u64,
}

// Not derived: that would ask for memory that can be cloned.
impl<M> Clone for List<'_, M> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<M: PhysicalMemory> List<'_, M> {
    fn step(&mut self) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let (start, next) = match self.stride {
            Some(stride) => (self.at, self.at.checked_add(stride)?),
            None => {
                let size = u64::from(self.memory.u32(self.at).ok()?).max(20);
                let start = self.at.checked_add(4)?;
                (start, start.checked_add(size)?)
            }
        };
        if next > self.end {
            return None;
        }
        self.at = next;
        let mut bytes = [0; 20];
        self.memory.read(start, &mut bytes).ok()?;
        let [
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7,
            l0,
            l1,
            l2,
            l3,
            l4,
            l5,
            l6,
            l7,
            k0,
            k1,
            k2,
            k3,
        ] = bytes;
        Some(Entry {
            start: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            length: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
            kind: u32::from_le_bytes([k0, k1, k2, k3]),
        })
    }
}

impl<M: PhysicalMemory> Iterator for List<'_, M> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let entry = self.step();
        if entry.is_none() {
            self.left = 0;
        }
        entry
    }
}

/// Copies a zero-terminated string, cut at what a command line can hold.
fn command_line(memory: &impl PhysicalMemory, address: u64, line: &mut CommandLine) {
    line.used = 0;
    if address != 0 {
        for offset in 0.. {
            match address.checked_add(offset).map(|at| memory.u8(at)) {
                Some(Ok(byte)) if byte != 0 && line.push(byte) => {}
                _ => break,
            }
        }
    }
}

/// Reads what the loader handed over into `boot`, which is empty. `image` is the physical range that the
/// image occupies.
pub fn read(
    memory: &impl PhysicalMemory,
    protocol: Protocol,
    information: u64,
    image: core::ops::Range<u64>,
    boot: &mut BootInformation,
) -> Result<(), HandOverError> {
    match protocol {
        Protocol::Pvh => pvh(memory, information, boot),
        Protocol::Multiboot1 => multiboot1(memory, information, boot),
        Protocol::Multiboot2 => multiboot2(memory, information, boot),
    }?;
    if boot.memory.ranges().next().is_none() {
        return Err(HandOverError::NoMemoryMap);
    }
    boot.image_start = image.start;
    boot.image_end = image.end;
    boot.memory.remove(image);
    Ok(())
}

fn pvh(
    memory: &impl PhysicalMemory,
    at: u64,
    boot: &mut BootInformation,
) -> Result<(), HandOverError> {
    let mut bytes = [0; 40];
    memory.read(at, &mut bytes)?;
    if memory.u32(at)? != PVH_MAGIC {
        return Err(HandOverError::WrongMagic);
    }
    // Version 0 ends before the memory map, and only Xen's own calls would tell it.
    if memory.u32(at + 4)? == 0 {
        return Err(HandOverError::NoMemoryMap);
    }
    let root_pointer = memory.u64(at + 32)?;
    boot.root_pointer = (root_pointer != 0).then_some(root_pointer);
    boot.memory.read(List {
        memory,
        at: memory.u64(at + 40)?,
        end: u64::MAX,
        stride: Some(24),
        left: u64::from(memory.u32(at + 48)?).min(MOST_ENTRIES),
    });
    command_line(memory, memory.u64(at + 24)?, &mut boot.command_line);
    Ok(())
}

fn multiboot1(
    memory: &impl PhysicalMemory,
    at: u64,
    boot: &mut BootInformation,
) -> Result<(), HandOverError> {
    let flags = memory.u32(at)?;
    let has = |bit: u32| flags & 1 << bit != 0;
    if has(6) {
        let start = u64::from(memory.u32(at + 48)?);
        boot.memory.read(List {
            memory,
            at: start,
            end: start + u64::from(memory.u32(at + 44)?),
            stride: None,
            left: MOST_ENTRIES,
        });
    } else if has(0) {
        let kibibytes = u64::from(memory.u32(at + 8)?);
        boot.memory.read(core::iter::once(Entry {
            start: 1 << 20,
            length: kibibytes << 10,
            kind: 1,
        }));
    } else {
        return Err(HandOverError::NoMemoryMap);
    }
    if has(2) {
        let line = u64::from(memory.u32(at + 16)?);
        command_line(memory, line, &mut boot.command_line);
    }
    Ok(())
}

fn multiboot2(
    memory: &impl PhysicalMemory,
    at: u64,
    boot: &mut BootInformation,
) -> Result<(), HandOverError> {
    let size = u64::from(memory.u32(at)?).min(LONGEST_INFORMATION);
    let end = at.checked_add(size).ok_or(HandOverError::OutOfReach)?;
    let mut tag = at + 8;
    while tag + 8 <= end {
        let kind = memory.u32(tag)?;
        let length = u64::from(memory.u32(tag + 4)?);
        if length < 8 || tag + length > end {
            break;
        }
        match kind {
            0 => break,
            1 => command_line(memory, tag + 8, &mut boot.command_line),
            6 if length >= 16 => {
                let stride = u64::from(memory.u32(tag + 8)?);
                if stride >= 20 {
                    boot.memory.read(List {
                        memory,
                        at: tag + 16,
                        end: tag + length,
                        stride: Some(stride),
                        left: MOST_ENTRIES,
                    });
                }
            }
            // A copy of ACPI's root pointer; the newer one (15) follows or precedes the older.
            14 if boot.root_pointer.is_none() => boot.root_pointer = Some(tag + 8),
            15 => boot.root_pointer = Some(tag + 8),
            _ => {}
        }
        tag += length.next_multiple_of(8);
    }
    Ok(())
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
