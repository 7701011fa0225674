//! All interleavings of those who find no room with those who make it: nobody sleeps while there is room.
//!
//! The source of the notes is compiled here against the model checker's atomics. The checker takes accesses
//! in one order for acquire and release only, so whoever makes room has a fence of its own here, as after a
//! mailbox is emptied.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}
/// The same for the lock.
mod lock {
    pub struct Mutex<T>(loom::sync::Mutex<T>);
    impl<T> Mutex<T> {
        pub fn new(content: T) -> Self {
            Self(loom::sync::Mutex::new(content))
        }
        pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/schedule/wanted.rs"]
mod wanted;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;
use wanted::Wanted;

struct Place {
    /// How many there is room for.
    room: AtomicU64,
    wanted: Wanted<u64>,
    /// Who was told, as bits.
    told: AtomicU64,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            room: AtomicU64::new(0),
            wanted: Wanted::new(0),
            told: AtomicU64::new(0),
        })
    }

    fn take(&self) -> bool {
        let room = self.room.load(Ordering::SeqCst);
        let one_less = || {
            self.room
                .compare_exchange(room, room - 1, Ordering::SeqCst, Ordering::SeqCst)
        };
        room != 0 && one_less().is_ok()
    }

    /// Who finds none twice sleeps; then the answer is what he looks at.
    fn take_or_sleep(&self, who: u64) -> Option<u64> {
        if self.take() {
            return None;
        }
        let seen = self.wanted.note(|noted| *noted |= 1 << who);
        (!self.take()).then_some(seen)
    }

    fn make(&self) {
        self.room.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.wanted.is_anybody() {
            let all = self.wanted.take(0);
            self.told.fetch_or(all, Ordering::SeqCst);
        }
    }

    /// Whether `who`, who slept with `seen`, has a reason to try again by both ways of waiting.
    fn is_woken(&self, who: u64, seen: u64) -> bool {
        let is_told = self.told.load(Ordering::SeqCst) & 1 << who != 0;
        is_told && self.wanted.wakes() != seen
    }
}

#[test]
fn who_finds_no_room_is_woken_by_who_makes_some() {
    loom::model(|| {
        let place = Place::new();
        let maker = {
            let place = place.clone();
            thread::spawn(move || place.make())
        };
        let slept = place.take_or_sleep(0);
        maker.join().unwrap();
        assert!(slept.is_none_or(|seen| place.is_woken(0, seen)));
    });
}

#[test]
fn two_who_find_none_are_both_woken() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let place = Place::new();
        let maker = {
            let place = place.clone();
            thread::spawn(move || place.make())
        };
        let other = {
            let place = place.clone();
            thread::spawn(move || place.take_or_sleep(1))
        };
        let first = place.take_or_sleep(0);
        maker.join().unwrap();
        let second = other.join().unwrap();
        // One may have it; nobody who sleeps was forgotten while there is room.
        let has_room = place.room.load(Ordering::SeqCst) != 0;
        for (who, slept) in [(0, first), (1, second)] {
            assert!(!has_room || slept.is_none_or(|seen| place.is_woken(who, seen)));
        }
    });
}
