//! Threads that wait for each other, more of them than processors, stopped at any time.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU64, AtomicUsize};

use kiln_runtime::thread::{
    Barrier, Channel, Condition, JoinHandle, Mutex, Priority, block, current,
};
use kiln_runtime::time::monotonic_ns;

use crate::report::check;
use crate::scheduling::start;

/// All that is sent is received, once, and what one sent in its order.
pub fn channel() {
    const SENDERS: u64 = 6;
    const ITEMS: u64 = 3000;
    let channel = Arc::new(Channel::new(4));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let channel = channel.clone();
            start(Priority::Normal, move || {
                for item in 0..ITEMS {
                    if channel.send(sender << 32 | item).is_err() {
                        return false;
                    }
                }
                true
            })
        })
        .collect();
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let channel = channel.clone();
            start(Priority::Normal, move || {
                let mut last = [0; SENDERS as usize];
                let (mut sum, mut count) = (0u64, 0u64);
                while let Ok(item) = channel.receive() {
                    let (sender, item) = ((item >> 32) as usize, (item & 0xffff_ffff) + 1);
                    check(item > last[sender], format_args!("out of order"));
                    last[sender] = item;
                    sum += item;
                    count += 1;
                }
                (sum, count)
            })
        })
        .collect();
    for sender in senders {
        check(sender.join(), format_args!("closed too early"));
    }
    channel.close();
    let (mut sum, mut count) = (0, 0);
    for receiver in receivers {
        let (more, items) = receiver.join();
        (sum, count) = (sum + more, count + items);
    }
    check(count == SENDERS * ITEMS, format_args!("{count} items"));
    let expected = SENDERS * ITEMS * (ITEMS + 1) / 2;
    check(sum == expected, format_args!("sum {sum}, not {expected}"));
    check(
        channel.send(1) == Err(1),
        format_args!("sent after the end"),
    );
}

/// Nobody passes before all are there, round after round.
pub fn barrier() {
    const THREADS: usize = 6;
    const ROUNDS: usize = 400;
    let shared = Arc::new((
        Barrier::new(THREADS),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    ));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let shared = shared.clone();
            start(Priority::Normal, move || {
                for round in 0..ROUNDS {
                    shared.1.fetch_add(1, SeqCst);
                    if shared.0.wait() {
                        shared.2.fetch_add(1, SeqCst);
                    }
                    let there = shared.1.load(SeqCst);
                    check(
                        there >= (round + 1) * THREADS,
                        format_args!("passed with {there} in round {round}"),
                    );
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join();
    }
    let last = shared.2.load(SeqCst);
    check(last == ROUNDS, format_args!("{last} were last"));
}

/// Sections exclude each other, and blocks of the heap are nobody else's.
pub fn mutex() {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 1500;
    let value = Arc::new(Mutex::new((0u64, 0u64)));
    let threads: Vec<_> = (0..THREADS)
        .map(|mark| {
            let value = value.clone();
            start(Priority::Normal, move || {
                let mut held: Vec<Vec<u8>> = Vec::new();
                for round in 0..ROUNDS {
                    {
                        let mut value = value.lock();
                        value.0 += 1;
                        core::hint::black_box(&value);
                        value.1 += 1;
                        check(value.0 == value.1, format_args!("not alone"));
                    }
                    held.push(vec![mark as u8; 1 + (round * 37 % 1500) as usize]);
                    if held.len() > 20 {
                        let block = held.swap_remove((round % 20) as usize);
                        let whole = block.iter().all(|byte| *byte == mark as u8);
                        check(whole, format_args!("a block is another's"));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join();
    }
    let total = value.lock().0;
    check(total == THREADS * ROUNDS, format_args!("counted {total}"));
}

/// Pairs that wake each other, none of which may be lost.
pub fn ping_pong() {
    const TURNS: u64 = 5000;
    let pairs: Vec<JoinHandle<()>> = (0..3)
        .map(|_| {
            start(Priority::Normal, || {
                let me = current();
                let turns = Arc::new(AtomicU64::new(0));
                let other = {
                    let turns = turns.clone();
                    start(Priority::Normal, move || {
                        for turn in 0..TURNS {
                            while turns.load(SeqCst) != 2 * turn + 1 {
                                block();
                            }
                            turns.fetch_add(1, SeqCst);
                            me.unblock();
                        }
                    })
                };
                let name = other.thread();
                for turn in 0..TURNS {
                    turns.fetch_add(1, SeqCst);
                    name.unblock();
                    while turns.load(SeqCst) != 2 * turn + 2 {
                        block();
                    }
                }
                other.join();
            })
        })
        .collect();
    for pair in pairs {
        pair.join();
    }
}

/// A wait with a deadline ends by it, or by being told.
pub fn condition() {
    let shared = Arc::new((Mutex::new(false), Condition::new()));
    {
        let deadline = monotonic_ns() + 5_000_000;
        let mut guard = shared.0.lock();
        let told = shared.1.wait_until(&mut guard, deadline);
        check(!told, format_args!("told by nobody"));
        check(monotonic_ns() >= deadline, format_args!("too early"));
    }
    let teller = {
        let shared = shared.clone();
        start(Priority::Normal, move || {
            *shared.0.lock() = true;
            shared.1.notify_one();
        })
    };
    let mut guard = shared.0.lock();
    let mut told = true;
    while !*guard && told {
        told = shared
            .1
            .wait_until(&mut guard, monotonic_ns() + 20_000_000_000);
    }
    check(told, format_args!("not told"));
    drop(guard);
    teller.join();
}
