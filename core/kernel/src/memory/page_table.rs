//! The processor's page tables of one address space, four levels (SDM volume 3, 4.5).
//!
//! Tables are frames of their own. A leaf with [`OWNED`] set holds a frame that belongs to the
//! mapping and is freed with it; others belong to the image or are pinned elsewhere.

use super::frames::{self, Frame, Purpose};

/// Entry is valid.
pub const PRESENT: u64 = 1 << 0;
/// Stores are allowed.
pub const WRITABLE: u64 = 1 << 1;
/// User mode may use it.
pub const USER: u64 = 1 << 2;
/// Uncached.
pub const UNCACHED: u64 = 1 << 4;
/// The entry maps a large page.
pub const LARGE: u64 = 1 << 7;
/// Stays in the TLB when CR3 is loaded.
pub const GLOBAL: u64 = 1 << 8;
/// Ours (ignored by the processor): the frame belongs to this mapping.
pub const OWNED: u64 = 1 << 9;
/// Ours: the frame of an entry that is not present any more is to be freed when no processor has the
/// translation.
pub const RETIRED: u64 = 1 << 10;
/// No instruction fetches.
pub const NO_EXECUTE: u64 = 1 << 63;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// There is no memory for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// The frame in a leaf or table entry.
#[must_use]
pub const fn frame_of(entry: u64) -> Frame {
    Frame::at(entry & ADDRESS)
}

/// A hierarchy of tables, by its root. The holder of `&mut` is the only one who changes it.
#[derive(Debug)]
pub struct PageTable {
    root: Frame,
}

impl PageTable {
    /// The tables below `root`.
    ///
    /// # Safety
    /// `root` is a level-4 table whose lower half nobody else changes.
    #[must_use]
    pub const unsafe fn from_root(root: Frame) -> Self {
        Self { root }
    }

    /// The level-4 table.
    #[must_use]
    pub const fn root(&self) -> Frame {
        self.root
    }

    fn slot(table: Frame, address: u64, level: u32) -> *mut u64 {
        let index = (address >> (12 + 9 * level)) & 511;
        // SAFETY: the index is below 512, so the pointer stays in the table's page.
        unsafe { table.pointer().cast::<u64>().add(index as usize) }
    }

