//! All interleavings of what dispatchers do to each other's threads without a lock.
//!
//! The sources are compiled here against the model checker's atomics. What a dispatcher does alone is
//! replaced by the least that has the same order of steps.

extern crate alloc;

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, fence};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/thread/idle.rs"]
mod idle;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/thread/inbox.rs"]
mod inbox;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/thread/park.rs"]
mod park;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/thread/ring.rs"]
mod ring;

use idle::Idle;
use inbox::{Inbox, Linked};
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};
use loom::sync::{Arc, Condvar, Mutex};
use park::ParkWord;
use ring::Ring;

/// Runs `body` in every order of its steps in which a thread is interrupted at most three times.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

fn ring() -> Ring<u64, 2> {
    Ring::new(
        AtomicU64::new(0),
        AtomicU64::new(0),
        [
            AtomicPtr::new(core::ptr::null_mut()),
            AtomicPtr::new(core::ptr::null_mut()),
        ],
    )
}

/// An address that stands for the item `number`, which is not 0.
fn item(number: usize) -> *mut u64 {
    core::ptr::without_provenance_mut(number * 8)
}

fn number(item: *mut u64) -> usize {
    item.addr() / 8
}

/// Takes until there is nothing, and answers what.
fn take_some(ring: &Ring<u64, 2>, most: usize) -> Vec<usize> {
    (0..most)
        .map(|_| number(ring.pop()))
        .take_while(|number| *number != 0)
        .collect()
}

#[test]
fn every_item_of_the_ring_is_taken_once_and_in_order() {
    model(|| {
        let ring = Arc::new(ring());
        assert!(ring.push(item(1)));
        assert!(ring.push(item(2)));
        assert!(!ring.push(item(3)));
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let ring = ring.clone();
                loom::thread::spawn(move || take_some(&ring, 2))
            })
            .collect();
        // The places are used again while a thief may still look at what was there.
        let mut taken = take_some(&ring, 1);
        let more = ring.push(item(3));
        taken.extend(take_some(&ring, 3));
        let mut all = taken.clone();
        for thief in thieves {
            let stolen = thief.join().unwrap();
            assert!(stolen.is_sorted());
            all.extend(stolen);
        }
        all.extend(take_some(&ring, 3));
        assert!(taken.is_sorted());
        all.sort_unstable();
        let expected: &[usize] = if more { &[1, 2, 3] } else { &[1, 2] };
        assert_eq!(all, expected);
    });
}

struct Entry {
    next: AtomicPtr<Entry>,
    number: usize,
}

impl Linked for Entry {
    fn next(&self) -> &AtomicPtr<Self> {
        &self.next
    }
}

fn entry(number: usize) -> &'static Entry {
    Box::leak(Box::new(Entry {
        next: AtomicPtr::new(core::ptr::null_mut()),
        number,
    }))
}

#[test]
fn what_is_left_in_the_inbox_is_fetched_once_and_in_order() {
    model(|| {
        let inbox = Arc::new(Inbox::new(AtomicPtr::new(core::ptr::null_mut())));
        let others: Vec<_> = [[11, 12], [21, 22]]
            .into_iter()
            .map(|numbers| {
                let inbox = inbox.clone();
                loom::thread::spawn(move || {
                    for number in numbers {
                        inbox.push(entry(number));
                    }
                })
            })
            .collect();
        let mut fetched = Vec::new();
        inbox.take_all(|entry| fetched.push(entry.number));
        for other in others {
            other.join().unwrap();
        }
        inbox.take_all(|entry| fetched.push(entry.number));
        assert!(inbox.is_empty());
        for first in [10, 20] {
            let one: Vec<_> = fetched
                .iter()
                .filter(|number| (first..first + 10).contains(*number))
                .collect();
            assert_eq!(one, [&(first + 1), &(first + 2)]);
        }
        assert_eq!(fetched.len(), 4);
    });
}

/// A thread of the model: where it may run is counted.
struct Modelled {
    park: ParkWord,
    /// Set while its context is saved nowhere: nobody else may run it.
    runs: AtomicBool,
    condition: AtomicBool,
    ready: AtomicU32,
}

fn modelled() -> Modelled {
    Modelled {
        park: ParkWord::new(AtomicU32::new(ParkWord::FIRST_STATE)),
        runs: AtomicBool::new(true),
        condition: AtomicBool::new(false),
        ready: AtomicU32::new(0),
    }
}

