//! The kernel objects that one process may call.

use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_object::{Dispatch, Error, ObjectName, Rights};
use spin::Mutex;

/// Most objects that one process can hold: a client cannot fill the kernel's heap.
const LIMIT: usize = 1 << 16;

struct Slot {
    generation: u32,
    rights: Rights,
    object: Option<Arc<dyn Dispatch>>,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// Objects by slot and generation. A generation is never used twice in a slot: a slot whose
/// generations are used up stays empty.
#[derive(Default)]
pub struct Table {
    slots: Mutex<Slots>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: Mutex::new(Slots {
                slots: Vec::new(),
                free: Vec::new(),
            }),
        }
    }

    /// The object of that name and the rights that go with it.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing (any more).
    #[inline]
    pub fn lookup(&self, name: ObjectName) -> Result<(Arc<dyn Dispatch>, Rights), Error> {
        let slots = self.slots.lock();
        match slots.slots.get(name.slot() as usize) {
            Some(Slot {
                generation,
                rights,
                object: Some(object),
            }) if *generation == name.generation() => Ok((object.clone(), *rights)),
            _ => Err(Error::BadReference),
        }
    }

    /// Adds an object.
    ///
    /// # Errors
    /// `Exhausted` when the table is full.
    pub fn insert(&self, object: Arc<dyn Dispatch>, rights: Rights) -> Result<ObjectName, Error> {
        let mut slots = self.slots.lock();
        if let Some(place) = slots.free.pop()
            && let Some(slot) = slots.slots.get_mut(place as usize)
        {
            slot.rights = rights;
            slot.object = Some(object);
            return Ok(ObjectName::new(place, slot.generation));
        }
        if slots.slots.len() >= LIMIT {
            return Err(Error::Exhausted);
        }
        slots.slots.push(Slot {
            generation: 1,
            rights,
            object: Some(object),
        });
        Ok(ObjectName::new(slots.slots.len() as u32 - 1, 1))
    }

    /// Takes an object out.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn remove(&self, name: ObjectName) -> Result<(), Error> {
        let removed = {
            let mut slots = self.slots.lock();
            let slot = slots
                .slots
                .get_mut(name.slot() as usize)
                .filter(|slot| slot.generation == name.generation() && slot.object.is_some())
                .ok_or(Error::BadReference)?;
            let removed = slot.object.take();
            if let Some(next) = slot.generation.checked_add(1) {
                slot.generation = next;
                slots.free.push(name.slot());
            }
            removed
        };
        drop(removed);
        Ok(())
    }

    /// Empties the table.
    pub fn clear(&self) {
        let old = core::mem::take(&mut *self.slots.lock());
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
        let table = Table::new();
        let first = table.insert(Arc::new(Nothing), Rights::READ).unwrap();
        assert!(
            table
                .lookup(first)
                .is_ok_and(|(_, rights)| rights == Rights::READ)
        );
        assert_eq!(table.remove(first), Ok(()));
        let second = table.insert(Arc::new(Nothing), Rights::ALL).unwrap();
        assert_eq!(second.slot(), first.slot());
        assert_ne!(second, first);
        assert!(matches!(table.lookup(first), Err(Error::BadReference)));
        assert_eq!(table.remove(first), Err(Error::BadReference));
        assert!(table.lookup(second).is_ok());
        assert!(table.lookup(ObjectName::new(9, 1)).is_err());
    }
}
