//! The mailbox with real threads; `tests/mailbox_model.rs` has all interleavings of few.

use super::mailbox::{Full, Mailbox};

#[test]
fn full_is_an_answer_and_order_is_kept() {
    let mailbox = Mailbox::<u32, 4>::new();
    // SAFETY: there is one thread.
    let receive = || unsafe { mailbox.receive() };
    for round in 0..5 {
        assert_eq!(receive(), None);
        for message in 0..4 {
            assert_eq!(mailbox.send(round * 10 + message), Ok(()));
        }
        assert_eq!(mailbox.send(99), Err(Full));
        for message in 0..4 {
            assert_eq!(receive(), Some(round * 10 + message));
        }
    }
}

#[test]
fn many_senders_lose_nothing() {
    const SENDERS: u64 = 4;
    const EACH: u64 = 20_000;
    let mailbox = Mailbox::<(u64, u64), 8>::new();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for number in 0..EACH {
                    while mailbox.send((sender, number)).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut next = [0; SENDERS as usize];
        while next.iter().sum::<u64>() < SENDERS * EACH {
            // SAFETY: only this thread receives.
            if let Some((sender, number)) = unsafe { mailbox.receive() } {
                assert_eq!(next[sender as usize], number);
                next[sender as usize] += 1;
            } else {
                std::thread::yield_now();
            }
        }
    });
}
