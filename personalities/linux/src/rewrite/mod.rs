//! Call sites that were met are patched to call the library directly.
//!
//! Only a `syscall` instruction that the program really executed is ever touched, at its second
//! execution, and only where the patch cannot be entered in its middle: see [`decision`]. A site
//! that cannot be patched is remembered, so that it costs one lookup in [`settled`].

pub mod decision;
pub mod detour;
pub mod settled;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use kiln_interface::kernel::AddressSpace;
use kiln_runtime::SpinMutex;

use crate::entry::direct;
use crate::program_memory;
use decision::{AFTER_BYTES, BEFORE_BYTES, Method};
use detour::{Area, SLOT_BYTES};

/// Bytes that a patch overwrites: a jump with a 32-bit displacement.
pub const JUMP_BYTES: usize = 5;

/// A site that was looked at, by the address after its `syscall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    /// It stays as it is.
    Kept,
    /// The instruction before it jumps to a detour.
    LoadDisplaced {
        /// The bytes that were at `return address - 7`.
        original: [u8; JUMP_BYTES],
    },
    /// The `syscall` itself is a jump to a detour.
    CallDisplaced {
        /// The bytes that were at `return address - 2`.
        original: [u8; JUMP_BYTES],
        /// Where the displaced instruction stands now.
        continuation: u64,
    },
}

/// All sites, and the areas with their detours.
#[derive(Debug, Default)]
struct Sites {
    sites: BTreeMap<u64, Site>,
    areas: Vec<Area>,
    patched: u64,
}

static SITES: SpinMutex<Sites> = SpinMutex::new(Sites {
    sites: BTreeMap::new(),
    areas: Vec::new(),
    patched: 0,
});

/// How many sites have been patched.
#[must_use]
pub fn patched_sites() -> u64 {
    SITES.lock().patched
}

/// Notes that the kernel reflected call `number` from the site before `return_address`; patches the
/// site if this is not the first time. Answers where the call returns to, which may have moved.
#[cold]
#[must_use]
pub fn met(return_address: u64, number: u64) -> u64 {
    if !settled::is_second_visit(return_address) {
        return return_address;
    }
    let mut sites = SITES.lock();
    let site = match sites.sites.get(&return_address) {
        Some(site) => *site,
        None => {
            let site = sites
                .patch(return_address, number, &kiln_runtime::address_space())
                .unwrap_or(Site::Kept);
            if site != Site::Kept {
                sites.patched += 1;
            }
            sites.sites.insert(return_address, site);
            site
        }
    };
    if let Site::CallDisplaced { continuation, .. } = site {
        return continuation;
    }
    // A site whose load was displaced comes this way only by a jump to the `syscall` itself.
    settled::settle(return_address);
    return_address
}

/// Takes sites in the range out of the books: its bytes change or go away.
pub fn forget(start: u64, length: u64) {
    let end = start.saturating_add(length);
    let mut sites = SITES.lock();
    let reach = start..end.saturating_add(AFTER_BYTES as u64);
    let gone: Vec<u64> = sites.sites.range(reach).map(|(at, _)| *at).collect();
    for site in &gone {
        sites.sites.remove(site);
    }
    let mut lost = Vec::new();
    sites.areas.retain(|area| {
        let overlaps = area.start() < end && start < area.end();
        if overlaps {
            lost.push((area.start(), area.end()));
        }
        !overlaps
    });
    for (area_start, area_end) in lost.iter().copied() {
        sites.restore_using(area_start, area_end, &kiln_runtime::address_space());
    }
    if !gone.is_empty() || !lost.is_empty() {
        settled::clear();
    }
}

/// Where a jump to the displaced instruction of a patched site goes on: `rip` is inside the patch,
/// at a byte that no processor executes.
#[must_use]
pub fn displaced(rip: u64) -> Option<u64> {
    match SITES.lock().sites.get(&rip)? {
        Site::CallDisplaced { continuation, .. } => Some(*continuation),
        _ => None,
    }
}

/// Where the system call that returns to `return_address` can be made again, `rax` being its
/// number.
#[must_use]
pub fn restart_address(return_address: u64) -> u64 {
    let sites = SITES.lock();
    let in_detour = sites
        .areas
        .iter()
        .any(|area| (area.start()..area.end()).contains(&return_address));
    if in_detour {
        return_address - detour::CALL_BYTES
    } else {
        // The `syscall` is still there, whatever became of the load before it.
        return_address - 2
    }
}

