//! The kernel objects that one process may call.
//!
//! Neither a table nor the objects that one process pays for can grow without bound, and a table
//! grows by chunks: a client can neither fill the kernel's heap nor another process's table.
//!
//! A call finds its object without a lock and writes nothing: the slot's generation is compared with the
//! name's, and is none that a name can have while the slot holds nothing. Whoever changes the table
//! holds its lock. What was taken out is kept, and its slot and chunk are not used again, until the
//! process's other CPUs, of which some may just have found it, have left the objects they were in.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use kiln_object::{Dispatch, Error, ObjectName, Rights};
use spin::Mutex;

use crate::memory::heap;

/// Most objects that one process can hold.
const LIMIT: usize = 1 << 16;

/// Most objects that one process can pay for, so that no giver fills another's table alone.
const SHARE: u32 = 1 << 15;

/// Slots that are made and given back at once.
const CHUNK_SLOTS: usize = 64;

/// Chunks of a group, and groups of a table.
const GROUP_CHUNKS: usize = 32;

const _: () = assert!(GROUP_CHUNKS * GROUP_CHUNKS * CHUNK_SLOTS == LIMIT);

/// What [`Slot::live`] is while the slot holds nothing: no name has this generation.
const NOTHING: u64 = 1 << 32;

/// How many objects a process pays for.
#[derive(Debug)]
pub struct Share {
    held: AtomicU32,
    program: bool,
}

impl Share {
    /// Of a process that pays for nothing yet; `program` is whether it is the program's.
    #[must_use]
    pub const fn new(program: bool) -> Self {
        Self {
            held: AtomicU32::new(0),
            program,
        }
    }

