//! Servers that wait for each other's start.

use kiln_object::Error;
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::{Far, bind_server, time};

use super::process_of;
use super::report::{expect, failed, good, line};
use crate::failures::Failure;
use crate::interface::{Faulty, FaultyStub};
use crate::server::PAIR;

/// Within how many ns both are ready: several times their limit for a start.
const PATIENCE_NS: u64 = 5_000_000_000;

/// Calls the server until it answers, counting the ends that it is told; the status of its own binding.
fn called(name: &str) -> (u64, Option<Error>) {
    let begin = time::monotonic_ns();
    let mut ends = 0;
    loop {
        let answer = bind_server::<dyn Faulty>(name)
            .and_then(|server| FaultyStub::new(server, Far).bound_at_start());
        match answer {
            Ok(status) => {
                let status = good(u16::try_from(status));
                return (ends, Error::from_code(status));
            }
            Err(Error::ServerDied) => ends += 1,
            Err(error) => failed(format_args!("{name}: {error}")),
        }
        if time::monotonic_ns() > begin + PATIENCE_NS {
            failed(format_args!("{name} does not get ready: {ends} ends"));
        }
    }
}

/// Both end and are called, one after the other and at once: whoever waits in vain is told so after
/// `start-limit`, and in the end both serve.
pub fn for_each_other() {
    for round in 0..6 {
        for name in PAIR {
            called(name);
        }
        let before = PAIR.map(process_of);
        for name in PAIR {
            let server = FaultyStub::new(good(bind_server::<dyn Faulty>(name)), Far);
            expect(server.fail(Failure::Exit as u32), Err(Error::ServerDied));
        }
        let begin = time::monotonic_ns();
        let (first, second) = (PAIR[round % 2], PAIR[(round + 1) % 2]);
        let seen = if round < 2 {
            [called(first), called(second)]
        } else {
            let other = good(thread::spawn(Priority::Normal, move || called(second)));
            [called(first), other.join()]
        };
        let took = (time::monotonic_ns() - begin) / 1_000_000;
        line(format_args!("  {seen:?} after {took} ms"));
        for (ends, bound) in seen {
            // On a busy host one may not be ready in time once more.
            expect(ends <= 4, true);
            expect(matches!(bound, None | Some(Error::ServerDied)), true);
        }
        for (before, name) in before.into_iter().zip(PAIR) {
            expect(process_of(name).incarnation() > before.incarnation(), true);
        }
    }
}
