//! All objects that a process serves by name, found without a lock.
//!
//! Places come in chunks that are made when needed and never given back. What changes the set of
//! objects (filling, recycling, counting shares) is under one lock; finding one is not.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

use kiln_object::near::Life;
use kiln_object::{Dispatch, Error, ObjectName, ProcessId, Rights};

use super::primitives::{AtomicU64, UnsafeCell};
use super::served;
use super::slot::{Contents, Counted, Inside, Presence, Recycle, Slot};
use crate::{SpinMutex, trace};

/// Places in a chunk.
const CHUNK_SLOTS: usize = 256;
/// Chunks of a table.
const CHUNKS: usize = 256;
/// Objects that the table holds for one client at most.
pub const OBJECTS_PER_CLIENT: u32 = 16 * 1024;
/// A place whose generation gets here is not used again, so that no name ever comes back.
const LAST_GENERATION: u32 = u32::MAX;

type Chunk = [Slot; CHUNK_SLOTS];

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "each use makes a place of its own"
)]
const UNUSED: Slot = Slot::new(
    AtomicU64::new(Slot::FIRST_STATE),
    AtomicU64::new(0),
    UnsafeCell::new(None),
);

/// A table of objects.
pub struct Table {
    chunks: [AtomicPtr<Chunk>; CHUNKS],
    free: SpinMutex<Free>,
}

struct Free {
    /// Places that held something and are free now.
    places: Vec<u32>,
    /// The lowest place that never held anything. Place 0 is the bootstrap object's.
    next: u32,
    /// Objects by the client that pays for them.
    shares: BTreeMap<ProcessId, u32>,
    /// Names by the process that has them.
    owners: BTreeMap<ProcessId, u32>,
}

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS],
            free: SpinMutex::new(Free {
                places: Vec::new(),
                next: 1,
                shares: BTreeMap::new(),
                owners: BTreeMap::new(),
            }),
        }
    }

    /// Finds the object that `caller` calls `name`.
    #[inline(always)]
    pub fn enter<P: Presence>(
        &self,
        name: ObjectName,
        caller: ProcessId,
        presence: P,
    ) -> Option<Inside<'_, P>> {
        self.slot(name.slot())?
            .enter(name.generation(), caller, self, presence)
    }

    /// Whether a call of `name` by its owner would find it now.
    pub fn is_live(&self, name: ObjectName) -> bool {
        self.slot(name.slot())
            .is_some_and(|slot| slot.is_live(name.generation()))
    }

    /// Where near calls see whether `name` still names something: the state of its place, which is not
    /// given back and does not come to the same generation again.
    pub fn life(&'static self, name: ObjectName) -> Option<Life> {
        let (state, live) = self.slot(name.slot())?.life(name.generation());
        Some(Life::new(state, live))
    }

    /// Gives `object` a name for `owner`, out of the share of `payer`.
    pub fn insert(
        &self,
        object: Arc<dyn Dispatch>,
        owner: ProcessId,
        rights: Rights,
        payer: ProcessId,
    ) -> Result<ObjectName, Error> {
        let place = self.take_place(payer, owner)?;
        let slot = self.slot(place).ok_or(Error::Exhausted)?;
        // It is needed when the object is in its place and called already.
        let interface = trace::wants_objects().then(|| object.interface_hash());
        // SAFETY: `take_place` took the place off the list of free ones, or off the never used.
        let generation = unsafe { slot.fill(Contents::new(object, owner, rights, payer)) };
        let name = ObjectName::new(place, generation);
        if let Some(interface) = interface {
            trace::object(name, interface);
        }
        Ok(name)
    }

    /// Who has names here.
    pub fn owners(&self) -> Vec<ProcessId> {
        self.free.lock().owners.keys().copied().collect()
    }

    /// Takes every name from `owner`, as when the process is gone.
    pub fn remove_owner(&self, owner: ProcessId) {
        let used = self.free.lock().next;
        for place in 1..used {
            if let Some(slot) = self.slot(place)
                && let Some(inside) = slot.enter(slot.generation(), owner, self, Counted)
            {
                inside.close();
            }
        }
    }

    /// Whether a place that held something is free.
    #[cfg(test)]
    pub fn has_free_place(&self) -> bool {
        !self.free.lock().places.is_empty()
    }

    #[inline(always)]
    fn slot(&self, place: u32) -> Option<&Slot> {
        let place = place as usize;
        let chunk = self.chunks.get(place / CHUNK_SLOTS)?.load(Acquire);
        // SAFETY: the pointer is null or of a chunk that lives as long as the table.
        let chunk = unsafe { chunk.as_ref() }?;
        Some(&chunk[place % CHUNK_SLOTS])
    }

    /// How many names `payer` pays for.
    pub fn share(&self, payer: ProcessId) -> u32 {
        self.free.lock().shares.get(&payer).copied().unwrap_or(0)
    }

    fn take_place(&self, payer: ProcessId, owner: ProcessId) -> Result<u32, Error> {
        let mut free = self.free.lock();
        let share = free.shares.get(&payer).copied().unwrap_or(0);
        if share >= OBJECTS_PER_CLIENT {
            return Err(Error::Exhausted);
        }
        let place = match free.places.pop() {
            Some(place) => place,
            None => {
                let place = free.next;
                let chunk = self
                    .chunks
                    .get(place as usize / CHUNK_SLOTS)
                    .ok_or(Error::Exhausted)?;
                if chunk.load(Acquire).is_null() {
                    let made = Box::new([UNUSED; CHUNK_SLOTS]);
                    chunk.store(Box::into_raw(made), Release);
                }
                free.next += 1;
                place
            }
        };
        free.shares.insert(payer, share + 1);
        *free.owners.entry(owner).or_default() += 1;
        Ok(place)
    }

    fn place_of(&self, slot: &Slot) -> Option<u32> {
        let address = core::ptr::from_ref(slot);
        self.chunks.iter().enumerate().find_map(|(index, chunk)| {
            let chunk = chunk.load(Acquire).cast::<Slot>().cast_const();
            let offset = address.addr().checked_sub(chunk.addr())? / size_of::<Slot>();
            (!chunk.is_null() && offset < CHUNK_SLOTS)
                .then_some((index * CHUNK_SLOTS + offset) as u32)
        })
    }
}

impl Recycle for Table {
    fn is_served(&self, slot: &Slot) -> bool {
        served::is_anybody_in(slot)
    }

    fn recycle(&self, slot: &Slot, payer: ProcessId, owner: ProcessId) {
        let place = self.place_of(slot);
        let mut free = self.free.lock();
        let free = &mut *free;
        for (counts, process) in [(&mut free.shares, payer), (&mut free.owners, owner)] {
            if let Some(count) = counts.get_mut(&process) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&process);
                }
            }
        }
        if let Some(place) = place
            && slot.generation() != LAST_GENERATION
        {
            free.places.push(place);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for chunk in &mut self.chunks {
            let chunk = *chunk.get_mut();
            if !chunk.is_null() {
                // SAFETY: it came from a box and nobody borrows the table any more.
                drop(unsafe { Box::from_raw(chunk) });
            }
        }
    }
}
