//! Runs on all processors of the machine at once, in place of a personality.
//!
//! The program's first argument names a test (see [`main`]). A test ends the machine with status 0
//! after a line that ends in `: ok`; what is wrong is said and ends it with another.
#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(
        dead_code,
        reason = "host builds have no entry from which everything is reached"
    )
)]

extern crate alloc;

mod calls;
mod circle;
mod crowd;
mod deaf;
mod domains;
mod full;
mod hoard;
mod idle;
mod mapping;
mod messages;
mod partner;
mod remote;
mod room;
mod rubbish;
mod scale;
mod team;
mod touch;

use kiln_object::configuration::key;
use kiln_object::startup::InitialObject;
use kiln_runtime::startup;
use kiln_test_report as report;

kiln_runtime::component!(main);

fn main() {
    if startup().object(InitialObject::Machine).is_none() {
        partner::serve();
        hoard::main();
        return;
    }
    let configuration = kiln_runtime::configuration();
    let argument = |place| {
        let found = configuration.values(key::PROGRAM_ARGUMENT).nth(place);
        found.and_then(|text| core::str::from_utf8(text).ok())
    };
    let number = |place| {
        argument(place)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let name = argument(1).unwrap_or("calls");
    let rounds = argument(2)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    match name {
        "calls" => calls::run(rounds),
        "mapping" => mapping::run(rounds),
        "domains" => domains::run(rounds, number(3)),
        "alone" => domains::alone(rounds, number(3)),
        "endless" => domains::endless(rounds),
        "unanswered" => domains::unanswered(rounds),
        "remote" => remote::run(rounds),
        "measure" => remote::measure(),
        "full" => full::run(),
        "hoard" => hoard::run(rounds),
        "messages" => messages::run(rounds),
        "deaf" => deaf::run(rounds),
        "circle" => circle::run(rounds),
        "rubbish" => rubbish::run(rounds),
        "idle" => idle::run(rounds, argument(3).unwrap_or("")),
        "room" => room::run(rounds),
        "crowd" => crowd::run(rounds),
        "scale" => scale::run(),
        _ => report::failed(format_args!("there is no test {name}")),
    }
    report::ended(format_args!(
        "{name}, {rounds} rounds on {} processors: ok",
        team::processors()
    ));
}
