//! One-way messages from all processors to one receiver, which has no room, or ends in the middle.

use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use kiln_object::message_ring::MESSAGES;
use kiln_object::{Error, Reference};
use kiln_runtime::thread::{self, JoinHandle, Priority};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, TryFar};

use crate::partner::{
    CIRCLE, KEPT_FREE, Partner, PartnerStub, SENDERS, bound, deafen, free_memory, wait_until,
};
use crate::{report, team};

const MS: u64 = 1_000_000;

/// How long a partner of the circle may take for an answer: the image says so.
const ANSWER_LIMIT: u64 = 200 * MS;

/// Lives of the receiver that end in the middle, after those in which things are made once and kept.
const LIVES: u64 = 80;
const FIRST_LIVES: u64 = 3;

/// Messages by the processor that they were sent from.
static SENT: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// All of it, with `rounds` messages of each sender.
pub fn run(rounds: u64) {
    let processors = team::processors() as usize;
    report::expect(thread::use_cpus(processors), Ok(processors));
    in_order(rounds);
    without_room();
    without_room_for_long();
    to_the_dead();
}

/// Starts `part` on as many threads as there can be senders.
fn senders<T: Send + 'static>(
    part: impl Fn(u64) -> T + Copy + Send + 'static,
) -> Vec<JoinHandle<T>> {
    (0..SENDERS as u64)
        .map(|sender| report::good(thread::spawn(Priority::Normal, move || part(sender))))
        .collect()
}

/// Each sender's messages come in order, from whichever processor; who finds no room waits for it.
fn in_order(rounds: u64) {
    let receiver = bound("hoarder_one");
    let threads = senders(move |sender| {
        let receiver = PartnerStub::new(receiver, Far);
        for number in 0..rounds {
            if let Some(sent) = SENT.get(thread::cpu() as usize) {
                sent.fetch_add(1, Relaxed);
            }
            report::expect(receiver.note(sender, number), Ok(()));
        }
    });
    threads.into_iter().for_each(JoinHandle::join);
    let all = SENDERS as u64 * rounds;
    let receiver = PartnerStub::new(receiver, Far);
    wait_until(
        || report::good(receiver.noted()) == all,
        "not all messages came",
    );
    let from: Vec<u64> = SENT.iter().map(|sent| sent.load(Relaxed)).collect();
    let processors = from.iter().filter(|sent| **sent > rounds / 2).count();
    report::line(format_args!(
        "messages were sent from {processors} processors"
    ));
    report::expect(processors >= 2, true);
}

/// Sends until there is no room: how many there was room for.
fn fill(receiver: Reference<dyn Partner>) -> u64 {
    let trying = PartnerStub::new(receiver, TryFar);
    for number in 0..=MESSAGES as u64 {
        match trying.note(0, number) {
            Ok(()) => {}
            Err(error) => {
                report::expect(error, Error::Busy);
                return number;
            }
        }
    }
    u64::MAX
}

/// A ring that is full says so to who does not want to wait; others wait until there is room.
fn without_room() {
    let receiver = bound("hoarder_one");
    let stub = PartnerStub::new(receiver, Far);
    let before = report::good(stub.noted());
    deafen(receiver, 50 * MS);
    let room = fill(receiver);
    report::expect(room, MESSAGES as u64);
    // Whoever waits, waits alone: the other thread goes on.
    let waiting = thread::spawn(Priority::Normal, move || {
        let stub = PartnerStub::new(receiver, Far);
        report::expect(stub.note(1, 0), Ok(()));
        report::good(stub.is_deaf())
    });
    let mut turns = 0_u64;
    while stub.is_deaf() == Ok(1) {
        turns += 1;
        thread::yield_now();
    }
    report::expect(turns > 0, true);
    report::expect(report::good(waiting).join(), 0);
    // The first sender began again with 0, and so did the second.
    let first = before / SENDERS as u64;
    let expected = before - 2 * first + room + 1;
    wait_until(
        || report::good(stub.noted()) == expected,
        "the last message did not come",
    );
}

/// A ring that stays full: who waits for room is answered when the receiver's time for an answer is over.
fn without_room_for_long() {
    let receiver = bound(CIRCLE[0]);
    let stub = PartnerStub::new(receiver, Far);
    deafen(receiver, 2 * ANSWER_LIMIT);
    report::expect(fill(receiver), MESSAGES as u64);
    let start = monotonic_ns();
    report::expect(stub.note(1, 0), Err(Error::TimedOut));
    let took = monotonic_ns() - start;
    report::check(
        (ANSWER_LIMIT..ANSWER_LIMIT * 3 / 2).contains(&took),
        format_args!("{} ms", took / MS),
    );
    report::expect(stub.is_deaf(), Ok(1));
    wait_until(
        || stub.is_deaf() == Ok(0) && stub.noted() == Ok(MESSAGES as u64),
        "it stays deaf",
    );
    report::expect(stub.note(1, 0), Ok(()));
    wait_until(
        || stub.noted() == Ok(MESSAGES as u64 + 1),
        "the last message did not come",
    );
}

/// The receiver ends while senders wait for room: each is told, and nothing is left of it.
fn to_the_dead() {
    let mut before = u64::MAX;
    for life in 0..FIRST_LIVES + LIVES {
        let receiver = bound("hoarder_one");
        deafen(receiver, u64::MAX);
        let threads = senders(move |sender| {
            let receiver = PartnerStub::new(receiver, Far);
            (0..).find_map(|number| receiver.note(sender, number).err())
        });
        let trying = PartnerStub::new(receiver, TryFar);
        wait_until(
            || trying.note(0, 0) == Err(Error::Busy),
            "the ring has always room",
        );
        let ended = PartnerStub::new(receiver, Far).end();
        report::expect(ended, Err(Error::ServerDied));
        for thread in threads {
            report::expect(thread.join(), Some(Error::ServerDied));
        }
        let late = PartnerStub::new(receiver, Far).note(0, 0);
        report::expect(late, Err(Error::ServerDied));
        if life + 1 == FIRST_LIVES {
            before = free_memory();
        }
    }
    let after = free_memory();
    report::line(format_args!("free before {before}, after {after}"));
    // Less than a page of each.
    report::expect(after + KEPT_FREE >= before, true);
}
