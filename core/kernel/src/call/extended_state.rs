//! Vector and floating-point state across a call: no address space sees another's.
//!
//! The low halves of xmm0-15 may be clobbered by any native call and are cleared on the way out of
//! the kernel. What lies beyond (upper halves, x87, AVX-512, protection keys' rights) is the caller's
//! to keep: it is saved and put in its initial state for the callee, but only if the processor says
//! that it is in use (XGETBV with ECX = 1, SDM volume 1, 13.6), which is rare and one instruction to
//! ask. The rights above all: a callee that inherited them could be denied its own memory.

use core::arch::asm;
use core::cell::Cell;

use kiln_object::Error;

use super::activation::DEPTH;
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
const INITIAL_MXCSR: u32 = 0x1f80;

/// Room for the saved state of each nested call and of a wait in the innermost; taken at the first
/// use.
pub struct Areas([Cell<u64>; DEPTH + 1]);

/// What was saved for a caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved {
    mxcsr: u32,
    area: u64,
}

#[repr(C, align(64))]
struct InitialState {
    legacy: [u32; 128],
    header: [u64; 8],
}

/// Legacy area with the initial x87 control word and MXCSR, and a header that names no component.
static INITIAL_STATE: InitialState = InitialState {
    legacy: {
        let mut legacy = [0; 128];
        legacy[0] = 0x037f;
        legacy[6] = INITIAL_MXCSR;
        legacy
    },
    header: [0; 8],
};

impl Areas {
    /// No room taken yet.
    pub const fn new() -> Self {
        Self([const { Cell::new(0) }; DEPTH + 1])
    }

    /// Saves what the caller at `depth` has in use and gives the callee initial state.
    ///
    /// # Errors
    /// `Exhausted` without memory for the area.
    #[inline(always)]
    pub fn hide(&self, depth: usize) -> Result<Saved, Error> {
        let mut saved = Saved { mxcsr: 0, area: 0 };
        // SAFETY: stores MXCSR to our own variable.
        unsafe {
            asm!("stmxcsr [{}]", in(reg) &raw mut saved.mxcsr, options(nostack, preserves_flags))
        };
        let in_use = in_use();
        if in_use != 0 {
            saved.area = self.save(depth, in_use)?;
        }
        set_mxcsr(INITIAL_MXCSR);
        Ok(saved)
    }

    #[inline(never)]
    fn save(&self, depth: usize, in_use: u64) -> Result<u64, Error> {
        let place = self.0.get(depth).ok_or(Error::TooDeep)?;
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
}

impl Drop for Areas {
    fn drop(&mut self) {
        let pages = u64::from(extended_state_bytes()).div_ceil(PAGE_BYTES);
        for area in self.0.iter().map(Cell::get).filter(|area| *area != 0) {
            for page in 0..pages {
                frames::free(Frame::at(area - DIRECT_MAP_BASE + page * PAGE_BYTES));
            }
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
