//! One place of the object table: whom it belongs to, what is in it, who is in it now.
//!
//! The state word holds the generation (high half), whether the place is free, live or going, and
//! how many calls are inside. A call adds itself *before* it looks, in one atomic step, and the
//! object is taken out only by whoever turns a going place with nobody inside into a free one of
//! the next generation. So an object that a call found live stays until that call has left, and no
//! lock is taken to find one.

use alloc::sync::Arc;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use kiln_object::{Dispatch, ProcessId, Rights};

use super::primitives::{AtomicU64, UnsafeCell};

/// Calls inside: the low 16 bits, far more than there are call slots in a machine.
const INSIDE: u64 = 0xffff;
/// The place holds an object that takes calls.
const LIVE: u64 = 1 << 16;
/// The object takes no more calls and goes with the last call inside.
const GOING: u64 = 1 << 17;
/// One generation.
const GENERATION: u64 = 1 << 32;

/// What a live place holds.
pub struct Contents {
    /// The process that may call.
    pub owner: ProcessId,
    /// The rights it has.
    pub rights: Rights,
    /// The process whose share of the table this takes.
    pub payer: ProcessId,
    /// The object: a count of an `Arc`, kept as the pointer that a call needs.
    object: NonNull<dyn Dispatch>,
}

// SAFETY: it stands for an `Arc` of a type that may be shared and sent.
unsafe impl Send for Contents {}
// SAFETY: as above.
unsafe impl Sync for Contents {}

impl Contents {
    /// What a live place is to hold.
    pub fn new(
        object: Arc<dyn Dispatch>,
        owner: ProcessId,
        rights: Rights,
        payer: ProcessId,
    ) -> Self {
        // SAFETY: the pointer of an `Arc` is not null.
        let object = unsafe { NonNull::new_unchecked(Arc::into_raw(object).cast_mut()) };
        Self {
            owner,
            rights,
            payer,
            object,
        }
    }

    /// The object.
    #[inline(always)]
    pub fn object(&self) -> &dyn Dispatch {
        // SAFETY: it lives, as `self` holds a count of it.
        unsafe { self.object.as_ref() }
    }

    /// Another count of the object.
    pub fn share_object(&self) -> Arc<dyn Dispatch> {
        let object = self.object.as_ptr().cast_const();
        // SAFETY: it came from an `Arc`, of which `self` holds a count.
        unsafe {
            Arc::increment_strong_count(object);
            Arc::from_raw(object)
        }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // SAFETY: this is the count that `new` took.
        drop(unsafe { Arc::from_raw(self.object.as_ptr().cast_const()) });
    }
}

/// A place of the table.
#[repr(align(64))]
pub struct Slot {
    state: AtomicU64,
    contents: UnsafeCell<Option<Contents>>,
}

// SAFETY: `contents` is written only by the one that holds the place exclusively (it was taken from
// the list of free places, or just turned from going to free), and read only by calls that found it
// live, which keep it from becoming exclusive: see the invariant at the top.
unsafe impl Sync for Slot {}

/// A call inside a live place.
pub struct Inside<'a> {
    slot: &'a Slot,
    generation: u32,
    recycle: &'a dyn Recycle,
}

/// Takes places that became free.
pub trait Recycle {
    /// `slot` is free and the caller's alone; `payer` pays for one object less, `owner` has one less.
    fn recycle(&self, slot: &Slot, payer: ProcessId, owner: ProcessId);
}

impl Slot {
    /// The state word of a place that never held anything.
    pub const FIRST_STATE: u64 = GENERATION;

    /// A place; `state` holds [`Self::FIRST_STATE`] and `contents` nothing.
    pub const fn new(state: AtomicU64, contents: UnsafeCell<Option<Contents>>) -> Self {
        Self { state, contents }
    }

    /// Fills a free place and answers the generation of the object's name.
    ///
    /// # Safety
    /// The place must have been passed to [`Recycle::recycle`], or be new, and nobody else may have
    /// been given it since.
    pub unsafe fn fill(&self, contents: Contents) -> u32 {
        self.contents.with_mut(|place| {
            // SAFETY: nobody reads a place that is not live, and by the contract nobody else writes.
            unsafe { *place = Some(contents) };
        });
        // Calls with stale names may be inside; they keep their count and see a free place.
        let before = self.state.fetch_add(LIVE, AcqRel);
        debug_assert_eq!(before & (LIVE | GOING), 0);
        (before >> 32) as u32
    }

    /// Goes inside, if the place is live with that generation and belongs to `caller`.
    #[inline(always)]
    pub fn enter<'a>(
        &'a self,
        generation: u32,
        caller: ProcessId,
        recycle: &'a dyn Recycle,
    ) -> Option<Inside<'a>> {
        let state = self.state.fetch_add(1, Acquire);
        let inside = Inside {
            slot: self,
            generation,
            recycle,
        };
        // Dropping `inside` on the way out takes the count back.
        let is_it = (state & !INSIDE) == (u64::from(generation) << 32 | LIVE);
        (is_it && inside.contents().owner == caller).then_some(inside)
    }

    /// Whether a call with that name would find it; only a hint, as it may change at once.
    pub fn is_live(&self, generation: u32) -> bool {
        self.state.load(Relaxed) & !INSIDE == (u64::from(generation) << 32 | LIVE)
    }

    /// The generation of the place now.
    pub fn generation(&self) -> u32 {
        (self.state.load(Relaxed) >> 32) as u32
    }

    #[inline(always)]
    fn leave(&self, recycle: &dyn Recycle) {
        let before = self.state.fetch_sub(1, AcqRel);
        if before & (GOING | INSIDE) == GOING | 1 {
            self.free(before - 1, recycle);
        }
    }

    #[cold]
    #[inline(never)]
    fn free(&self, going: u64, recycle: &dyn Recycle) {
        let next = (going & !(GOING | INSIDE)).wrapping_add(GENERATION);
        // Fails if a call with a stale name is inside again: it will come here when it leaves.
        if self
            .state
            .compare_exchange(going, next, AcqRel, Relaxed)
            .is_err()
        {
            return;
        }
        let contents = self.contents.with_mut(|place| {
            // SAFETY: of all that saw the place going and empty only one makes this step, and since
            // it is not live nobody reads it; it is not on the list of free places yet.
            unsafe { (*place).take() }
        });
        if let Some(contents) = contents {
            let (payer, owner) = (contents.payer, contents.owner);
            drop(contents);
            recycle.recycle(self, payer, owner);
        }
    }
}

impl Inside<'_> {
    /// What the place holds; it stays as long as this call is inside.
    #[inline(always)]
    pub fn contents(&self) -> &Contents {
        self.slot.contents.with(|place| {
            // SAFETY: `enter` made sure that the place is live with this call inside, so that nobody
            // writes to it until `leave`; a live place was filled.
            unsafe { (*place).as_ref().unwrap_unchecked() }
        })
    }

    /// Lets no more calls in; the object goes when the last call has left. Of several that do it
    /// one succeeds.
    pub fn close(&self) -> bool {
        let live = u64::from(self.generation) << 32 | LIVE;
        let mut state = self.slot.state.load(Relaxed);
        while state & !INSIDE == live {
            let going = state - LIVE + GOING;
            match self
                .slot
                .state
                .compare_exchange(state, going, AcqRel, Relaxed)
            {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.slot.leave(self.recycle);
    }
}
