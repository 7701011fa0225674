//! The component's own memory: what the attacks may change, and how it comes back to what it was.
//!
//! What the system's part of the address space held at the start is what the code here runs on; an
//! attack that could touch it is only made where the kernel must refuse it.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection};
use kiln_object::Error;
use kiln_object::layout::{PAGE_BYTES, SYSTEM_END, SYSTEM_START, USER_START};
use kiln_runtime::{SpinMutex, address_space, kernel_information};

/// Where attacks map what they like.
pub const ARENA: u64 = 0x1000_0000_0000;

/// Both directions.
pub const READ_WRITE: Protection = Protection::READ.union(Protection::WRITE);

static AT_START: SpinMutex<Vec<(u64, u64)>> = SpinMutex::new(Vec::new());

/// A page of the code here, which can be read and executed.
pub fn text() -> u64 {
    (clean as fn() as *const () as u64) & !(PAGE_BYTES - 1)
}

/// Bytes of the machine's memory that are free.
pub fn free() -> u64 {
    kernel_information().memory_free.load(Ordering::Relaxed)
}

/// Maps zeroed memory.
pub fn map(
    address: u64,
    length: u64,
    protection: Protection,
    flags: MapFlags,
) -> Result<u64, Error> {
    address_space().map_anonymous(address, length, protection.bits(), flags.bits())
}

/// Removes a mapping.
pub fn unmap(address: u64, length: u64) -> Result<(), Error> {
    address_space().unmap(address, length)
}

/// The first region at or above `address`.
pub fn region(address: u64) -> Option<(u64, u64)> {
    address_space().region(address).ok().map(|(range, _)| range)
}

/// Notes what is mapped now.
pub fn remember() {
    let mut regions = AT_START.lock();
    // Room for all, so that noting them changes nothing.
    regions.reserve(256);
    regions.clear();
    let mut next = 0;
    while let Some((start, end)) = region(next) {
        regions.push((start, end));
        next = end;
    }
}

/// Whether code here may run on something in the range.
pub fn is_vital(start: u64, end: u64) -> bool {
    AT_START
        .lock()
        .iter()
        .any(|(from, to)| *from < end && start < *to)
}

/// Removes all that was not mapped at the start.
pub fn clean() {
    clean_where(true);
}

/// As [`clean`], but for the system's part: rooms for calls that came there meanwhile are used again,
/// perhaps just now.
pub fn clean_own_part() {
    clean_where(false);
}

fn clean_where(also_system: bool) {
    let mut next = USER_START;
    while let Some((start, end)) = region(next) {
        let in_system = |address| (SYSTEM_START..SYSTEM_END).contains(&address);
        next = end;
        if !also_system && in_system(start) {
            continue;
        }
        let mut from = start.max(USER_START);
        while from < end {
            let kept = AT_START
                .lock()
                .iter()
                .copied()
                .find(|(_, to)| from < *to)
                .unwrap_or((end, end));
            let to = kept.0.min(end);
            // Furnished call slots are the kernel's: they answer `Denied` and stay.
            if from < to && unmap(from, to - from).is_err() && !in_system(from) {
                crate::report::failed(format_args!("{from:#x}..{to:#x} cannot be unmapped"));
            }
            from = kept.1.max(to);
        }
    }
}
