//! All interleavings of calls of an object of the kernel with who takes it away: when it goes, no call is in
//! it.
//!
//! The source of the word that says so is compiled here against the model checker's atomics. The rest follows
//! `Table::find` and `Table::remove` step by step. The checker takes accesses in one order for acquire
//! and release only; where the processor's one instruction is a full fence, there is a fence here.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/process/inside.rs"]
mod inside;

use inside::Inside;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

const NAME: u64 = 7;

struct Place {
    live: AtomicU64,
    /// The checker fails when a call reads it while it is taken out.
    held: UnsafeCell<Option<u64>>,
    /// Of the two processors that call.
    inside: [Inside; 2],
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            live: AtomicU64::new(NAME),
            held: UnsafeCell::new(Some(NAME)),
            inside: [Inside::new(), Inside::new()],
        })
    }

    /// A call on that processor: whether it found the object.
    fn call(&self, processor: usize, name: u64) -> bool {
        let inside = &self.inside[processor];
        inside.enter();
        fence(SeqCst);
        let is_live = self.live.load(Acquire) == name;
        if is_live {
            // SAFETY: what this model is to show.
            let held = self.held.with(|held| unsafe { *held });
            assert_eq!(held, Some(name));
        }
        inside.leave();
        is_live
    }

    /// Takes the object out; who does is in none.
    fn remove(&self) {
        self.live.store(0, SeqCst);
        fence(SeqCst);
        for inside in &self.inside {
            inside.wait(thread::yield_now);
        }
        // SAFETY: as above.
        self.held.with_mut(|held| unsafe { *held = None });
    }

    fn put(&self, name: u64) {
        // SAFETY: as above.
        self.held.with_mut(|held| unsafe { *held = Some(name) });
        self.live.store(name, Release);
    }
}

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn no_call_is_in_an_object_that_goes() {
    model(|| {
        let place = Place::new();
        let calls = [0, 1].map(|processor| {
            let place = place.clone();
            thread::spawn(move || place.call(processor, NAME))
        });
        place.remove();
        for call in calls {
            call.join().unwrap();
        }
        assert!(!place.call(0, NAME));
    });
}

#[test]
fn the_next_object_in_its_place_is_not_found_by_the_old_name() {
    model(|| {
        let place = Place::new();
        let caller = {
            let place = place.clone();
            thread::spawn(move || {
                place.call(0, NAME);
                place.call(0, NAME + 1)
            })
        };
        place.remove();
        place.put(NAME + 1);
        caller.join().unwrap();
        assert!(place.call(1, NAME + 1));
    });
}

#[test]
fn a_call_that_does_not_come_back_is_not_waited_for() {
    model(|| {
        let place = Place::new();
        place.inside[0].enter();
        let ending = {
            let place = place.clone();
            thread::spawn(move || place.inside[0].abandon())
        };
        place.remove();
        ending.join().unwrap();
        place.inside[0].abandon();
        place.inside[0].wait(|| unreachable!("nobody is inside"));
    });
}
