//! The kernel objects that one process may call.
//!
//! Neither a table nor the objects that one process pays for can grow without bound, and a table
//! grows by chunks: a client can neither fill the kernel's heap nor another process's table.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use kiln_object::{Dispatch, Error, ObjectName, Rights};
use spin::Mutex;

use crate::memory::heap;

/// Most objects that one process can hold.
const LIMIT: usize = 1 << 16;

/// Most objects that one process can pay for, so that no giver fills another's table alone.
const SHARE: u32 = 1 << 15;

/// Slots that are made and given back at once.
const CHUNK_SLOTS: usize = 64;

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

struct Held {
    object: Arc<dyn Dispatch>,
    payer: &'static Share,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.payer.give_back();
    }
}

struct Slot {
    generation: u32,
    rights: Rights,
    held: Option<Held>,
}

struct Chunk {
    slots: [Slot; CHUNK_SLOTS],
    /// A bit for each slot that is in use, or used up.
    used: u64,
}

struct Slots {
    #[expect(clippy::vec_box, reason = "to grow must not copy all slots")]
    chunks: Vec<Box<Chunk>>,
    /// No chunk below this one has a free slot.
    first_free: usize,
    /// No slot of a chunk that was given back had a higher generation.
    generation: u32,
}

impl Slots {
    const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            first_free: 0,
            generation: 1,
        }
    }

    #[inline]
    fn get(&self, place: u32) -> Option<&Slot> {
        let place = place as usize;
        self.chunks
            .get(place / CHUNK_SLOTS)?
            .slots
            .get(place % CHUNK_SLOTS)
    }

    /// The lowest free slot, with its place; it counts as used from now on.
    fn take(&mut self, payer: &Share) -> Result<(u32, &mut Slot), Error> {
        while let Some(chunk) = self.chunks.get(self.first_free)
            && chunk.used == u64::MAX
        {
            self.first_free += 1;
        }
        let first = self.first_free * CHUNK_SLOTS;
        if self.first_free == self.chunks.len() {
            if first >= LIMIT {
                return Err(Error::Exhausted);
            }
            heap::ensure_room(payer.program)?;
            let generation = self.generation;
            let slots = core::array::from_fn(|_| Slot {
                generation,
                rights: Rights::empty(),
                held: None,
            });
            self.chunks.push(Box::new(Chunk { slots, used: 0 }));
        }
        let chunk = self
            .chunks
            .get_mut(self.first_free)
            .ok_or(Error::Exhausted)?;
        let index = chunk.used.trailing_ones();
        let slot = chunk
            .slots
            .get_mut(index as usize)
            .ok_or(Error::Exhausted)?;
        payer.take()?;
        chunk.used |= 1 << index;
        Ok((first as u32 + index, slot))
    }

    /// Takes what the name names out of its slot.
    fn remove(&mut self, name: ObjectName) -> Option<Held> {
        let place = name.slot() as usize;
        let (number, index) = (place / CHUNK_SLOTS, place % CHUNK_SLOTS);
        let chunk = self.chunks.get_mut(number)?;
        let slot = chunk.slots.get_mut(index)?;
        if slot.generation != name.generation() {
            return None;
        }
        let held = slot.held.take()?;
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            chunk.used &= !(1 << index);
            self.first_free = self.first_free.min(number);
        }
        while let Some(last) = self.chunks.pop_if(|chunk| chunk.used == 0) {
            let generations = last.slots.iter().map(|slot| slot.generation);
            self.generation = generations.fold(self.generation, u32::max);
        }
        Some(held)
    }
}

/// Objects by slot and generation. A generation is never used twice in a slot: a slot whose
/// generations are used up stays empty.
pub struct Table {
    slots: Mutex<Slots>,
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
            slots: Mutex::new(Slots::new()),
        }
    }

    /// The object of that name and the rights that go with it.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing (any more).
    #[inline]
    pub fn lookup(&self, name: ObjectName) -> Result<(Arc<dyn Dispatch>, Rights), Error> {
        let slots = self.slots.lock();
        match slots.get(name.slot()) {
            Some(Slot {
                generation,
                rights,
                held: Some(held),
            }) if *generation == name.generation() => Ok((held.object.clone(), *rights)),
            _ => Err(Error::BadReference),
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
        let mut slots = self.slots.lock();
        let (place, slot) = slots.take(payer)?;
        slot.rights = rights;
        slot.held = Some(Held { object, payer });
        Ok(ObjectName::new(place, slot.generation))
    }

    /// Whether `payer` pays for the object.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn is_paid_by(&self, name: ObjectName, payer: &'static Share) -> Result<bool, Error> {
        match self.slots.lock().get(name.slot()) {
            Some(Slot {
                generation,
                held: Some(held),
                ..
            }) if *generation == name.generation() => Ok(core::ptr::eq(held.payer, payer)),
            _ => Err(Error::BadReference),
        }
    }

    /// Takes an object out.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn remove(&self, name: ObjectName) -> Result<(), Error> {
        let removed = self.slots.lock().remove(name).ok_or(Error::BadReference)?;
        // What it runs when it goes does not find the lock taken.
        drop(removed);
        Ok(())
    }

    /// Empties the table.
    pub fn clear(&self) {
        let old = core::mem::replace(&mut *self.slots.lock(), Slots::new());
        drop(old);
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
        assert_eq!(table.remove(first), Ok(()));
        let second = table
            .insert(Arc::new(Nothing), Rights::ALL, &SHARE)
            .unwrap();
        assert_eq!(second.slot(), first.slot());
        assert_ne!(second, first);
        assert!(matches!(table.lookup(first), Err(Error::BadReference)));
        assert_eq!(table.remove(first), Err(Error::BadReference));
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
        assert_eq!(table.remove(names[100]), Ok(()));
        assert_eq!(
            table.is_paid_by(names[100], &GIVER),
            Err(Error::BadReference)
        );
        assert_eq!(
            give(&GIVER).map(ObjectName::slot),
            Ok(names[100].slot()),
            "the free slot is used again"
        );
        assert_eq!(table.remove(names[100]), Err(Error::BadReference));
        for _ in super::SHARE + 1..LIMIT as u32 {
            assert!(give(&OTHER).is_ok());
        }
        assert_eq!(table.remove(names[200]), Ok(()));
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
                assert_eq!(table.remove(*name), Ok(()));
            }
            assert!(table.slots.lock().chunks.is_empty());
        }
        assert_eq!(SHARE.held.load(Ordering::Relaxed), 0);
    }
}
