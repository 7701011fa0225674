//! Pagers that do not bring a page: who waits for it gets the fault, and the pager is ended.

use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, ProcessId, Transport as _};
use kiln_runtime::thread::{self, Failed, Priority};
use kiln_runtime::{Far, startup};

use super::report::{expect, failed, good};
use super::waits::{ANSWER_LIMIT, takes};
use super::{error, me, process_of, rest, server};
use crate::failures::Failure;
use crate::interface::Faulty as _;
use crate::pages::{CONTENT, MOST, map, read};

/// The page that the pager forgets.
const FORGOTTEN: u64 = 1;

/// Touches a page that does not come, in two threads.
#[track_caller]
fn does_not_come(address: u64, page: u64) {
    let threads = [0, 1].map(|_| {
        let touch = move || {
            read(address, page * PAGE_BYTES);
        };
        match thread::spawn_isolated(Priority::Normal, touch) {
            Ok(thread) => thread,
            Err(error) => failed(format_args!("no thread: {error}")),
        }
    });
    for thread in threads {
        expect(thread.try_join(), Err(Failed));
    }
}

/// The process that is started in the place of `ended`. Who waited for its page is told that it has ended
/// before the next one is started, maybe by another processor.
fn successor(name: &str, ended: ProcessId) -> ProcessId {
    loop {
        let now = process_of(name);
        if now != ended {
            return now;
        }
        rest();
    }
}

/// A pager that forgets the page, computes, waits, or does both by turns.
pub fn not_brought() {
    for page in [
        FORGOTTEN,
        Failure::Loop as u64,
        Failure::Wait as u64,
        Failure::WaitByTurns as u64,
        Failure::Poll as u64,
        Failure::WaitWithNews as u64,
    ] {
        let before = process_of("faulty_server");
        let address = good(map(good(server("faulty_server").file(MOST, me()))));
        expect(read(address, 0), CONTENT);
        takes(ANSWER_LIMIT, || does_not_come(address, page));
        let now = successor("faulty_server", before);
        expect(now.incarnation(), before.incarnation() + 1);
        // What had come stays.
        expect(read(address, 1), CONTENT);
        expect(server("faulty_server").count(), Ok(1));
    }
}

/// Files that a server gave its caller before it ended instead of answering: he knows none of them, so none is
/// left.
pub fn given_in_vain() {
    let held = || {
        let own = startup().object(InitialObject::Process);
        good(Far.call_words(own, universal::HELD, [0; CALL_WORDS]))[0]
    };
    let before = held();
    for (failure, told) in [
        (Failure::WildRead, Error::ServerDied),
        (Failure::Exit, Error::ServerDied),
        (Failure::Loop, Error::TimedOut),
        (Failure::Wait, Error::TimedOut),
    ] {
        let answer = server("faulty_server").files_in_vain(failure as u32, me());
        expect(error(answer), told);
        expect(held(), before);
    }
    // What is answered stays.
    let _ = good(server("faulty_server").file(MOST, me()));
    expect(server("faulty_server").count(), Ok(1));
    expect(held(), before + 1);
}

/// A server that waits in a call for a page of another one: that is the one to blame.
pub fn inside() {
    let before = (process_of("faulty_server"), process_of("faulty_second"));
    let first = server("faulty_server");
    expect(first.touch_next(0), Ok(u32::from(CONTENT)));
    let told = takes(ANSWER_LIMIT, || first.touch_next(FORGOTTEN * PAGE_BYTES));
    // Its own fault, for the page that did not come, is the end of it.
    expect(told, Err(Error::ServerDied));
    let now = successor("faulty_second", before.1);
    expect(now.incarnation(), before.1.incarnation() + 1);
    let now = process_of("faulty_server");
    expect(now.incarnation(), before.0.incarnation() + 1);
}
