//! All interleavings of two senders with the receiver of a mailbox: nothing is lost, doubled or seen half.
//!
//! The mailbox's source is compiled here against the model checker's atomics and cell, which fails when
//! a message is read without anything ordering that after it was written.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::cell::UnsafeCell;
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/schedule/mailbox.rs"]
mod mailbox;

use loom::sync::Arc;
use loom::thread;
use mailbox::Mailbox;

fn model(senders: &'static [&'static [u32]], received: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let mailbox = Arc::new(Mailbox::<u32, 2>::new());
        let all: Vec<_> = senders
            .iter()
            .map(|messages| {
                let mailbox = mailbox.clone();
                thread::spawn(move || {
                    let sent = |message: &&u32| mailbox.send(**message).is_ok();
                    messages.iter().filter(sent).copied().collect::<Vec<_>>()
                })
            })
            .collect();
        // SAFETY: only this thread receives.
        let receive = || unsafe { mailbox.receive() };
        let mut got: Vec<u32> = (0..received).filter_map(|_| receive()).collect();
        let sent: Vec<Vec<u32>> = all.into_iter().map(|one| one.join().unwrap()).collect();
        got.extend(core::iter::from_fn(receive));
        // Those of one sender arrive in their order, and all arrive.
        for messages in &sent {
            let of_one: Vec<_> = got
                .iter()
                .filter(|message| messages.contains(message))
                .copied()
                .collect();
            assert_eq!(&of_one, messages);
        }
        assert_eq!(got.len(), sent.iter().map(Vec::len).sum::<usize>());
        // There is room for two, whatever happened before.
        assert!(sent.iter().map(Vec::len).sum::<usize>() >= 2);
    });
}

#[test]
fn two_senders_and_a_receiver() {
    model(&[&[1], &[2]], 2);
}

#[test]
fn a_full_mailbox_refuses_and_goes_on() {
    model(&[&[1, 2, 3]], 2);
}

#[test]
fn senders_compete_for_the_last_place() {
    model(&[&[1, 2], &[3]], 1);
}
