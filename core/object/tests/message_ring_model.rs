//! All interleavings of two senders and the receiver of one-way messages: every message that was taken
//! arrives once, whole, and after those of the same sender before it.
//!
//! The ring's source is compiled here against the model checker's atomics.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
mod call {
    pub const CALL_WORDS: usize = 1;
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/message_ring.rs"]
mod message_ring;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;
use message_ring::{Message, MessageRing};

struct Shared {
    ring: MessageRing<2>,
    sent: AtomicU64,
}

fn message(caller: u64, number: u16) -> Message {
    let word = caller << 16 | u64::from(number);
    Message {
        caller,
        object: !word,
        method: number,
        words: [word; call::CALL_WORDS],
    }
}

fn send(shared: &Shared, caller: u64, count: u16) -> u16 {
    let mut sent = 0;
    for number in 0..count {
        if shared
            .ring
            .send(&shared.sent, &message(caller, number))
            .is_err()
        {
            break;
        }
        sent += 1;
    }
    sent
}

#[test]
fn what_is_sent_arrives_once_and_in_order() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new(Shared {
            ring: MessageRing::default(),
            sent: AtomicU64::new(0),
        });
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || send(&shared, 1, 1))
        };
        let receiver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                [(); 2]
                    .map(|()| shared.ring.receive())
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
            })
        };
        let own = send(&shared, 0, 2);
        let others = other.join().unwrap();
        let mut arrived = receiver.join().unwrap();
        while let Some(message) = shared.ring.receive() {
            arrived.push(message);
        }
        for (caller, count) in [(0, own), (1, others)] {
            let of_caller: Vec<_> = arrived.iter().filter(|one| one.caller == caller).collect();
            let expected: Vec<_> = (0..count).map(|number| message(caller, number)).collect();
            assert!(of_caller.into_iter().eq(&expected));
        }
        assert_eq!(arrived.len(), usize::from(own + others));
    });
}

#[test]
fn a_full_ring_takes_nothing_and_a_wrong_count_gives_nobody_room() {
    loom::model(|| {
        let ring = MessageRing::<2>::default();
        let sent = AtomicU64::new(0);
        assert!(ring.send(&sent, &message(0, 0)).is_ok());
        assert!(ring.send(&sent, &message(0, 1)).is_ok());
        assert!(ring.send(&sent, &message(0, 2)).is_err());
        assert_eq!(ring.receive(), Some(message(0, 0)));
        assert!(ring.send(&sent, &message(0, 3)).is_ok());
        assert_eq!(ring.receive(), Some(message(0, 1)));
        assert_eq!(ring.receive(), Some(message(0, 3)));
        assert_eq!(ring.receive(), None);
        // What the process has not been sent it has not read.
        let ahead = AtomicU64::new(1);
        assert!(ring.send(&ahead, &message(0, 4)).is_err());
    });
}

#[test]
fn whoever_finds_no_room_is_told_of_some() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new(Shared {
            ring: MessageRing::default(),
            sent: AtomicU64::new(0),
        });
        assert_eq!(send(&shared, 0, 2), 2);
        let receiver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                while shared.ring.receive().is_some() {}
                shared.ring.take_want()
            })
        };
        let mut sent = send(&shared, 1, 1);
        if sent == 0 {
            shared.ring.want();
            sent = send(&shared, 1, 1);
        }
        let told = receiver.join().unwrap();
        assert!(sent == 1 || told, "it waits, and nobody tells it");
    });
}
