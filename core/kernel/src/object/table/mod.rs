//! The kernel objects that one process may call.
//!
//! Neither a table nor the objects that one process pays for can grow without bound, and a table
//! grows by chunks: a client can neither fill the kernel's heap nor another process's table.
//!
//! A call finds its object without a lock and writes nothing: the name in the slot is compared with the
//! one that it came with, and is none that leads there while the slot holds nothing. Whoever changes the table
//! holds its lock. What was taken out is kept, and its slot and chunk are not used again, until the
//! process's other CPUs, of which some may just have found it, have left the objects they were in.

mod chunk;
mod share;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, Ordering};

use kiln_object::{Dispatch, Error, ObjectName, Rights};
use spin::Mutex;

use crate::memory::heap;
use chunk::{
    CHUNK_SLOTS, Chunk, GROUP_CHUNKS, Group, Held, NO_GROUP, Slot, no_chunk, no_group, nothing,
};
pub use share::Share;

/// Most objects that one process can hold.
const LIMIT: usize = 1 << 16;

/// What only the holder of the lock may touch.
struct Changes {
    /// Chunks that there are.
    chunks: usize,
    /// No chunk below this one has a free slot.
    first_free: usize,
    /// No slot of a chunk that was given back had a higher generation.
    generation: u32,
}

/// Chunks that no name leads to any more.
type Unused = Vec<Box<Chunk>>;

