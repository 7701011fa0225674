//! One place of the object table: whom it belongs to, what is in it, who is in it now.
//!
//! The state word holds the generation (high half) and whether the place is free, live or going. A call
//! says that it is inside *before* it looks, and looks at the state again when it has said that it is not;
//! who closes a place looks afterwards who is inside. In between is a full fence on both sides, so one
//! of the two sees the other, and whoever comes last turns the going place into a free one of the next
//! generation and takes the object out. An object that a call found live stays until it has left, and no
//! lock is taken to find one.
//!
//! A call that is served says so in a word that only its own processor writes ([`Served`]): calls of the
//! same object on several processors write to no common line. Everybody else is counted in the place.
//!
//! A near call says nothing: who makes it holds the object itself. It only looks whether the state is
//! still that of its name, once, before the object's code runs.

use alloc::sync::Arc;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};

use kiln_object::{Dispatch, ProcessId, Rights};

use super::primitives::{AtomicU64, UnsafeCell, announce, fence};

/// The place holds an object that takes calls.
const LIVE: u64 = 1 << 16;
/// The object takes no more calls and goes with the last call inside.
const GOING: u64 = 1 << 17;
/// One generation.
const GENERATION: u64 = 1 << 32;

/// The state of a live place.
#[inline(always)]
fn live(generation: u32) -> u64 {
    u64::from(generation) << 32 | LIVE
}

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
    /// Those inside that are no served calls.
    others: AtomicU64,
    contents: UnsafeCell<Option<Contents>>,
}

// SAFETY: `contents` is written only by the one that holds the place exclusively (it was taken from
// the list of free places, or just turned from going to free), and read only by calls that found it
// live, which keep it from becoming exclusive: see the invariant at the top.
unsafe impl Sync for Slot {}

/// How somebody says that it is inside a place.
pub trait Presence: Copy {
    /// It is inside `slot` from now on; what it reads next it reads after everybody can see that.
    fn come(self, slot: &Slot);
    /// It is not any more; with the same order.
    fn go(self, slot: &Slot);
}

/// By a word of its own, which is zero before.
#[derive(Clone, Copy)]
pub struct Served<'a>(pub &'a AtomicU64);

impl Presence for Served<'_> {
    #[inline(always)]
    fn come(self, slot: &Slot) {
        announce(self.0, slot.address());
    }

    #[inline(always)]
    fn go(self, _slot: &Slot) {
        announce(self.0, 0);
    }
}

/// By being counted in the place.
#[derive(Clone, Copy)]
pub struct Counted;

impl Presence for Counted {
    fn come(self, slot: &Slot) {
        slot.others.fetch_add(1, SeqCst);
        fence(SeqCst);
    }

    fn go(self, slot: &Slot) {
        slot.others.fetch_sub(1, SeqCst);
        fence(SeqCst);
    }
}

/// Somebody inside a live place.
pub struct Inside<'a, P: Presence = Counted> {
    slot: &'a Slot,
    generation: u32,
    recycle: &'a dyn Recycle,
    presence: P,
}

/// Knows all words of served calls, and takes places that became free.
pub trait Recycle {
    /// Whether a served call is inside `slot`, by its word.
    fn is_served(&self, slot: &Slot) -> bool;

    /// `slot` is free and the caller's alone; `payer` pays for one object less, `owner` has one less.
    fn recycle(&self, slot: &Slot, payer: ProcessId, owner: ProcessId);
}

impl Slot {
    /// The state word of a place that never held anything.
    pub const FIRST_STATE: u64 = GENERATION;

    /// A place; `state` holds [`Self::FIRST_STATE`] and `contents` nothing.
    pub const fn new(
        state: AtomicU64,
        others: AtomicU64,
        contents: UnsafeCell<Option<Contents>>,
    ) -> Self {
        Self {
            state,
            others,
            contents,
        }
    }

    /// What a served call's word holds while it is inside.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        core::ptr::from_ref(self).addr() as u64
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
        // Calls with stale names may be inside; they see another generation.
        let before = self.state.fetch_add(LIVE, AcqRel);
        debug_assert_eq!(before & (LIVE | GOING), 0);
        (before >> 32) as u32
    }

    /// Goes inside, if the place is live with that generation and belongs to `caller`.
    #[inline(always)]
    pub fn enter<'a, P: Presence>(
        &'a self,
        generation: u32,
        caller: ProcessId,
        recycle: &'a dyn Recycle,
        presence: P,
    ) -> Option<Inside<'a, P>> {
        presence.come(self);
        let inside = Inside {
            slot: self,
            generation,
            recycle,
            presence,
        };
        // Dropping `inside` on the way out takes back what was said.
        (self.is_live(generation) && inside.contents().owner == caller).then_some(inside)
    }

    /// Whether a call with that name finds it; only a hint to who is not inside, as it may change at once.
    #[inline(always)]
    pub fn is_live(&self, generation: u32) -> bool {
        self.state.load(Acquire) == live(generation)
    }

    /// The state word, and what it holds exactly while an object of that generation takes calls.
    pub fn life(&self, generation: u32) -> (&AtomicU64, u64) {
        (&self.state, live(generation))
    }

    /// The generation of the place now.
    pub fn generation(&self) -> u32 {
        (self.state.load(Relaxed) >> 32) as u32
    }

    #[inline(always)]
    fn leave(&self, recycle: &dyn Recycle) {
        if self.state.load(Acquire) & GOING != 0 {
            self.free(recycle);
        }
    }

    #[cold]
    #[inline(never)]
    fn free(&self, recycle: &dyn Recycle) {
        let going = self.state.load(Acquire);
        fence(SeqCst);
        // Who is inside comes here when he leaves, also with a stale name.
        if going & GOING == 0 || self.others.load(Acquire) != 0 || recycle.is_served(self) {
            return;
        }
        let next = (going & !GOING).wrapping_add(GENERATION);
        if self
            .state
            .compare_exchange(going, next, AcqRel, Relaxed)
            .is_err()
        {
            return;
        }
        let contents = self.contents.with_mut(|place| {
            // SAFETY: of all that saw the place going and empty only one makes this step, and who
            // has come since saw that it is not live; it is not on the list of free places yet.
            unsafe { (*place).take() }
        });
        if let Some(contents) = contents {
            let (payer, owner) = (contents.payer, contents.owner);
            drop(contents);
            recycle.recycle(self, payer, owner);
        }
    }
}

impl<P: Presence> Inside<'_, P> {
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
        let live = live(self.generation);
        self.slot
            .state
            .compare_exchange(live, live - LIVE + GOING, AcqRel, Relaxed)
            .is_ok()
    }
}

impl<P: Presence> Drop for Inside<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.presence.go(self.slot);
        self.slot.leave(self.recycle);
    }
}
