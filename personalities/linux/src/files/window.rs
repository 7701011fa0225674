//! Windows: parts of files' pages mapped for reading, so that a read is one copy and no call.
//!
//! A window is a slot of address space that shows a part of one file. Slots are taken over in turn,
//! the one not used for longest first; whoever used it finds another stamp there and maps anew. A
//! file that is read on and on gets ever larger parts, so that reading a little costs little. The
//! bytes are only touched while the windows are locked.

use kiln_object::layout::{PAGE_BYTES, WINDOW_BASE};

use super::server::HeldPages;
use crate::errno::Errno;

/// Bytes of address space of a slot: the most that a window shows.
pub const SLOT_BYTES: u64 = 1 << 20;

/// Bytes that a file's first window shows.
const FIRST_BYTES: u64 = 64 << 10;

/// How many windows there are.
const SLOTS: usize = 32;

/// Where a file has its window, as the file remembers it.
#[derive(Clone, Copy, Debug)]
pub struct View {
    slot: usize,
    /// Zero for none: no slot ever has that stamp.
    stamp: u64,
    /// Where the part starts in the file, at a page.
    start: u64,
    /// Bytes of the file that it shows.
    length: u64,
}

impl View {
    /// No window.
    pub const NONE: View = View {
        slot: 0,
        stamp: 0,
        start: 0,
        length: 0,
    };
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Which taking over of any slot this is.
    stamp: u64,
    last_used: u64,
    mapped_bytes: u64,
}

/// All windows of the process.
#[derive(Debug)]
pub struct Windows {
    slots: [Slot; SLOTS],
    clock: u64,
    stamps: u64,
}

impl Windows {
    /// No windows yet.
    #[must_use]
    pub const fn new() -> Self {
        let unused = Slot {
            stamp: 0,
            last_used: 0,
            mapped_bytes: 0,
        };
        Self {
            slots: [unused; SLOTS],
            clock: 0,
            stamps: 0,
        }
    }

    /// Bytes of the file from `offset`, which is below its length: at least one, and as many as the
    /// window shows. `wanted` is how many there will be use for.
    ///
    /// # Errors
    /// `ENOMEM` or `EIO` if the pages cannot be mapped.
    #[inline]
    pub fn bytes(
        &mut self,
        view: &mut View,
        pages: &HeldPages,
        offset: u64,
        wanted: u64,
    ) -> Result<&[u8], Errno> {
        let mut at = offset.wrapping_sub(view.start);
        let fits = at < view.length
            && self
                .slots
                .get(view.slot)
                .is_some_and(|slot| slot.stamp == view.stamp);
        if !fits {
            self.show(view, pages, offset, wanted)?;
            at = offset - view.start;
        }
        self.clock += 1;
        if let Some(slot) = self.slots.get_mut(view.slot) {
            slot.last_used = self.clock;
        }
        let bytes = mapping::bytes(view.slot, view.length);
        Ok(bytes.get(at as usize..).unwrap_or_default())
    }

    #[cold]
    fn show(
        &mut self,
        view: &mut View,
        pages: &HeldPages,
        offset: u64,
        wanted: u64,
    ) -> Result<(), Errno> {
        let start = offset & !(PAGE_BYTES - 1);
        let goes_on = view.length > 0 && start == view.start + view.length;
        let usual = if goes_on {
            view.length * 2
        } else {
            FIRST_BYTES
        };
        let needed = (offset - start).saturating_add(wanted);
        let length = usual
            .max(needed.saturating_add(PAGE_BYTES - 1) & !(PAGE_BYTES - 1))
            .min(SLOT_BYTES)
            .min(pages.length - start);
        let own = self
            .slots
            .get(view.slot)
            .is_some_and(|slot| view.stamp != 0 && slot.stamp == view.stamp);
        let place = if own {
            view.slot
        } else {
            let oldest = self
                .slots
                .iter()
                .enumerate()
                .min_by_key(|(_, slot)| slot.last_used);
            oldest.map_or(0, |(place, _)| place)
        };
        *view = View::NONE;
        let Some(slot) = self.slots.get_mut(place) else {
            return Err(Errno::ENOMEM);
        };
        let mapped_bytes = length.next_multiple_of(PAGE_BYTES);
        let old = core::mem::replace(
            slot,
            Slot {
                stamp: 0,
                last_used: 0,
                mapped_bytes: 0,
            },
        );
        mapping::map(place, pages, start, mapped_bytes, old.mapped_bytes)?;
        self.stamps += 1;
        *slot = Slot {
            stamp: self.stamps,
            last_used: 0,
            mapped_bytes,
        };
        *view = View {
            slot: place,
            stamp: self.stamps,
            start,
            length,
        };
        Ok(())
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(address(SLOTS) <= kiln_object::layout::SYSTEM_END);

const fn address(slot: usize) -> u64 {
    WINDOW_BASE + slot as u64 * SLOT_BYTES
}

#[cfg(not(test))]
mod mapping {
    use kiln_interface::kernel::{AddressSpace, MapFlags, Protection, protection_and_flags};

    use super::{HeldPages, address};
    use crate::errno::Errno;

    pub fn map(
        slot: usize,
        pages: &HeldPages,
        offset: u64,
        length: u64,
        old: u64,
    ) -> Result<(), Errno> {
        let space = kiln_runtime::address_space();
        if old > length {
            space.unmap(address(slot) + length, old - length)?;
        }
        // The kernel maps several pages at each fault: only those that are read cost anything.
        let how = protection_and_flags(Protection::READ, MapFlags::REPLACE);
        space.map_file(pages.cache, offset, address(slot), length, how)?;
        Ok(())
    }

    #[inline]
    pub fn bytes(slot: usize, length: u64) -> &'static [u8] {
        // SAFETY: `map` put at least `length` bytes of a file's pages there before the slot got its
        // stamp, readable and never written by anyone in this process; the slice is handed out only
        // under the lock that a next `map` needs.
        unsafe {
            core::slice::from_raw_parts(
                core::ptr::with_exposed_provenance(address(slot) as usize),
                length as usize,
            )
        }
    }
}

#[cfg(test)]
mod mapping {
    use super::{HeldPages, SLOTS};
    use crate::errno::Errno;
    use std::cell::RefCell;
    use std::vec::Vec;

    std::thread_local! {
        static SHOWN: RefCell<Vec<&'static [u8]>> = const { RefCell::new(Vec::new()) };
    }

    pub fn map(
        slot: usize,
        pages: &HeldPages,
        offset: u64,
        _length: u64,
        _old: u64,
    ) -> Result<(), Errno> {
        let bytes = crate::files::switchboard::pages(pages.cache);
        SHOWN.with_borrow_mut(|shown| {
            shown.resize(SLOTS, &[]);
            shown[slot] = bytes.get(offset as usize..).unwrap_or_default();
        });
        Ok(())
    }

    pub fn bytes(slot: usize, length: u64) -> &'static [u8] {
        SHOWN.with_borrow(|shown| {
            let bytes = shown.get(slot).copied().unwrap_or_default();
            &bytes[..bytes.len().min(length as usize)]
        })
    }
}