    /// The leaf slot of `address`, with missing tables made for the kernel.
    ///
    /// # Errors
    /// [`NoMemory`] for a table.
    pub fn slot_for(&mut self, address: u64) -> Result<Slot<'_>, NoMemory> {
        self.slot_made_for(address, Purpose::Kernel)
    }

    /// The leaf slot of `address`, with missing tables made for `purpose`.
    ///
    /// # Errors
    /// [`NoMemory`] for a table.
    #[inline(never)]
    pub fn slot_made_for(&mut self, address: u64, purpose: Purpose) -> Result<Slot<'_>, NoMemory> {
        let mut table = self.root;
        for level in [3, 2, 1] {
            // SAFETY: the slot lies in a table of this hierarchy, which `&mut self` guards.
            let entry = unsafe { Self::slot(table, address, level).read() };
            if entry & PRESENT == 0 {
                table = self.make_tables(address, purpose)?;
                break;
            }
            table = frame_of(entry);
        }
        Ok(Slot {
            pointer: Self::slot(table, address, 0),
            table: core::marker::PhantomData,
        })
    }

    /// Makes the tables that are missing on the way to `address`; answers the lowest.
    #[cold]
    #[inline(never)]
    fn make_tables(&mut self, address: u64, purpose: Purpose) -> Result<Frame, NoMemory> {
        let rights = if address < 1 << 47 { USER } else { 0 };
        let mut table = self.root;
        // A count that the compiler does not know keeps this one loop: it runs seldom.
        let mut level = core::hint::black_box(3);
        while level > 0 {
            let slot = Self::slot(table, address, level);
            // SAFETY: the slot lies in a table of this hierarchy, which `&mut self` guards.
            let entry = unsafe { slot.read() };
            table = if entry & PRESENT != 0 {
                frame_of(entry)
            } else {
                let new = frames::allocate_for(purpose).ok_or(NoMemory)?;
                frames::zero(new);
                // SAFETY: as above; the new table is zeroed, so it maps nothing yet.
                unsafe { slot.write(new.physical() | PRESENT | WRITABLE | rights) };
                new
            };
            level -= 1;
        }
        Ok(table)
    }

    /// The leaf slot of `address` if its tables are there.
    pub fn existing_slot(&mut self, address: u64) -> Option<Slot<'_>> {
        let mut table = self.root;
        for level in [3, 2, 1] {
            // SAFETY: the slot lies in a table of this hierarchy.
            let entry = unsafe { Self::slot(table, address, level).read() };
            if entry & PRESENT == 0 || entry & LARGE != 0 {
                return None;
            }
            table = frame_of(entry);
        }
        Some(Slot {
            pointer: Self::slot(table, address, 0),
            table: core::marker::PhantomData,
        })
    }

    /// Calls `action` for each leaf that is set in `start..end`, which is user space.
    pub fn for_each(&mut self, start: u64, end: u64, mut action: impl FnMut(u64, &mut Slot<'_>)) {
        let mut address = start;
        'pages: while address < end {
            let mut table = self.root;
            for level in [3, 2, 1] {
                // SAFETY: the slot lies in a table of this hierarchy.
                let entry = unsafe { Self::slot(table, address, level).read() };
                if entry & PRESENT == 0 {
                    let span = 1u64 << (12 + 9 * level);
                    address = (address & !(span - 1)) + span;
                    continue 'pages;
                }
                table = frame_of(entry);
            }
            let stop = ((address & !0x1f_ffff) + 0x20_0000).min(end);
            while address < stop {
                let mut slot = Slot {
                    pointer: Self::slot(table, address, 0),
                    table: core::marker::PhantomData,
                };
                if slot.get() != 0 {
                    action(address, &mut slot);
                }
                address += super::PAGE_BYTES;
            }
        }
    }

    /// The first leaf in `start..end` that is set, with its entry.
    pub fn first_set(&mut self, start: u64, end: u64) -> Option<(u64, u64)> {
        let mut address = start;
        'tables: while address < end {
            let mut table = self.root;
            for level in [3, 2, 1] {
                // SAFETY: the slot lies in a table of this hierarchy.
                let entry = unsafe { Self::slot(table, address, level).read() };
                if entry & PRESENT == 0 {
                    let span = span(level);
                    address = (address & !(span - 1)) + span;
                    continue 'tables;
                }
                table = frame_of(entry);
            }
            let stop = ((address & !(span(1) - 1)) + span(1)).min(end);
            while address < stop {
                // SAFETY: as above.
                let entry = unsafe { Self::slot(table, address, 0).read_volatile() };
                if entry != 0 {
                    return Some((address, entry));
                }
                address += super::PAGE_BYTES;
            }
        }
        None
    }

    /// Unlinks the tables for addresses in `start..end` of which `free` holds all, as far as there is
    /// room for them; in `free`, which is user space, no leaf is set. The caller flushes the TLB.
    pub fn free_empty(
        &mut self,
        (start, end): (u64, u64),
        free: (u64, u64),
        unlinked: &mut Unlinked,
    ) {
        let root = self.root;
        // SAFETY: the tables are this hierarchy's, which `&mut self` guards.
        unsafe { free_empty_below(root, 3, 0, (start, end), free, unlinked) };
    }

    /// Frees every table below the lower half; leaves must have been cleared.
    pub fn free_user_tables(&mut self) {
        fn free_below(table: Frame, level: u32, entries: usize) {
            for index in 0..entries {
                // SAFETY: the index is below 512; the table belongs to this hierarchy.
                let entry = unsafe { table.pointer().cast::<u64>().add(index).read() };
                if entry & PRESENT != 0 {
                    if level > 1 {
                        free_below(frame_of(entry), level - 1, 512);
                    }
                    frames::free(frame_of(entry));
                    // SAFETY: as above.
                    unsafe { table.pointer().cast::<u64>().add(index).write(0) };
                }
            }
        }
        free_below(self.root, 3, 256);
    }
}