    fn take(&self) -> Result<(), Error> {
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < SHARE).then_some(held + 1)
            })
            .map(|_| ())
            .map_err(|_| Error::Exhausted)
    }

    fn give_back(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An object in a slot: a count of its `Arc`, as the pointer that a call needs.
struct Held {
    object: NonNull<dyn Dispatch>,
    payer: &'static Share,
}

impl Held {
    /// Another count of the object.
    fn share_object(&self) -> Arc<dyn Dispatch> {
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

struct Slot {
    /// The generation of the object's name; [`NOTHING`] while no name leads here. Written under the
    /// lock, after all else when an object comes and before all else when it goes.
    live: AtomicU64,
    rights: AtomicU32,
    /// The generation of the next name. Under the lock.
    generation: Cell<u32>,
    held: UnsafeCell<Option<Held>>,
}

struct Chunk {
    slots: [Slot; CHUNK_SLOTS],
    /// A bit for each slot that is in use, or used up. Under the lock.
    used: Cell<u64>,
}

// SAFETY: what is not atomic is touched under the table's lock, but for `held`, which a call reads
// between finding the slot live and leaving; nobody changes it meanwhile (see the top).
unsafe impl Sync for Chunk {}

impl Chunk {
    const fn new(generation: u32, used: u64) -> Self {
        Self {
            slots: [const {
                Slot {
                    live: AtomicU64::new(NOTHING),
                    rights: AtomicU32::new(0),
                    generation: Cell::new(0),
                    held: UnsafeCell::new(None),
                }
            }; CHUNK_SLOTS],
            used: Cell::new(used),
        }
        .with_generation(generation)
    }

    /// As [`Chunk::new`] with no slot used, made where it stays.
    fn boxed(generation: u32) -> Box<Self> {
        let mut chunk = Box::<Self>::new_uninit();
        let place = chunk.as_mut_ptr();
        for number in 0..CHUNK_SLOTS {
            // SAFETY: the slot is one of the chunk's, whose memory is there.
            unsafe {
                (&raw mut (*place).slots)
                    .cast::<Slot>()
                    .add(number)
                    .write(Slot {
                        live: AtomicU64::new(NOTHING),
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

    const fn with_generation(self, generation: u32) -> Self {
        let mut place = 0;
        while place < CHUNK_SLOTS {
            self.slots[place].generation.replace(generation);
            place += 1;
        }
        self
    }
}

/// In place of every chunk that there is not.
static NO_CHUNK: Chunk = Chunk::new(0, u64::MAX);

type Group = [AtomicPtr<Chunk>; GROUP_CHUNKS];

/// In place of every group that there is not.
static NO_GROUP: Group = [const { AtomicPtr::new(no_chunk()) }; GROUP_CHUNKS];

const fn no_chunk() -> *mut Chunk {
    (&raw const NO_CHUNK).cast_mut()
}

const fn no_group() -> *mut Group {
    (&raw const NO_GROUP).cast_mut()
}

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
        let slot = self.slot(name.slot() as usize)?;
        if slot.live.load(Ordering::Acquire) != u64::from(name.generation()) {
            return None;
        }
        let rights = Rights::from_bits_retain(slot.rights.load(Ordering::Relaxed));
        // SAFETY: the slot is live, so it was filled; by the contract what it holds stays.
        let held = unsafe { (*slot.held.get()).as_ref().unwrap_unchecked() };
        // SAFETY: it holds a count of the object.
        Some((unsafe { held.object.as_ref() }, rights))
    }

    #[inline(always)]
    fn slot(&self, place: usize) -> Option<&Slot> {
        self.chunk(place / CHUNK_SLOTS)
            .map(|chunk| &chunk.slots[place % CHUNK_SLOTS])
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
        self.slot(name.slot() as usize)
            .filter(|slot| slot.live.load(Ordering::Relaxed) == u64::from(name.generation()))
            .ok_or(Error::BadReference)
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
        // SAFETY: the pointer of an `Arc` is not null.
        let object = unsafe { NonNull::new_unchecked(Arc::into_raw(object).cast_mut()) };
        slot.rights.store(rights.bits(), Ordering::Relaxed);
        // SAFETY: no name leads here, and nobody who found it under an earlier one is left.
        unsafe { *slot.held.get() = Some(Held { object, payer }) };
        let generation = slot.generation.get();
        slot.live.store(u64::from(generation), Ordering::Release);
        Ok(ObjectName::new(place, generation))
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
        Ok(core::ptr::eq(held.payer, payer))
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
        heap::ensure_room(payer.program)?;
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
        self.live_slot(name)?.live.store(NOTHING, Ordering::SeqCst);
        drop(changes);
        wait();
        let mut changes = self.changes.lock();
        let removed = self.empty(&mut changes, name.slot() as usize);
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

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_object::{Incoming, Outgoing, Reply};

    struct Nothing;

    impl Dispatch for Nothing {
        fn interface_hash(&self) -> u64 {
            0
        }
        fn dispatch(&self, _incoming: Incoming<'_>) -> Outgoing {
            Ok(Reply::default())
        }
    }

    #[test]
    fn a_name_dies_with_its_object() {
        static SHARE: Share = Share::new(false);
        let table = Table::new();
        let first = table
            .insert(Arc::new(Nothing), Rights::READ, &SHARE)
            .unwrap();
        assert!(
            table
                .lookup(first)
                .is_ok_and(|(_, rights)| rights == Rights::READ)
        );
        assert_eq!(table.remove(first, || {}), Ok(()));
        let second = table
            .insert(Arc::new(Nothing), Rights::ALL, &SHARE)
            .unwrap();
        assert_eq!(second.slot(), first.slot());
        assert_ne!(second, first);
        assert!(matches!(table.lookup(first), Err(Error::BadReference)));
        assert_eq!(table.remove(first, || {}), Err(Error::BadReference));
        assert!(table.lookup(second).is_ok());
        assert!(table.lookup(ObjectName::new(9, 1)).is_err());
    }

    #[test]
    fn no_giver_fills_a_table_and_what_is_taken_back_is_paid_no_more() {
        static GIVER: Share = Share::new(true);
        static OTHER: Share = Share::new(false);
        let table = Table::new();
        let give = |payer| table.insert(Arc::new(Nothing), Rights::READ, payer);
        let names: Vec<_> = (0..super::SHARE).map(|_| give(&GIVER).unwrap()).collect();
        assert_eq!(give(&GIVER), Err(Error::Exhausted));
        assert!(give(&OTHER).is_ok());
        assert_eq!(table.is_paid_by(names[100], &GIVER), Ok(true));
        assert_eq!(table.is_paid_by(names[100], &OTHER), Ok(false));
        assert_eq!(table.remove(names[100], || {}), Ok(()));
        assert_eq!(
            table.is_paid_by(names[100], &GIVER),
            Err(Error::BadReference)
        );
        assert_eq!(
            give(&GIVER).map(ObjectName::slot),
            Ok(names[100].slot()),
            "the free slot is used again"
        );
        assert_eq!(table.remove(names[100], || {}), Err(Error::BadReference));
        for _ in super::SHARE + 1..LIMIT as u32 {
            assert!(give(&OTHER).is_ok());
        }
        assert_eq!(table.remove(names[200], || {}), Ok(()));
        assert!(give(&GIVER).is_ok());
        assert_eq!(give(&GIVER), Err(Error::Exhausted));
        table.clear();
        assert_eq!(GIVER.held.load(Ordering::Relaxed), 0);
        assert_eq!(OTHER.held.load(Ordering::Relaxed), 0);
        assert!(table.lookup(names[0]).is_err());
    }

    #[test]
    fn names_of_slots_that_were_given_back_never_come_again() {
        static SHARE: Share = Share::new(false);
        let table = Table::new();
        let give = || {
            table
                .insert(Arc::new(Nothing), Rights::READ, &SHARE)
                .unwrap()
        };
        let mut seen = alloc::collections::BTreeSet::new();
        for round in 1..20 {
            let names: Vec<_> = (0..round * 17).map(|_| give()).collect();
            assert!(names.iter().all(|name| seen.insert(name.raw())));
            for name in &names {
                assert!(table.lookup(*name).is_ok());
                assert_eq!(table.remove(*name, || {}), Ok(()));
            }
            assert_eq!(table.changes.lock().chunks, 0);
        }
        assert_eq!(SHARE.held.load(Ordering::Relaxed), 0);
    }
}
