//! Detours: the code that a patched site jumps to, and the areas it lies in.
//!
//! An area is mapped for execution only and written through the kernel's `patch`, so that no page
//! is ever writable and executable. Each detour fills one slot and ends with a word that says where
//! it jumps: the library is further away than a displacement reaches.

use alloc::vec;
use alloc::vec::Vec;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection};
use kiln_object::layout::{PAGE_BYTES, USER_START};

use super::JUMP_BYTES;
use crate::memory::Range;

/// Bytes of one detour.
pub const SLOT_BYTES: usize = 32;

/// Bytes of an area: enough that one slot in it has any wanted second byte of displacement. Only
/// pages in use take memory.
pub const AREA_BYTES: u64 = 64 << 10;

/// Bytes before the displaced instructions of a detour for a displaced call.
pub const CALL_BYTES: u64 = 7 + 6;

/// Where the word with the target lies in a slot.
const TARGET: usize = SLOT_BYTES - 8;

/// A run of slots.
#[derive(Debug)]
pub struct Area {
    start: u64,
    taken: Vec<bool>,
}

impl Area {
    /// An area at `start`, where [`AREA_BYTES`] are mapped.
    #[must_use]
    pub fn at(start: u64) -> Self {
        Self {
            start,
            taken: vec![false; AREA_BYTES as usize / SLOT_BYTES],
        }
    }

    /// Maps an area that a jump at `site` reaches.
    #[must_use]
    pub fn map_near(site: u64, space: &impl AddressSpace) -> Option<Self> {
        // Half the reach of a displacement leaves room for code on both sides.
        const REACH: u64 = 1 << 30;
        let protection = Protection::READ | Protection::EXECUTE;
        let map = |below: u64| {
            let start = space
                .map_anonymous(
                    below,
                    AREA_BYTES,
                    protection.bits(),
                    MapFlags::empty().bits(),
                )
                .ok()?;
            if start.abs_diff(site) < REACH {
                return Some(start);
            }
            let _ = space.unmap(start, AREA_BYTES);
            None
        };
        let page = site & !(PAGE_BYTES - 1);
        let start = map(page.max(USER_START + AREA_BYTES)).or_else(|| map(page + REACH))?;
        crate::LINUX.memory.names.lock().insert(
            Range {
                start,
                length: AREA_BYTES,
            },
            b"[kiln]",
        );
        Some(Self::at(start))
    }

    /// First address.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The address after the last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + AREA_BYTES
    }

    /// A free slot that `fits`.
    pub fn find(&self, fits: impl Fn(u64) -> bool) -> Option<u64> {
        self.taken
            .iter()
            .enumerate()
            .filter(|(_, taken)| !**taken)
            .map(|(index, _)| self.start + (index * SLOT_BYTES) as u64)
            .find(|slot| fits(*slot))
    }

    /// Marks a slot as used.
    pub fn take(&mut self, slot: u64) {
        let index = (slot - self.start) as usize / SLOT_BYTES;
        if let Some(taken) = self.taken.get_mut(index) {
            *taken = true;
        }
    }
}

/// The jump from `at` to `target`, if it reaches.
#[must_use]
pub fn jump(at: u64, target: u64) -> Option<[u8; JUMP_BYTES]> {
    let [a, b, c, d] = displacement(at + JUMP_BYTES as u64, target)?;
    Some([0xe9, a, b, c, d])
}

/// Where a jump at `at` goes, if the bytes are one.
#[must_use]
pub fn jump_target(at: u64, bytes: &[u8; JUMP_BYTES]) -> Option<u64> {
    let [0xe9, a, b, c, d] = *bytes else {
        return None;
    };
    let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
    Some((at + JUMP_BYTES as u64).wrapping_add_signed(distance))
}

fn displacement(from: u64, to: u64) -> Option<[u8; 4]> {
    let distance = i32::try_from(to.wrapping_sub(from) as i64).ok()?;
    Some(distance.to_le_bytes())
}

/// The detour for a displaced load of `number`: load it, load the return address, call.
#[must_use]
pub fn for_load(
    number: u64,
    return_address: u64,
    slot: u64,
    target: u64,
) -> Option<[u8; SLOT_BYTES]> {
    let mut code = Code::at(slot);
    code.push(&[0xb8])?;
    code.push(&u32::try_from(number).ok()?.to_le_bytes())?;
    code.load_return(return_address)?;
    code.jump_to(target)
}

/// The detour for a displaced call: load the address of what follows, call; then the displaced
/// instructions and the jump back behind them. Answers also where those stand.
#[must_use]
pub fn for_call(
    displaced: &[u8],
    return_address: u64,
    slot: u64,
    target: u64,
) -> Option<([u8; SLOT_BYTES], u64)> {
    let continuation = slot + CALL_BYTES;
    let mut code = Code::at(slot);
    code.load_return(continuation)?;
    code.jump_through()?;
    code.push(displaced)?;
    let back = jump(code.address(), return_address + displaced.len() as u64)?;
    // 13 bytes so far, 6 at most displaced, 5 to jump back: the target's word is just free.
    code.push(&back)?;
    Some((code.finish(target), continuation))
}

/// Machine code in the making.
struct Code {
    bytes: [u8; SLOT_BYTES],
    length: usize,
    slot: u64,
}

impl Code {
    fn at(slot: u64) -> Self {
        Self {
            bytes: [0xcc; SLOT_BYTES],
            length: 0,
            slot,
        }
    }

    fn address(&self) -> u64 {
        self.slot + self.length as u64
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        if end > TARGET {
            return None;
        }
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    /// `lea rcx, [rip + ...]`
    fn load_return(&mut self, address: u64) -> Option<()> {
        let distance = displacement(self.address() + 7, address)?;
        self.push(&[0x48, 0x8d, 0x0d])?;
        self.push(&distance)
    }

    /// `jmp [rip + ...]`, through the word at the end of the slot.
    fn jump_through(&mut self) -> Option<()> {
        let distance = displacement(self.address() + 6, self.slot + TARGET as u64)?;
        self.push(&[0xff, 0x25])?;
        self.push(&distance)
    }

    fn jump_to(mut self, target: u64) -> Option<[u8; SLOT_BYTES]> {
        self.jump_through()?;
        Some(self.finish(target))
    }

    fn finish(mut self, target: u64) -> [u8; SLOT_BYTES] {
        if let Some(word) = self.bytes.get_mut(TARGET..) {
            word.copy_from_slice(&target.to_le_bytes());
        }
        self.bytes
    }
}
