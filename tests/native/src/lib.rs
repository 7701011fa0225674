//! Tests what the runtime gives native processes, from inside an image, in place of a personality.
//!
//! Each test is a line `NAME: ok` on the console. The first that fails says why and ends the machine
//! with another status than 0.
#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(
        dead_code,
        reason = "host builds have no entry from which everything is reached"
    )
)]

extern crate alloc;

mod faults;
mod pager;
mod paging;
mod patching;
mod references;
mod registers;
mod scheduling;
mod served;
mod sharing;
mod timers;

use kiln_interface::kernel::Machine as _;
use kiln_object::startup::InitialObject;
use kiln_runtime::{machine, startup, thread};
use kiln_test_report as report;

kiln_runtime::component!(main);

type Test = (&'static str, fn());

/// With one dispatcher first, then with one on each processor.
const TESTS: &[Test] = &[
    ("a computing thread is stopped", scheduling::stopped),
    ("a higher level runs first", scheduling::levels),
    ("a stopped thread keeps its registers", registers::kept),
    ("alarms ring in order", timers::order),
    ("sleepers wake", timers::sleepers),
    ("channel", sharing::channel),
    ("barrier", sharing::barrier),
    ("mutex and heap", sharing::mutex),
    ("ping-pong", sharing::ping_pong),
    ("condition", sharing::condition),
    ("thousands of threads", scheduling::thousands),
    ("references are handed over", references::handed),
    ("calls are counted", references::counted),
    ("near objects go with their references", references::near),
    ("served calls wake threads", served::asked),
    ("messages wait for room", served::sent),
    ("only what is one-way is sent", served::sent_in_vain),
    ("a fault ends a thread alone", faults::faults),
    ("a panic ends a thread alone", faults::panics),
    ("a page that comes parks its thread alone", paging::parked),
    ("threads that want a page share one wait", paging::shared),
    ("a page that does not come is a fault", paging::refused),
    ("calls wait for pages of their buffers", paging::calls),
    ("who cannot be parked waits", paging::whole),
    ("what is stored in a file is everybody's", paging::stored),
    ("files are cut off", paging::cut),
    ("crowds want pages", paging::crowd),
    ("a pager that ends leaves nobody waiting", paging::deserted),
    ("code is patched while others run it", patching::whole),
];

fn main() {
    if startup().object(InitialObject::Machine).is_none() {
        served::main();
        return;
    }
    run(1);
    let cpus = startup().cpus as usize;
    if cpus > 1 {
        match thread::use_cpus(cpus) {
            Ok(count) => report::check(count == cpus, format_args!("{count} dispatchers")),
            Err(error) => report::failed(format_args!("no more dispatchers: {error}")),
        }
        run(cpus);
        scheduling::stealing();
        report::line(format_args!("{cpus}: threads are stolen: ok"));
    }
    report::line(format_args!("all: ok"));
    // It does not come back.
    let _ = machine().power_off(0);
}

fn run(cpus: usize) {
    for (name, test) in TESTS {
        test();
        report::line(format_args!("{cpus}: {name}: ok"));
    }
}