impl Sites {
    /// Patches a site if it can be; `None` leaves it as it is.
    fn patch(
        &mut self,
        return_address: u64,
        number: u64,
        space: &impl AddressSpace,
    ) -> Option<Site> {
        let site = return_address.checked_sub(2)?;
        let mut bytes = [0; BEFORE_BYTES + 2 + AFTER_BYTES];
        let first = site.checked_sub(BEFORE_BYTES as u64)?;
        let (before, rest) = bytes.split_at_mut(BEFORE_BYTES);
        // What cannot be read stays zero and matches nothing.
        let before_readable = program_memory::copy_in(first, before).is_ok();
        let rest_readable = program_memory::copy_in(site, rest).is_ok();
        if !rest_readable {
            program_memory::copy_in(site, rest.get_mut(..2)?).ok()?;
        }
        if !before_readable {
            before.fill(0);
        }
        match decision::decide(&bytes, number)? {
            Method::DisplaceLoad => {
                let at = site - JUMP_BYTES as u64;
                let (area, slot) = self.slot(at, space, |_| true)?;
                let stub = detour::for_load(number, return_address, slot, direct::target(number))?;
                let original = *bytes.first_chunk_at(BEFORE_BYTES - JUMP_BYTES)?;
                self.write(area, slot, &stub, at, space)?;
                Some(Site::LoadDisplaced { original })
            }
            Method::DisplaceCall { length } => {
                let (area, slot) = self.slot(site, space, |slot| {
                    detour::jump(site, slot)
                        .is_some_and(|jump| decision::is_invalid_opcode(jump[2]))
                })?;
                let displaced = bytes.get(BEFORE_BYTES + 2..BEFORE_BYTES + 2 + length)?;
                let (stub, continuation) =
                    detour::for_call(displaced, return_address, slot, direct::any_target())?;
                let original = *bytes.first_chunk_at(BEFORE_BYTES)?;
                self.write(area, slot, &stub, site, space)?;
                Some(Site::CallDisplaced {
                    original,
                    continuation,
                })
            }
        }
    }

    /// A free slot that a jump at `site` reaches and that `fits`; maps a new area if need be.
    fn slot(
        &mut self,
        site: u64,
        space: &impl AddressSpace,
        fits: impl Fn(u64) -> bool,
    ) -> Option<(usize, u64)> {
        let reachable = |slot: u64| detour::jump(site, slot).is_some() && fits(slot);
        for (index, area) in self.areas.iter().enumerate() {
            if let Some(slot) = area.find(reachable) {
                return Some((index, slot));
            }
        }
        let area = Area::map_near(site, space)?;
        let slot = area.find(reachable)?;
        self.areas.push(area);
        Some((self.areas.len() - 1, slot))
    }

    /// Writes the detour, then the jump to it.
    fn write(
        &mut self,
        area: usize,
        slot: u64,
        stub: &[u8; SLOT_BYTES],
        at: u64,
        space: &impl AddressSpace,
    ) -> Option<()> {
        for (index, part) in stub.chunks(16).enumerate() {
            space.patch(slot + index as u64 * 16, part).ok()?;
        }
        let jump = detour::jump(at, slot)?;
        space.patch(at, &jump).ok()?;
        self.areas.get_mut(area)?.take(slot);
        Some(())
    }

    /// Gives back their bytes to the sites whose detours lay in a range that is going away.
    fn restore_using(&mut self, start: u64, end: u64, space: &impl AddressSpace) {
        self.sites.retain(|return_address, site| {
            let (at, original) = match site {
                Site::Kept => return true,
                Site::LoadDisplaced { original } => (return_address - 7, original),
                Site::CallDisplaced { original, .. } => (return_address - 2, original),
            };
            let mut jump = [0; JUMP_BYTES];
            let uses = program_memory::copy_in(at, &mut jump).is_ok()
                && detour::jump_target(at, &jump).is_some_and(|to| (start..end).contains(&to));
            if uses {
                // If it fails the page is gone, and the site with it.
                let _ = space.patch(at, original);
            }
            !uses
        });
    }
}

/// Arrays out of arrays, with the bound checked.
trait FirstChunkAt {
    fn first_chunk_at<const N: usize>(&self, at: usize) -> Option<&[u8; N]>;
}

impl FirstChunkAt for [u8] {
    fn first_chunk_at<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        self.get(at..)?.first_chunk()
    }
}

#[cfg(test)]
mod tests;
