//! All interleavings of a ring's writer with a reader: what is read is what was written.
//!
//! The ring's source is compiled here against the model checker's atomics.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/trace/ring.rs"]
mod ring;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use ring::Slot;

const CAPACITY: u64 = 2;

struct Ring {
    position: AtomicU64,
    slots: [Slot; CAPACITY as usize],
}

impl Ring {
    fn new() -> Self {
        Self {
            position: AtomicU64::new(0),
            slots: [Slot::new(), Slot::new()],
        }
    }

    /// As the kernel writes: it is not interrupted.
    fn write(&self, stamp: u64) {
        let index = self.position.load(Ordering::Relaxed);
        self.position.store(index + 1, Ordering::Relaxed);
        self.slots[(index % CAPACITY) as usize].fill(
            index,
            stamp,
            9 << 32,
            stamp * 10,
            stamp * 100,
        );
    }

    fn read(&self, index: u64) -> Option<[u64; 4]> {
        self.slots[(index % CAPACITY) as usize].read(index, CAPACITY, &self.position)
    }
}

/// Event `index` was written with the stamp `index + 1`.
fn check(index: u64, [stamp, head, a, b]: [u64; 4]) {
    assert_eq!(stamp, index + 1);
    assert_eq!(head, 9 << 32 | stamp);
    assert_eq!((a, b), (stamp * 10, stamp * 100));
}

#[test]
fn what_is_read_was_written() {
    loom::model(|| {
        let ring = Arc::new(Ring::new());
        let writer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (1..=3).for_each(|stamp| ring.write(stamp)))
        };
        for index in 0..2 {
            if let Some(words) = ring.read(index) {
                check(index, words);
            }
        }
        writer.join().unwrap();
        // Two places hold the last two of three.
        assert_eq!(ring.read(0), None);
        check(1, ring.read(1).unwrap());
        check(2, ring.read(2).unwrap());
        assert_eq!(ring.read(3), None);
    });
}
