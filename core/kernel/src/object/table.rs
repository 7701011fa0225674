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

/// Slots that are made at once.
const CHUNK_SLOTS: usize = 64;

/// The end of the list of free slots.
const NONE: u32 = u32::MAX;

/// How many objects a process pays for.
#[derive(Debug)]
pub struct Share(AtomicU32);

impl Share {
    /// Of a process that pays for nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn take(&self) -> Result<(), Error> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < SHARE).then_some(held + 1)
            })
            .map(|_| ())
            .map_err(|_| Error::Exhausted)
    }

    fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
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
    /// The next free slot, while this one is free.
    next: u32,
    held: Option<Held>,
}

struct Slots {
    #[expect(clippy::vec_box, reason = "to grow must not copy all slots")]
    chunks: Vec<Box<[Slot; CHUNK_SLOTS]>>,
    /// The first free slot.
    free: u32,
}

impl Slots {
    const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
        }
    }

    #[inline]
    fn get(&self, place: u32) -> Option<&Slot> {
        let place = place as usize;
        self.chunks
            .get(place / CHUNK_SLOTS)?
            .get(place % CHUNK_SLOTS)
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut Slot> {
        let place = place as usize;
        self.chunks
            .get_mut(place / CHUNK_SLOTS)?
            .get_mut(place % CHUNK_SLOTS)
    }

    /// Makes more slots, all on the list of free ones.
    fn grow(&mut self) -> Result<(), Error> {
        let first = self.chunks.len() * CHUNK_SLOTS;
        if first >= LIMIT {
            return Err(Error::Exhausted);
        }
        let last = first + CHUNK_SLOTS - 1;
        let end = self.free;
        self.chunks
            .push(Box::new(core::array::from_fn(|index| Slot {
                generation: 1,
                rights: Rights::empty(),
                next: if first + index == last {
                    end
                } else {
                    (first + index + 1) as u32
                },
                held: None,
            })));
        self.free = first as u32;
        Ok(())
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
                ..
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
        if slots.free == NONE {
            heap::ensure_room()?;
            slots.grow()?;
        }
        let place = slots.free;
        let slot = slots.get_mut(place).ok_or(Error::Exhausted)?;
        payer.take()?;
        slot.rights = rights;
        slot.held = Some(Held { object, payer });
        let (generation, next) = (slot.generation, slot.next);
        slots.free = next;
        Ok(ObjectName::new(place, generation))
    }

    /// Takes an object out.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn remove(&self, name: ObjectName) -> Result<(), Error> {
        let mut slots = self.slots.lock();
        let free = slots.free;
        let slot = slots
            .get_mut(name.slot())
            .filter(|slot| slot.generation == name.generation())
            .ok_or(Error::BadReference)?;
        let removed = slot.held.take().ok_or(Error::BadReference)?;
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            slot.next = free;
            slots.free = name.slot();
        }
        drop(slots);
        // What it runs when it goes must not find the lock taken.
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
        static SHARE: Share = Share::new();
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
        static GIVER: Share = Share::new();
        static OTHER: Share = Share::new();
        let table = Table::new();
        let give = |payer| table.insert(Arc::new(Nothing), Rights::READ, payer);
        let names: Vec<_> = (0..super::SHARE).map(|_| give(&GIVER).unwrap()).collect();
        assert_eq!(give(&GIVER), Err(Error::Exhausted));
        assert!(give(&OTHER).is_ok());
        assert_eq!(table.remove(names[100]), Ok(()));
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
        assert_eq!(GIVER.0.load(Ordering::Relaxed), 0);
        assert_eq!(OTHER.0.load(Ordering::Relaxed), 0);
        assert!(table.lookup(names[0]).is_err());
    }
}
