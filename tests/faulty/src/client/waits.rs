//! Servers that wait for ever: in a call, or instead of getting ready.

use kiln_object::Error;
use kiln_runtime::{bind_server, time};

use super::report::{expect, failed};
use super::{error, process_of, server};
use crate::failures::Failure;
use crate::interface::Faulty;

/// What the image allows these servers, in ms of real time.
pub const ANSWER_LIMIT: u64 = 400;
const START_LIMIT: u64 = 300;

/// What a busy host may add to a time, in ms.
const SLACK: u64 = 20_000;

/// Does something that takes so many ms, or some more.
#[track_caller]
pub fn takes<T>(least: u64, what: impl FnOnce() -> T) -> T {
    let start = time::monotonic_ns();
    let answer = what();
    let took = (time::monotonic_ns() - start) / 1_000_000;
    if !(least..least + SLACK).contains(&took) {
        failed(format_args!("{took} ms instead of {least}"));
    }
    answer
}

/// A server that waits for ever in a call, at once or by turns.
pub fn in_a_call() {
    for failure in [Failure::Wait, Failure::WaitByTurns, Failure::Poll] {
        let server = server("faulty_server");
        let before = process_of("faulty_server");
        let answer = takes(ANSWER_LIMIT, || server.fail(failure as u32));
        expect(error(answer), Error::TimedOut);
        let now = process_of("faulty_server");
        expect(now.incarnation(), before.incarnation() + 1);
        expect(server.count(), Ok(1));
        // Who waits less is left alone, however often.
        let process = process_of("faulty_server");
        for _ in 0..6 {
            expect(server.nap(ANSWER_LIMIT / 4), Ok(()));
        }
        expect(process_of("faulty_server"), process);
    }
}

/// Of two servers that are in the call the one that waits is ended.
pub fn inside() {
    let before = (process_of("faulty_server"), process_of("faulty_second"));
    let first = server("faulty_server");
    let told = takes(ANSWER_LIMIT, || first.fail_next(Failure::Wait as u32));
    expect(told, Ok(u64::from(Error::TimedOut.code())));
    expect(process_of("faulty_server"), before.0);
    let now = process_of("faulty_second");
    expect(now.incarnation(), before.1.incarnation() + 1);
    expect(server("faulty_second").count(), Ok(1));
}

/// A server that waits, and one that computes, instead of getting ready: who calls is told, and another is
/// tried.
pub fn instead_of_ready() {
    let server = server("faulty_late");
    // Two are ended. Who calls may be told of each death once.
    let mut told = 0;
    takes(2 * START_LIMIT, || {
        expect(server.fail(Failure::Exit as u32), Err(Error::ServerDied));
        while let Err(error) = server.items() {
            expect(error, Error::ServerDied);
            told += 1;
        }
    });
    expect(told <= 3, true);
    expect(process_of("faulty_late").incarnation(), 4);
    expect(server.count(), Ok(1));
}

/// A server that never gets ready: nobody waits for ever.
pub fn never_ready() {
    let server = server("faulty_stuck");
    takes(3 * START_LIMIT, || {
        expect(server.fail(Failure::Exit as u32), Err(Error::ServerDied));
        while process_of("faulty_stuck").incarnation() != 4 {
            expect(server.items(), Err(Error::ServerDied));
        }
        let bound = bind_server::<dyn Faulty>("faulty_stuck");
        expect(bound.err(), Some(Error::ServerDied));
    });
    let start = time::monotonic_ns();
    expect(server.items(), Err(Error::ServerDied));
    expect(time::monotonic_ns() - start < START_LIMIT * 1_000_000, true);
}
