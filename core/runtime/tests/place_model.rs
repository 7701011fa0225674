//! All interleavings of calls, stale calls, releases and reuse of one place of the object table.
//!
//! The place's source is compiled here against the model checker's atomics and cell, which fails
//! when a call looks at the contents without anything ordering that against their change.

extern crate alloc;

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::cell::UnsafeCell;
    use loom::sync::atomic::Ordering::{Release, SeqCst};
    pub use loom::sync::atomic::{AtomicU64, fence};

    /// The one instruction of the processor, in the checker's terms.
    pub fn announce(word: &AtomicU64, value: u64) {
        word.store(value, Release);
        fence(SeqCst);
    }
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/objects/slot.rs"]
mod slot;

use std::sync::Arc;

use kiln_object::{Answer, Dispatch, Incoming, ProcessId, Rights};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use slot::{Contents, Counted, Presence, Recycle, Served, Slot};

const OWNER: ProcessId = ProcessId::new(3, 1);

struct Object(u64);

impl Dispatch for Object {
    fn interface_hash(&self) -> u64 {
        self.0
    }

    fn dispatch(&self, _call: &mut Incoming<'_>) -> Answer {
        Answer::done(0)
    }
}

struct Place {
    slot: Slot,
    /// Of calls that are served.
    words: [AtomicU64; 2],
    recycled: AtomicU64,
}

impl Place {
    fn new() -> loom::sync::Arc<Self> {
        let state = primitives::AtomicU64::new(Slot::FIRST_STATE);
        let place = Self {
            slot: Slot::new(state, AtomicU64::new(0), primitives::UnsafeCell::new(None)),
            words: [AtomicU64::new(0), AtomicU64::new(0)],
            recycled: AtomicU64::new(0),
        };
        let generation = place.fill();
        assert_eq!(generation, 1);
        loom::sync::Arc::new(place)
    }

    /// The object's number is the generation that it is to get.
    fn fill(&self) -> u32 {
        let number = u64::from(self.slot.generation());
        let object = Arc::new(Object(number));
        let contents = Contents::new(object, OWNER, Rights::READ, OWNER);
        // SAFETY: called on a new place, and once by the one who saw it recycled.
        unsafe { self.slot.fill(contents) }
    }

    /// A call: whatever it finds has the number of its name, from beginning to end.
    fn call(&self, generation: u32, presence: impl Presence) -> bool {
        let Some(inside) = self.slot.enter(generation, OWNER, self, presence) else {
            return false;
        };
        assert_eq!(
            inside.contents().object().interface_hash(),
            u64::from(generation)
        );
        assert_eq!(
            inside.contents().object().interface_hash(),
            u64::from(generation)
        );
        true
    }

    fn release(&self, generation: u32, presence: impl Presence) -> bool {
        self.slot
            .enter(generation, OWNER, self, presence)
            .is_some_and(|inside| inside.close())
    }

    /// What a near call asks first.
    fn lasts(&self, generation: u32) -> bool {
        let (state, alive) = self.slot.life(generation);
        state.load(Ordering::Relaxed) == alive
    }

    fn word(&self, number: usize) -> Served<'_> {
        Served(&self.words[number])
    }
}

impl Recycle for Place {
    fn is_served(&self, slot: &Slot) -> bool {
        self.words
            .iter()
            .any(|word| word.load(Ordering::Acquire) == slot.address())
    }

    fn recycle(&self, _slot: &Slot, payer: ProcessId, owner: ProcessId) {
        assert_eq!((payer, owner), (OWNER, OWNER));
        self.recycled.fetch_add(1, Ordering::AcqRel);
    }
}

/// Runs `body` in every order of its steps in which a thread is interrupted at most three times.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn an_object_goes_once_and_never_under_a_call() {
    model(|| {
        let place = Place::new();
        let caller = {
            let place = place.clone();
            thread::spawn(move || place.call(1, place.word(0)))
        };
        let other = {
            let place = place.clone();
            thread::spawn(move || place.release(1, place.word(1)))
        };
        let released_here = place.release(1, Counted);
        let released_there = other.join().expect("it holds");
        caller.join().expect("it holds");
        assert!(
            released_here ^ released_there,
            "exactly one release succeeds"
        );
        assert_eq!(place.recycled.load(Ordering::Acquire), 1);
        assert!(!place.call(1, Counted));
        assert_eq!(place.slot.generation(), 2);
    });
}

#[test]
fn the_last_of_two_calls_takes_the_object_along() {
    model(|| {
        let place = Place::new();
        let caller = {
            let place = place.clone();
            thread::spawn(move || place.call(1, place.word(0)))
        };
        let other = {
            let place = place.clone();
            thread::spawn(move || place.call(1, Counted))
        };
        assert!(place.release(1, place.word(1)));
        caller.join().expect("it holds");
        other.join().expect("it holds");
        assert_eq!(place.recycled.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_place_is_filled_again_whatever_stale_calls_do() {
    model(|| {
        let place = Place::new();
        let stale = {
            let place = place.clone();
            thread::spawn(move || {
                place.call(1, place.word(0));
                place.call(2, place.word(0))
            })
        };
        assert!(place.release(1, place.word(1)));
        // With a stale call inside the place is not free yet, and the table would not have it.
        if place.recycled.load(Ordering::Acquire) == 1 {
            assert_eq!(place.fill(), 2);
            assert!(place.call(2, Counted));
        }
        stale.join().expect("it holds");
        assert_eq!(place.recycled.load(Ordering::Acquire), 1);
    });
}

#[test]
fn near_calls_that_begin_after_a_release_are_refused_for_good() {
    model(|| {
        let place = Place::new();
        let released = loom::sync::Arc::new(AtomicU64::new(0));
        let holder = {
            let (place, released) = (place.clone(), released.clone());
            thread::spawn(move || {
                let known = released.load(Ordering::Acquire) == 1;
                let first = place.lasts(1);
                assert!(!(known && first), "it was taken back before");
                assert!(first || !place.lasts(1), "it came back");
            })
        };
        assert!(place.lasts(1));
        assert!(place.release(1, Counted) && !place.lasts(1));
        released.store(1, Ordering::Release);
        if place.recycled.load(Ordering::Acquire) == 1 {
            assert_eq!(place.fill(), 2);
            assert!(place.lasts(2) && !place.lasts(1));
        }
        holder.join().expect("it holds");
    });
}