impl Modelled {
    fn unblock(&self) {
        if self.park.unpark() {
            assert!(!self.runs.load(Acquire), "it runs twice");
            self.ready.fetch_add(1, AcqRel);
        }
    }

    /// One `block`: whether the thread goes on at once.
    fn block(&self) -> bool {
        if self.park.take_token() {
            return true;
        }
        self.runs.store(false, Relaxed);
        if self.park.park() {
            return false;
        }
        self.runs.store(true, Relaxed);
        true
    }
}

#[test]
fn no_unblock_is_lost_and_none_runs_a_thread_twice() {
    model(|| {
        let thread = Arc::new(modelled());
        let others: Vec<_> = (0..2)
            .map(|which| {
                let thread = thread.clone();
                loom::thread::spawn(move || {
                    if which == 0 {
                        thread.condition.store(true, Relaxed);
                    }
                    thread.unblock();
                })
            })
            .collect();
        // The thread waits for the condition; a run that it is given counts as one.
        let mut parked = false;
        for _ in 0..3 {
            if thread.condition.load(Relaxed) {
                break;
            }
            if !thread.block() {
                parked = true;
                break;
            }
        }
        for other in others {
            other.join().unwrap();
        }
        let ready = thread.ready.load(Acquire);
        if parked {
            // Somebody has made it ready, once: it parked before it saw the condition.
            assert_eq!(ready, 1);
            assert!(thread.condition.load(Relaxed));
        } else {
            assert_eq!(ready, 0);
        }
    });
}

/// The kernel's wait for a soft interrupt and what ends it: `core/kernel/tests/attention_model.rs` has how.
#[derive(Default)]
struct Kernel {
    raised: Mutex<bool>,
    wakes: Condvar,
}

impl Kernel {
    fn wait(&self) {
        let mut raised = self.raised.lock().unwrap();
        while !core::mem::take(&mut *raised) {
            raised = self.wakes.wait(raised).unwrap();
        }
    }

    fn wake(&self) {
        *self.raised.lock().unwrap() = true;
        self.wakes.notify_one();
    }
}

#[test]
fn a_thread_that_a_dispatcher_waits_for_is_woken() {
    model(|| {
        let thread = Arc::new(modelled());
        let idle = Arc::new(Idle::new(AtomicU64::new(0)));
        let kernel = Arc::new(Kernel::default());
        let other = {
            let (thread, idle, kernel) = (thread.clone(), idle.clone(), kernel.clone());
            loom::thread::spawn(move || {
                assert!(
                    !thread.park.unpark(),
                    "it is not parked while it is waited for"
                );
                // `unblock_waiting`: who finds it idle wakes it.
                if idle.has(1) {
                    idle.take(1);
                    kernel.wake();
                }
            })
        };
        // `Scheduler::wait_for_work`. The checker finds it if this waits for ever.
        while !thread.park.take_token() {
            idle.wait(1, || !thread.park.has_token_at_last(), || kernel.wait());
        }
        other.join().unwrap();
        assert_eq!(idle.all(), 0);
    });
}

#[test]
fn what_is_left_for_a_dispatcher_that_waits_wakes_it() {
    model(|| {
        let inbox = Arc::new(Inbox::new(AtomicPtr::new(core::ptr::null_mut())));
        let idle = Arc::new(Idle::new(AtomicU64::new(0)));
        let kernel = Arc::new(Kernel::default());
        let other = {
            let (inbox, idle, kernel) = (inbox.clone(), idle.clone(), kernel.clone());
            loom::thread::spawn(move || {
                inbox.push(entry(1));
                if idle.has(1) {
                    idle.take(1);
                    kernel.wake();
                }
            })
        };
        let mut fetched = 0;
        while fetched == 0 {
            idle.wait(1, || inbox.is_empty(), || kernel.wait());
            inbox.take_all(|entry| fetched = entry.number);
        }
        other.join().unwrap();
        assert_eq!(fetched, 1);
    });
}

#[test]
fn each_idle_dispatcher_is_taken_by_one_who_has_work() {
    model(|| {
        let idle = Arc::new(Idle::new(AtomicU64::new(0b101)));
        let other = {
            let idle = idle.clone();
            loom::thread::spawn(move || idle.take_one())
        };
        let own = idle.take_one();
        let others = other.join().unwrap();
        assert!(own.is_some() || others.is_some());
        assert_ne!(own, others, "one is woken twice");
        let taken = [own, others].into_iter().flatten();
        let left = taken.fold(0b101, |left, cpu| left & !(1 << cpu));
        assert_eq!(idle.all(), left);
    });
}
