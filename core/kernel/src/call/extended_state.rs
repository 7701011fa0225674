//! Vector and floating-point state across a call: no address space sees another's.
//!
//! The low halves of xmm0-15 may be clobbered by any native call and are cleared on the way out of
//! the kernel. What lies beyond (upper halves, x87, AVX-512, protection keys' rights) is the caller's
//! to keep: it is saved and put in its initial state for the callee, but only if the processor says
//! that it is in use (XGETBV with ECX = 1, SDM volume 1, 13.6), which is rare and one instruction to
//! ask. The rights above all: a callee that inherited them could be denied its own memory.
//!
//! The straight line (see [`super::straight_line`]) does the common case of the same in place.

use core::arch::asm;
use core::cell::Cell;

use kiln_object::Error;

use crate::memory::{DIRECT_MAP_BASE, Frame, PAGE_BYTES, frames};
use crate::processor::features::{extended_state_bytes, extended_state_components};
use crate::processor::{Features, features};

/// The x87 state component, the only one kept apart without XSAVE.
const X87: u64 = 1 << 0;
/// State component of the low halves, which has its own rule.
const SSE: u64 = 1 << 1;
/// Offset in an area of the bits that tell which components it holds (SDM volume 1, 13.4.2).
const HELD_COMPONENTS: u64 = 512;
/// MXCSR with all exceptions masked, rounding to nearest.
pub(super) const INITIAL_MXCSR: u32 = 0x1f80;

/// What was saved for a caller.
///
/// Packed, so that a record of a call fills one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, packed(4))]
pub struct Saved {
    /// Where its hidden components are; zero if they had their initial state.
    pub(super) area: u64,
    /// Its MXCSR.
    pub(super) mxcsr: u32,
}

/// An area with the initial state of every component.
#[repr(C, align(64))]
pub(super) struct InitialState {
    legacy: [u32; 128],
    header: [u64; 8],
}

/// Legacy area with the initial x87 control word and MXCSR, and a header that names no component.
pub(super) static INITIAL_STATE: InitialState = InitialState {
    legacy: {
        let mut legacy = [0; 128];
        legacy[0] = 0x037f;
        legacy[6] = INITIAL_MXCSR;
        legacy
    },
    header: [0; 8],
};

/// Saves what the running process has in use and gives whatever runs next initial state. `room` is
/// the memory for it, taken at the first use; it is in use until [`Saved::reveal`].
///
/// # Errors
/// `Exhausted` without memory.
#[inline(always)]
pub fn hide(room: &Cell<u64>) -> Result<Saved, Error> {
    let mut mxcsr = 0;
    // SAFETY: stores MXCSR to our own variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    let in_use = in_use();
    let area = if in_use != 0 { save(room, in_use)? } else { 0 };
    set_mxcsr(INITIAL_MXCSR);
    Ok(Saved { area, mxcsr })
}

#[inline(never)]
fn save(place: &Cell<u64>, in_use: u64) -> Result<u64, Error> {
    if place.get() == 0 {
        let pages = u64::from(extended_state_bytes()).div_ceil(PAGE_BYTES);
        let first = frames::allocate_contiguous(pages).ok_or(Error::Exhausted)?;
        // SAFETY: the pages are ours from now on, and reachable through the direct map.
        unsafe {
            first
                .pointer()
                .write_bytes(0, (pages * PAGE_BYTES) as usize)
        };
        place.set(first.pointer() as u64);
    }
    let area = place.get();
    let initial = &raw const INITIAL_STATE;
    // SAFETY: the area is page-aligned, zeroed at first, as large as all enabled components
    // need; the masks name enabled components only. Loading without XSAVE changes the low
    // halves too, which the clobbers cover.
    unsafe {
        if features().contains(Features::XSAVE) {
            // XSAVE leaves the bits of components that it is not asked for: those of an earlier
            // call at this depth, perhaps another process's.
            ((area + HELD_COMPONENTS) as *mut u64).write_volatile(0);
            asm!(
                "xsave64 [{area}]",
                "xrstor64 [{initial}]",
                area = in(reg) area,
                initial = in(reg) initial,
                in("eax") in_use as u32,
                in("edx") (in_use >> 32) as u32,
                options(nostack)
            );
        } else {
            asm!(
                "fxsave64 [{area}]",
                "fxrstor64 [{initial}]",
                area = in(reg) area,
                initial = in(reg) initial,
                clobber_abi("sysv64"),
                options(nostack)
            );
        }
    }
    Ok(area)
}

/// Gives back the memory that [`hide`] took, if it did.
pub fn give_back(room: &Cell<u64>) {
    let area = room.replace(0);
    if area != 0 {
        for page in 0..u64::from(extended_state_bytes()).div_ceil(PAGE_BYTES) {
            frames::free(Frame::at(area - DIRECT_MAP_BASE + page * PAGE_BYTES));
        }
    }
}

impl Saved {
    /// Gives the caller its state back, whatever the callee did.
    #[inline(always)]
    pub fn reveal(&self) {
        if self.area != 0 {
            load(self.area);
        } else if in_use() != 0 {
            load(&raw const INITIAL_STATE as u64);
        }
        set_mxcsr(self.mxcsr);
    }
}

/// Gives a process that has not run yet its initial state, whatever the processor has.
pub fn reset() {
    load(&raw const INITIAL_STATE as u64);
    set_mxcsr(INITIAL_MXCSR);
}

/// Loads all components that this module keeps apart from `area`: one that [`Areas::hide`] filled,
/// or the initial state.
#[inline(always)]
fn load(area: u64) {
    let components = hidden_components();
    // SAFETY: areas are aligned and well formed, and components that one does not hold become
    // initial. Loading without XSAVE changes the low halves too, which the clobbers cover.
    unsafe {
        if features().contains(Features::XSAVE) {
            asm!(
                "xrstor64 [{}]",
                in(reg) area,
                in("eax") components as u32,
                in("edx") (components >> 32) as u32,
                options(nostack)
            );
        } else {
            asm!("fxrstor64 [{}]", in(reg) area, clobber_abi("sysv64"), options(nostack));
        }
    }
}

#[inline(always)]
fn set_mxcsr(value: u32) {
    // SAFETY: the value was read from MXCSR or is the initial one, so no reserved bit is set.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
}

/// The components that this module keeps apart.
#[inline(always)]
fn hidden_components() -> u64 {
    if features().contains(Features::XSAVE) {
        extended_state_components() & !SSE
    } else {
        X87
    }
}

/// The hidden components that are not in their initial state; all where the processor does not say.
#[inline(always)]
fn in_use() -> u64 {
    if !features().contains(Features::XINUSE) {
        return hidden_components();
    }
    let (low, high): (u32, u32);
    // SAFETY: the processor has XGETBV with ECX = 1.
    unsafe {
        asm!("xgetbv", in("ecx") 1, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    // Only components that are enabled, which are those that `enable` chose, show up here.
    (u64::from(high) << 32 | u64::from(low)) & !SSE
}