/// Objects by slot and generation. A generation is never used twice in a slot: a slot whose
/// generations are used up stays empty.
pub struct Table {
    groups: [AtomicPtr<Group>; GROUP_CHUNKS],
    changes: Mutex<Changes>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            groups: [const { AtomicPtr::new(no_group()) }; GROUP_CHUNKS],
            changes: Mutex::new(Changes {
                chunks: 0,
                first_free: 0,
                generation: 1,
            }),
        }
    }

    /// The object of that name and the rights that go with it, without a lock.
    ///
    /// # Safety
    /// [`Table::remove`] must find out by its `wait` that the object is still in use, until it is not.
    #[inline(always)]
    pub unsafe fn find(&self, name: ObjectName) -> Option<(&dyn Dispatch, Rights)> {
        let slot = self.slot(name);
        if slot.live.load(Ordering::Acquire) != name.raw() {
            return None;
        }
        let rights = Rights::from_bits_retain(slot.rights.load(Ordering::Relaxed));
        // SAFETY: the slot is live, so it was filled; by the contract what it holds stays.
        let held = unsafe { (*slot.held.get()).as_ref().unwrap_unchecked() };
        Some((held.object(), rights))
    }

    /// Where a name leads: its last 16 bits say it.
    #[inline(always)]
    fn slot(&self, name: ObjectName) -> &Slot {
        let place = usize::from(name.raw() as u16);
        let number = place / CHUNK_SLOTS;
        let group = self.groups[number / GROUP_CHUNKS].load(Ordering::Acquire);
        // SAFETY: as in `chunk`.
        let chunk = unsafe { &*(&*group)[number % GROUP_CHUNKS].load(Ordering::Acquire) };
        &chunk.slots[place % CHUNK_SLOTS]
    }

    #[inline(always)]
    fn chunk(&self, number: usize) -> Option<&Chunk> {
        let group = self
            .groups
            .get(number / GROUP_CHUNKS)?
            .load(Ordering::Acquire);
        // SAFETY: groups live as long as the table; chunks until nobody is in it that may have found one.
        Some(unsafe { &*(&*group)[number % GROUP_CHUNKS].load(Ordering::Acquire) })
    }

    /// The object of that name and the rights that go with it, for as long as the caller likes.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing (any more).
    pub fn lookup(&self, name: ObjectName) -> Result<(Arc<dyn Dispatch>, Rights), Error> {
        let _changes = self.changes.lock();
        let slot = self.live_slot(name)?;
        let rights = Rights::from_bits_retain(slot.rights.load(Ordering::Relaxed));
        // SAFETY: under the lock nobody changes it.
        let held = unsafe { (*slot.held.get()).as_ref() }.ok_or(Error::BadReference)?;
        Ok((held.share_object(), rights))
    }

    fn live_slot(&self, name: ObjectName) -> Result<&Slot, Error> {
        let slot = self.slot(name);
        if slot.live.load(Ordering::Relaxed) == name.raw() {
            Ok(slot)
        } else {
            Err(Error::BadReference)
        }
    }

    /// Adds an object that `payer` pays for.
    ///
    /// # Errors
    /// `Exhausted` when the table or the share is full, or the kernel has no room for more.
    pub fn insert(
        &self,
        object: Arc<dyn Dispatch>,
        rights: Rights,
        payer: &'static Share,
    ) -> Result<ObjectName, Error> {
        let mut changes = self.changes.lock();
        let (place, slot) = self.take(&mut changes, payer)?;
        slot.rights.store(rights.bits(), Ordering::Relaxed);
        // SAFETY: no name leads here, and nobody who found it under an earlier one is left.
        unsafe { *slot.held.get() = Some(Held::new(object, payer)) };
        let name = ObjectName::new(place, slot.generation.get());
        slot.live.store(name.raw(), Ordering::Release);
        Ok(name)
    }

    /// Whether `payer` pays for the object.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn is_paid_by(&self, name: ObjectName, payer: &'static Share) -> Result<bool, Error> {
        let _changes = self.changes.lock();
        let slot = self.live_slot(name)?;
        // SAFETY: under the lock nobody changes it.
        let held = unsafe { (*slot.held.get()).as_ref() }.ok_or(Error::BadReference)?;
        Ok(core::ptr::eq(held.payer(), payer))
    }

    /// The lowest free slot, with its place; it counts as used from now on.
    fn take(&self, changes: &mut Changes, payer: &Share) -> Result<(u32, &Slot), Error> {
        while changes.first_free < changes.chunks
            && self
                .chunk(changes.first_free)
                .is_some_and(|chunk| chunk.used.get() == u64::MAX)
        {
            changes.first_free += 1;
        }
        let number = changes.first_free;
        if number == changes.chunks {
            self.grow(changes, payer)?;
        }
        let chunk = self.chunk(number).ok_or(Error::Exhausted)?;
        let index = chunk.used.get().trailing_ones();
        let slot = chunk.slots.get(index as usize).ok_or(Error::Exhausted)?;
        payer.take()?;
        chunk.used.set(chunk.used.get() | 1 << index);
        Ok(((number * CHUNK_SLOTS) as u32 + index, slot))
    }

    fn grow(&self, changes: &mut Changes, payer: &Share) -> Result<(), Error> {
        let number = changes.chunks;
        let group = self
            .groups
            .get(number / GROUP_CHUNKS)
            .ok_or(Error::Exhausted)?;
        heap::ensure_room(payer.is_program())?;
        if group.load(Ordering::Relaxed) == no_group() {
            let mut made = Box::<Group>::new_uninit();
            // SAFETY: an array of pointers that nobody changes, copied as a whole.
            let made = unsafe {
                made.as_mut_ptr()
                    .copy_from_nonoverlapping(&raw const NO_GROUP, 1);
                made.assume_init()
            };
            group.store(Box::into_raw(made), Ordering::Release);
        }
        let chunk = Box::into_raw(Chunk::boxed(changes.generation));
        // SAFETY: it is not the one for all, since one was just made.
        let group = unsafe { &*group.load(Ordering::Relaxed) };
        group[number % GROUP_CHUNKS].store(chunk, Ordering::Release);
        changes.chunks += 1;
        Ok(())
    }

    /// Takes an object out. `wait` comes back when all who were in an object that they found by
    /// [`Table::find`] have left it, but for the caller, who is in none.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn remove(&self, name: ObjectName, wait: impl Fn()) -> Result<(), Error> {
        let changes = self.changes.lock();
        let place = name.slot() as usize;
        let slot = self.live_slot(name)?;
        slot.live.store(nothing(place), Ordering::SeqCst);
        drop(changes);
        wait();
        let mut changes = self.changes.lock();
        let removed = self.empty(&mut changes, place);
        let unused = self.unlink_unused(&mut changes);
        drop(changes);
        if !unused.is_empty() {
            // Somebody may just be looking at a slot in them.
            wait();
            drop(unused);
        }
        // What it runs when it goes does not find the lock taken.
        drop(removed);
        Ok(())
    }

    /// Takes what is in a slot that no name leads to, and lets it be used again.
    fn empty(&self, changes: &mut Changes, place: usize) -> Option<Held> {
        let (number, index) = (place / CHUNK_SLOTS, place % CHUNK_SLOTS);
        let chunk = self.chunk(number)?;
        let slot = chunk.slots.get(index)?;
        // SAFETY: no name leads here, and all who found it have left.
        let held = unsafe { (*slot.held.get()).take() };
        if let Some(next) = slot.generation.get().checked_add(1) {
            slot.generation.set(next);
            chunk.used.set(chunk.used.get() & !(1 << index));
            changes.first_free = changes.first_free.min(number);
        }
        held
    }

    /// Takes the chunks at the end out that hold nothing.
    fn unlink_unused(&self, changes: &mut Changes) -> Unused {
        let mut unused = Unused::new();
        while let Some(last) = changes.chunks.checked_sub(1)
            && let Some(chunk) = self.chunk(last)
            && chunk.used.get() == 0
        {
            let generations = chunk.slots.iter().map(|slot| slot.generation.get());
            changes.generation = generations.fold(changes.generation, u32::max);
            unused.extend(self.unlink(last));
            changes.chunks = last;
        }
        changes.first_free = changes.first_free.min(changes.chunks);
        unused
    }

    fn unlink(&self, number: usize) -> Option<Box<Chunk>> {
        let group = self.groups.get(number / GROUP_CHUNKS)?;
        // SAFETY: groups live as long as the table.
        let group = unsafe { &*group.load(Ordering::Acquire) };
        let chunk = group[number % GROUP_CHUNKS].load(Ordering::Acquire);
        if chunk == no_chunk() {
            return None;
        }
        group[number % GROUP_CHUNKS].store(no_chunk(), Ordering::SeqCst);
        // SAFETY: it is not the one for all, so `grow` made it, and nothing leads to it any more.
        Some(unsafe { Box::from_raw(chunk) })
    }

    /// Empties the table, which nobody uses any more.
    pub fn clear(&self) {
        let mut changes = self.changes.lock();
        let chunks: Unused = (0..changes.chunks)
            .filter_map(|number| self.unlink(number))
            .collect();
        *changes = Changes {
            chunks: 0,
            first_free: 0,
            generation: chunks
                .iter()
                .flat_map(|chunk| &chunk.slots)
                .map(|slot| slot.generation.get().saturating_add(1))
                .fold(changes.generation, u32::max),
        };
        drop(changes);
        drop(chunks);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.clear();
        for group in &self.groups {
            let group = group.load(Ordering::Acquire);
            if group != no_group() {
                // SAFETY: `grow` made it, and nobody borrows the table any more.
                drop(unsafe { Box::from_raw(group) });
            }
        }
    }
}
