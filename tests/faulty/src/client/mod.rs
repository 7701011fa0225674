//! The checks, and what they share.

mod crashes;
mod deaths;
mod intruders;
mod pages;
mod report;
mod restarts;
mod starts;
mod waits;

use kiln_interface::kernel::{Machine as _, Process as _};
use kiln_object::{Caller, Error, ProcessId};
use kiln_runtime::{Lasting, bind_server, machine, process, startup};

use crate::interface::{Faulty, FaultyStub};
use report::{failed, is_wanted, line};

type Check = fn();

/// All checks: group, name, what is done.
const CHECKS: [(&str, &str, Check); 29] = [
    (
        "crash",
        "a server that crashes dies alone",
        crashes::each_kind,
    ),
    (
        "crash",
        "the end reaches every caller on the way",
        crashes::through_another,
    ),
    (
        "restart",
        "a name finds the server that was started again",
        restarts::by_name,
    ),
    (
        "restart",
        "what may be tried again is, the rest is told once",
        restarts::tried_again,
    ),
    (
        "limit",
        "a server that does not answer is ended, and its caller told",
        crashes::without_an_answer,
    ),
    (
        "limit",
        "the innermost of several is ended",
        crashes::without_an_answer_inside,
    ),
    (
        "wait",
        "a server that waits for ever in a call is ended, and its caller told",
        waits::in_a_call,
    ),
    (
        "wait",
        "the one of several that waits is ended",
        waits::inside,
    ),
    (
        "wait",
        "a server that does not get ready is ended, and another tried",
        waits::instead_of_ready,
    ),
    (
        "wait",
        "one that never gets ready keeps nobody waiting",
        waits::never_ready,
    ),
    (
        "start",
        "two servers that wait for each other's start do not wait for ever",
        starts::for_each_other,
    ),
    (
        "death",
        "what a client held goes with it",
        deaths::of_a_client,
    ),
    (
        "death",
        "a client that dies in a call costs nothing",
        deaths::in_a_call,
    ),
    (
        "page",
        "a pager that does not bring a page is ended, and who waits for it told",
        pages::not_brought,
    ),
    (
        "page",
        "files that were given in a call without an answer are gone",
        pages::given_in_vain,
    ),
    (
        "page",
        "the pager is to blame, not the server that waits for the page",
        pages::inside,
    ),
    ("death", "nothing is given to the dead", deaths::gifts),
    (
        "death",
        "what many lives held of a file server goes with them, wherever that lives",
        deaths::of_a_file_server_s_clients,
    ),
    (
        "rights",
        "names that were guessed or stolen are good for nothing",
        intruders::names,
    ),
    (
        "rights",
        "a slot that is used again has another name",
        intruders::used_again,
    ),
    (
        "rights",
        "rights become fewer, never more",
        intruders::rights,
    ),
    (
        "rights",
        "a third process uses what it is given until it is taken back",
        intruders::given_on,
    ),
    (
        "rights",
        "who was not granted a server gets nothing of it",
        intruders::without_a_grant,
    ),
    (
        "leak",
        "a thousand restarts leave nothing behind",
        restarts::leaks,
    ),
    (
        "wide",
        "nor do those of a server on all processors",
        restarts::leaks_of_many_processors,
    ),
    (
        "restart",
        "references to the old server mean nothing",
        restarts::stale_references,
    ),
    (
        "restart",
        "too many restarts end it for good",
        restarts::rate_limit,
    ),
    (
        "restart",
        "a server that is not to be started again stays ended",
        restarts::never,
    ),
    (
        "twice",
        "no call of two threads is made twice",
        restarts::by_two_threads,
    ),
];

/// Makes the checks and ends the machine.
pub fn main() {
    if process().ready().is_err() {
        failed(format_args!("the process cannot be ready"));
    }
    let mut count = 0;
    for (group, name, check) in CHECKS {
        if is_wanted(group) {
            line(format_args!("- {name}"));
            check();
            count += 1;
        }
    }
    line(format_args!("{count} checks: ok"));
    // It does not come back.
    let _ = machine().power_off(0);
}

/// The stub for a server of that name, as it is now.
#[track_caller]
fn server(name: &str) -> FaultyStub<Lasting> {
    FaultyStub::new(report::good(bind_server::<dyn Faulty>(name)), Lasting)
}

/// Who serves that name now.
fn process_of(name: &str) -> ProcessId {
    startup()
        .server(name)
        .map_or(ProcessId::NONE, |server| server.process)
}

/// This process, as the argument that stands for whoever calls.
fn me() -> Caller {
    Caller(startup().process)
}

/// Lets others run.
fn rest() {
    for _ in 0..3 {
        let _ = process().wait(kiln_runtime::time::monotonic_ns() + 2_000_000);
    }
}

/// The error of a call that must not succeed.
#[track_caller]
fn error<T: core::fmt::Debug>(result: Result<T, Error>) -> Error {
    match result {
        Err(error) => error,
        Ok(value) => failed(format_args!("{value:?} instead of an error")),
    }
}