/// Tables that can be unlinked before processors are asked to forget them.
const UNLINKED_AT_ONCE: usize = 32;

/// What becomes of tables that are no longer in the hierarchy.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lies on a stack for a moment"
)]
pub enum Unlinked {
    /// They are freed: only this processor may have them cached.
    AtOnce,
    /// They are kept until other processors have forgotten them.
    Later {
        /// The tables.
        frames: [Frame; UNLINKED_AT_ONCE],
        /// How many there are.
        count: usize,
    },
}

impl Unlinked {
    /// None yet, to be kept.
    #[must_use]
    pub const fn later() -> Self {
        Self::Later {
            frames: [Frame::at(0); UNLINKED_AT_ONCE],
            count: 0,
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Self::AtOnce => true,
            Self::Later { count, .. } => *count < UNLINKED_AT_ONCE,
        }
    }

    fn take(&mut self, frame: Frame) {
        match self {
            Self::AtOnce => frames::free(frame),
            Self::Later { frames, count } => {
                if let Some(place) = frames.get_mut(*count) {
                    *place = frame;
                    *count += 1;
                }
            }
        }
    }

    /// Whether none are kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::AtOnce | Self::Later { count: 0, .. })
    }

    /// Frees them: no processor has them cached.
    pub fn free(self) {
        if let Self::Later { frames, count } = self {
            for frame in frames.into_iter().take(count) {
                frames::free(frame);
            }
        }
    }
}

/// Bytes that an entry of a table of `level` stands for.
const fn span(level: u32) -> u64 {
    1 << (12 + 9 * level)
}

/// Frees the tables below `table`, which is of `level` and starts at `base`, as
/// [`PageTable::free_empty`] says.
///
/// # Safety
/// The table belongs to a hierarchy that the caller holds exclusively; no leaf is set in `free`.
unsafe fn free_empty_below(
    table: Frame,
    level: u32,
    base: u64,
    (start, end): (u64, u64),
    free: (u64, u64),
    unlinked: &mut Unlinked,
) {
    let span = span(level);
    let mut address = start.max(base) & !(span - 1);
    // The upper half is not reached: its first address is the last that `base` and `end` allow.
    let stop = end.min(base + 512 * span);
    while address < stop {
        let slot = PageTable::slot(table, address, level);
        // SAFETY: the slot lies in the table, which the caller holds.
        let entry = unsafe { slot.read() };
        if entry & PRESENT != 0 {
            let below = frame_of(entry);
            if level > 1 {
                // SAFETY: as for this table.
                unsafe {
                    free_empty_below(below, level - 1, address, (start, end), free, unlinked)
                };
            }
            // With all of it free, the calls for what is below have freed what lies in the range;
            // the rest of it was freed when its last leaf went.
            if free.0 <= address
                && address + span <= free.1
                && is_empty(below, level)
                && unlinked.has_room()
            {
                // SAFETY: as above; nothing is below the table any more.
                unsafe { slot.write(0) };
                unlinked.take(below);
            }
        }
        address += span;
    }
}

/// Whether a table that an entry of `level` names has no tables below it; leaves are not looked at.
fn is_empty(table: Frame, level: u32) -> bool {
    // SAFETY: the table is live and has 512 entries.
    level == 1
        || (0..512).all(|index| unsafe { table.pointer().cast::<u64>().add(index).read() == 0 })
}

/// One leaf entry.
#[derive(Debug)]
pub struct Slot<'a> {
    pointer: *mut u64,
    table: core::marker::PhantomData<&'a mut u64>,
}

impl Slot<'_> {
    /// The entry.
    #[must_use]
    pub fn get(&self) -> u64 {
        // SAFETY: the pointer is into a live table that the borrow guards; the processor may set
        // accessed and dirty bits meanwhile, hence volatile.
        unsafe { self.pointer.read_volatile() }
    }

    /// Writes the entry; the caller flushes the TLB where that is needed.
    pub fn set(&mut self, entry: u64) {
        // SAFETY: as in `get`.
        unsafe { self.pointer.write_volatile(entry) }
    }
}
