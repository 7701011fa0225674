//! Places for objects, made and given back by chunks.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::{Cell, UnsafeCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use kiln_object::Dispatch;

use super::Share;

/// Slots of a chunk.
pub(super) const CHUNK_SLOTS: usize = 64;

/// Chunks of a group, and groups of a table.
pub(super) const GROUP_CHUNKS: usize = 32;

const _: () = assert!(GROUP_CHUNKS * GROUP_CHUNKS * CHUNK_SLOTS == super::LIMIT);

/// An object in a slot: a count of its `Arc`, as the pointer that a call needs.
pub(super) struct Held {
    object: NonNull<dyn Dispatch>,
    payer: &'static Share,
}

impl Held {
    /// Takes over the count that it is given.
    pub(super) fn new(object: Arc<dyn Dispatch>, payer: &'static Share) -> Self {
        // SAFETY: the pointer of an `Arc` is not null.
        let object = unsafe { NonNull::new_unchecked(Arc::into_raw(object).cast_mut()) };
        Self { object, payer }
    }

    /// The object.
    #[inline(always)]
    pub(super) fn object(&self) -> &dyn Dispatch {
        // SAFETY: `self` holds a count of it.
        unsafe { self.object.as_ref() }
    }

    /// Who pays for it.
    pub(super) fn payer(&self) -> &'static Share {
        self.payer
    }

    /// Another count of the object.
    pub(super) fn share_object(&self) -> Arc<dyn Dispatch> {
        let object = self.object.as_ptr().cast_const();
        // SAFETY: it came from an `Arc`, of which `self` holds a count.
        unsafe {
            Arc::increment_strong_count(object);
            Arc::from_raw(object)
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.payer.give_back();
        // SAFETY: this is the count that the slot was given.
        drop(unsafe { Arc::from_raw(self.object.as_ptr().cast_const()) });
    }
}

/// A place of the table.
pub(super) struct Slot {
    /// The object's name in raw form; while no name leads here, one that does not lead here. Written under the
    /// lock, after all else when an object comes and before all else when it goes.
    pub(super) live: AtomicU64,
    pub(super) rights: AtomicU32,
    /// The generation of the next name. Under the lock.
    pub(super) generation: Cell<u32>,
    pub(super) held: UnsafeCell<Option<Held>>,
}

/// What [`Slot::live`] is while no name leads to that place: whoever looks there comes with a name that
/// says so, and so with another last bit.
pub(super) const fn nothing(place: usize) -> u64 {
    (place as u64 & 1) ^ 1
}

/// Slots that are made and given back together.
pub(super) struct Chunk {
    pub(super) slots: [Slot; CHUNK_SLOTS],
    /// A bit for each slot that is in use, or used up. Under the lock.
    pub(super) used: Cell<u64>,
}

// SAFETY: what is not atomic is touched under the table's lock, but for `held`, which a call reads
// between finding the slot live and leaving; nobody changes it meanwhile (see `Table`).
unsafe impl Sync for Chunk {}

impl Chunk {
    /// A chunk whose names begin with that generation.
    pub(super) const fn new(generation: u32, used: u64) -> Self {
        Self {
            slots: [const {
                Slot {
                    live: AtomicU64::new(0),
                    rights: AtomicU32::new(0),
                    generation: Cell::new(0),
                    held: UnsafeCell::new(None),
                }
            }; CHUNK_SLOTS],
            used: Cell::new(used),
        }
        .empty(generation)
    }

    /// As [`Chunk::new`] with no slot used, made where it stays.
    pub(super) fn boxed(generation: u32) -> Box<Self> {
        let mut chunk = Box::<Self>::new_uninit();
        let place = chunk.as_mut_ptr();
        for number in 0..CHUNK_SLOTS {
            // SAFETY: the slot is one of the chunk's, whose memory is there.
            unsafe {
                (&raw mut (*place).slots)
                    .cast::<Slot>()
                    .add(number)
                    .write(Slot {
                        live: AtomicU64::new(nothing(number)),
                        rights: AtomicU32::new(0),
                        generation: Cell::new(generation),
                        held: UnsafeCell::new(None),
                    });
            }
        }
        // SAFETY: as above; with this, all of the chunk is written.
        unsafe {
            (&raw mut (*place).used).write(Cell::new(0));
            chunk.assume_init()
        }
    }

    const fn empty(mut self, generation: u32) -> Self {
        let mut place = 0;
        while place < CHUNK_SLOTS {
            self.slots[place].live = AtomicU64::new(nothing(place));
            self.slots[place].generation = Cell::new(generation);
            place += 1;
        }
        self
    }
}

/// In place of every chunk that there is not.
static NO_CHUNK: Chunk = Chunk::new(0, u64::MAX);

/// Chunks, found by one step.
pub(super) type Group = [AtomicPtr<Chunk>; GROUP_CHUNKS];

/// In place of every group that there is not.
pub(super) static NO_GROUP: Group = [const { AtomicPtr::new(no_chunk()) }; GROUP_CHUNKS];

/// What leads to no chunk.
pub(super) const fn no_chunk() -> *mut Chunk {
    (&raw const NO_CHUNK).cast_mut()
}

/// What leads to no group.
pub(super) const fn no_group() -> *mut Group {
    (&raw const NO_GROUP).cast_mut()
}
