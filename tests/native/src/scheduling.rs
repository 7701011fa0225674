//! Who runs when, and where.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicBool, AtomicU64};

use kiln_runtime::SpinMutex;
use kiln_runtime::thread::{self, Barrier, JoinHandle, Priority};
use kiln_runtime::time::monotonic_ns;

use crate::report::{check, failed};

const MS: u64 = 1_000_000;

/// Starts a thread or ends the test.
pub fn start<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match thread::spawn(priority, work) {
        Ok(handle) => handle,
        Err(error) => failed(format_args!("no thread: {error}")),
    }
}

/// Computes, never giving way, for `ns` or until `done` holds.
fn compute(ns: u64, done: impl Fn() -> bool) -> bool {
    let end = monotonic_ns() + ns;
    while monotonic_ns() < end {
        if done() {
            return true;
        }
    }
    done()
}

/// Two threads that never give way both get on, and so does the one that started them.
pub fn stopped() {
    let turns = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let stop = Arc::new(AtomicBool::new(false));
    let threads = [0, 1].map(|index| {
        let (turns, stop) = (turns.clone(), stop.clone());
        start(Priority::Normal, move || {
            while !stop.load(SeqCst) {
                turns[index].fetch_add(1, SeqCst);
            }
        })
    });
    let both_ran = compute(20_000 * MS, || {
        turns.iter().all(|turns| turns.load(SeqCst) > 0)
    });
    check(both_ran, format_args!("a thread waits for ever"));
    // Both go on where they were stopped.
    let seen = [turns[0].load(SeqCst), turns[1].load(SeqCst)];
    let both_went_on = compute(20_000 * MS, || {
        seen.iter()
            .zip(turns.iter())
            .all(|(seen, turns)| turns.load(SeqCst) > *seen)
    });
    check(
        both_went_on,
        format_args!("a stopped thread does not go on"),
    );
    stop.store(true, SeqCst);
    for thread in threads {
        thread.join();
    }
}

/// A thread of a high level that an alarm wakes stops one that computes; one of a low level has to wait
/// for it (on one processor).
pub fn levels() {
    let low_ran = Arc::new(AtomicBool::new(false));
    let high_ran = Arc::new(AtomicBool::new(false));
    let low = {
        let ran = low_ran.clone();
        start(Priority::Low, move || ran.store(true, SeqCst))
    };
    let high = {
        let ran = high_ran.clone();
        start(Priority::High, move || {
            thread::sleep_until(monotonic_ns() + 2 * MS);
            ran.store(true, SeqCst);
        })
    };
    let in_time = compute(20_000 * MS, || high_ran.load(SeqCst));
    check(in_time, format_args!("the higher level does not run"));
    if thread::dispatchers() == 1 {
        let too_early = low_ran.load(SeqCst);
        check(!too_early, format_args!("the lower level ran before"));
    }
    high.join();
    low.join();
    check(
        low_ran.load(SeqCst),
        format_args!("the lower level never ran"),
    );
    // At once, in order of level, whatever the order of starting.
    if thread::dispatchers() == 1 {
        let order = Arc::new(SpinMutex::new(Vec::new()));
        let threads = [
            (Priority::Low, 3),
            (Priority::Normal, 2),
            (Priority::High, 1),
        ];
        let threads = threads.map(|(priority, number)| {
            let order = order.clone();
            start(priority, move || order.lock().push(number))
        });
        for thread in threads {
            thread.join();
        }
        let order = order.lock();
        check(*order == [1, 2, 3], format_args!("order {order:?}"));
    }
}

/// Many more threads than any queue has room for, all there at once.
pub fn thousands() {
    const THREADS: usize = 3000;
    let shared = Arc::new((Barrier::new(THREADS + 1), AtomicU64::new(0)));
    let mut threads = Vec::new();
    for number in 0..THREADS {
        let shared = shared.clone();
        threads.push(start(Priority::Normal, move || {
            shared.1.fetch_add(1, SeqCst);
            shared.0.wait();
            number
        }));
    }
    shared.0.wait();
    let reached = shared.1.load(SeqCst);
    check(reached == THREADS as u64, format_args!("{reached} came"));
    let sum: usize = threads.into_iter().map(JoinHandle::join).sum();
    check(
        sum == THREADS * (THREADS - 1) / 2,
        format_args!("results sum up to {sum}"),
    );
}

/// Threads that compute spread over the processors.
pub fn stealing() {
    let cpus = Arc::new(AtomicU64::new(0));
    let wanted = thread::dispatchers().min(2) as u32;
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let cpus = cpus.clone();
            start(Priority::Normal, move || {
                compute(20_000 * MS, || {
                    cpus.fetch_or(1 << thread::cpu(), SeqCst);
                    cpus.load(SeqCst).count_ones() >= wanted
                })
            })
        })
        .collect();
    for thread in threads {
        let spread = thread.join();
        check(spread, format_args!("all stay on {:#b}", cpus.load(SeqCst)));
    }
}
