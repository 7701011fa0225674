//! Real switches on the host, where each test's thread plays a dispatcher.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::SpinMutex;

type Trace = Arc<SpinMutex<Vec<u32>>>;

fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn(Priority::Normal, work).expect("the host has memory")
}

#[test]
fn threads_take_turns_in_order_and_keep_their_locals() {
    let trace: Trace = Arc::default();
    let threads: Vec<_> = (0..3u32)
        .map(|number| {
            let trace = trace.clone();
            start(move || {
                let mut sum = f64::from(number);
                for turn in 0..3 {
                    trace.lock().push(turn * 10 + number);
                    sum += 0.5;
                    yield_now();
                }
                sum
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    assert_eq!(results, [1.5, 2.5, 3.5]);
    assert_eq!(*trace.lock(), [0, 1, 2, 10, 11, 12, 20, 21, 22]);
}

#[test]
fn a_higher_level_runs_first() {
    let trace: Trace = Arc::default();
    let levels = [
        (Priority::Low, 3),
        (Priority::Normal, 2),
        (Priority::High, 1),
    ];
    let threads = levels.map(|(priority, number)| {
        let trace = trace.clone();
        spawn(priority, move || trace.lock().push(number)).expect("the host has memory")
    });
    for thread in threads {
        thread.join();
    }
    assert_eq!(*trace.lock(), [1, 2, 3]);
}

#[test]
fn an_unblock_before_the_block_is_kept_once() {
    let me = current();
    me.unblock();
    me.unblock();
    block();
    let other = start(move || me.unblock());
    // The two unblocks before were one: this waits for the other thread.
    block();
    other.join();
}

#[test]
fn an_unblock_after_the_block_wakes() {
    let trace: Trace = Arc::default();
    let sleeper = {
        let trace = trace.clone();
        start(move || {
            trace.lock().push(1);
            block();
            trace.lock().push(3);
        })
    };
    yield_now();
    trace.lock().push(2);
    sleeper.thread().unblock();
    sleeper.join();
    assert_eq!(*trace.lock(), [1, 2, 3]);
}

#[test]
fn another_processor_may_unblock() {
    let me = current();
    for round in 0..200 {
        let other = std::thread::spawn(move || {
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            me.unblock();
        });
        block();
        other.join().expect("it does not panic");
    }
}

#[test]
fn a_deadline_ends_a_block_and_an_unblock_comes_first() {
    let soon = crate::time::monotonic_ns() + 100_000;
    assert!(block_until(soon));
    assert!(crate::time::monotonic_ns() >= soon);
    let me = current();
    let other = start(move || me.unblock());
    assert!(!block_until(u64::MAX));
    other.join();
    // On a loaded host the last may come to its sleep when the first is due: then nothing is shown.
    while !sleepers_wake_in_the_order_of_their_deadlines() {}
}

/// False if they did not all sleep before the first was due.
fn sleepers_wake_in_the_order_of_their_deadlines() -> bool {
    let trace: Trace = Arc::default();
    let due = crate::time::monotonic_ns() + 20_000_000;
    let threads = [3u32, 1, 2].map(|number| {
        let trace = trace.clone();
        start(move || {
            sleep_until(due + 1_000_000 * u64::from(number));
            trace.lock().push(number);
        })
    });
    // They run now, and this goes on when the last of them sleeps.
    yield_now();
    let in_time = crate::time::monotonic_ns() < due;
    for thread in threads {
        thread.join();
    }
    if in_time {
        assert_eq!(*trace.lock(), [1, 2, 3]);
    }
    in_time
}

#[test]
fn a_thread_that_nobody_joins_leaves_nothing_behind() {
    let counted = Arc::new(());
    for _ in 0..50 {
        let held = counted.clone();
        drop(start(move || drop(held)));
        yield_now();
    }
    yield_now();
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn the_mutex_excludes_and_is_handed_over_in_order() {
    let shared = Arc::new((Mutex::new(0u64), Trace::default()));
    let guard = shared.0.lock();
    let threads: Vec<_> = (0..5u32)
        .map(|number| {
            let shared = shared.clone();
            start(move || {
                for _ in 0..10 {
                    let mut value = shared.0.lock();
                    let seen = *value;
                    yield_now();
                    *value = seen + 1;
                }
                let _last = shared.0.lock();
                shared.1.lock().push(number);
            })
        })
        .collect();
    yield_now();
    assert!(shared.0.try_lock().is_none());
    drop(guard);
    for thread in threads {
        thread.join();
    }
    assert_eq!(*shared.0.lock(), 50);
    assert_eq!(*shared.1.lock(), [0, 1, 2, 3, 4]);
}

#[test]
fn permits_bound_how_many_are_inside() {
    let shared = Arc::new((Semaphore::new(2), AtomicU64::new(0), AtomicU64::new(0)));
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let shared = shared.clone();
            start(move || {
                shared.0.acquire();
                let inside = shared.1.fetch_add(1, SeqCst) + 1;
                shared.2.fetch_max(inside, SeqCst);
                yield_now();
                shared.1.fetch_sub(1, SeqCst);
                shared.0.release();
            })
        })
        .collect();
    for thread in threads {
        thread.join();
    }
    assert_eq!(shared.2.load(SeqCst), 2);
    assert!(shared.0.try_acquire() && shared.0.try_acquire() && !shared.0.try_acquire());
}

#[test]
fn a_condition_wakes_who_waits_with_the_mutex_held() {
    let queue = Arc::new((Mutex::new(Vec::new()), Condition::new()));
    let taker = {
        let queue = queue.clone();
        start(move || {
            let mut taken = Vec::new();
            while taken.len() < 3 {
                let mut items = queue.0.lock();
                while items.is_empty() {
                    queue.1.wait(&mut items);
                }
                taken.append(&mut items);
            }
            taken
        })
    };
    for item in 1..=3 {
        yield_now();
        queue.0.lock().push(item);
        queue.1.notify_one();
    }
    assert_eq!(taker.join(), [1, 2, 3]);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            start(move || queue.1.wait(&mut queue.0.lock()))
        })
        .collect();
    yield_now();
    queue.1.notify_all();
    for thread in waiting {
        thread.join();
    }
}

#[test]
fn many_threads_run_deep_on_their_own_stacks() {
    fn deep(depth: u64) -> u64 {
        let block = core::hint::black_box([depth; 64]);
        if depth == 0 {
            yield_now();
            return 0;
        }
        deep(depth - 1) + block[63]
    }
    let threads: Vec<_> = (0..40).map(|_| start(|| deep(100))).collect();
    let all: Box<[u64]> = threads.into_iter().map(JoinHandle::join).collect();
    assert!(all.iter().all(|sum| *sum == 5050));
}

#[test]
fn many_read_or_one_writes() {
    let shared = Arc::new((RwLock::new((0u64, 0u64)), AtomicU64::new(0)));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let shared = shared.clone();
            start(move || {
                for _ in 0..20 {
                    if number % 4 == 0 {
                        let mut value = shared.0.write();
                        value.0 += 1;
                        yield_now();
                        value.1 += 1;
                    } else {
                        let value = shared.0.read();
                        let readers = shared.1.fetch_add(1, SeqCst) + 1;
                        assert!(readers <= 6);
                        yield_now();
                        assert_eq!(value.0, value.1);
                        shared.1.fetch_sub(1, SeqCst);
                    }
                    yield_now();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join();
    }
    assert_eq!(*shared.0.read(), (40, 40));
    let reading = shared.0.read();
    assert!(shared.0.try_write().is_none() && shared.0.try_read().is_some());
    drop(reading);
    assert!(shared.0.try_write().is_some());
}

#[test]
fn a_value_is_made_once_and_a_failure_is_tried_again() {
    let once = Arc::new(Once::new());
    assert_eq!(once.get_or_try_make(|| Err::<u32, _>("no")), Err("no"));
    let threads: Vec<_> = (0..4u32)
        .map(|number| {
            let once = once.clone();
            start(move || {
                *once.get_or_make(|| {
                    yield_now();
                    number
                })
            })
        })
        .collect();
    let made: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    assert_eq!(made, [0, 0, 0, 0]);
    assert_eq!(once.get(), Some(&0));
}

#[test]
fn a_channel_blocks_at_both_ends_and_closes() {
    let channel = Arc::new(Channel::new(2));
    let sender = {
        let channel = channel.clone();
        start(move || (0..10u32).all(|item| channel.send(item).is_ok()))
    };
    yield_now();
    assert_eq!(channel.try_send(10), Err((10, TrySend::Full)));
    let got: Vec<_> = (0..10).map(|_| channel.receive()).collect();
    assert!(got.into_iter().eq((0..10).map(Ok)));
    assert!(sender.join());
    assert_eq!(channel.try_receive(), None);
    let receiver = {
        let channel = channel.clone();
        start(move || channel.receive())
    };
    yield_now();
    channel.close();
    assert_eq!(receiver.join(), Err(Closed));
    assert_eq!(channel.try_send(1), Err((1, TrySend::Closed)));
}

#[test]
fn a_barrier_lets_all_through_at_once() {
    let shared = Arc::new((Barrier::new(3), AtomicU64::new(0)));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let shared = shared.clone();
            start(move || {
                shared.1.fetch_add(1, SeqCst);
                let last = shared.0.wait();
                assert_eq!(shared.1.load(SeqCst), 3);
                last
            })
        })
        .collect();
    let last = threads.into_iter().map(JoinHandle::join);
    assert_eq!(last.filter(|last| *last).count(), 1);
}
