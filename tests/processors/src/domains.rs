//! Two processes that both want one processor: how much of it this one gets.
//!
//! The manifest says in which domains this process and the server `load` are.

use kiln_interface::kernel::Process as _;
use kiln_load_interface::Load;
use kiln_object::Error;
use kiln_runtime::{Object, process, time};

use crate::report;

/// For how long it is measured, in ns.
const LENGTH_NS: u64 = 400_000_000;

/// The server that wants the processor, too.
pub fn load() -> Object<dyn Load> {
    match Object::bind("load") {
        Ok(load) => load,
        Err(error) => report::failed(format_args!("load cannot be bound: {error}")),
    }
}

/// Computes while the server does; this process is to get a part between the two, in percent.
pub fn run(least: u64, most: u64) {
    let load = load();
    report::expect(load.be_busy(1), Ok(()));
    measure(least, most);
    report::expect(load.be_busy(0), Ok(()));
}

/// Computes alone.
pub fn alone(least: u64, most: u64) {
    measure(least, most);
}

fn measure(least: u64, most: u64) {
    let (start, used) = (time::monotonic_ns(), processor_time());
    while time::monotonic_ns() < start + LENGTH_NS {
        core::hint::spin_loop();
    }
    let length = time::monotonic_ns() - start;
    let part = (processor_time() - used) * 100 / length;
    report::line(format_args!("{part} percent of {} ms", length / 1_000_000));
    if !(least..=most).contains(&part) {
        report::failed(format_args!("{part} percent instead of {least} to {most}"));
    }
}

fn processor_time() -> u64 {
    process().processor_time().unwrap_or(0)
}

/// A call in which the server waits for ever: it is ended, and the caller is told in time.
pub fn unanswered(limit_ms: u64) {
    let load = load();
    for _ in 0..2 {
        let start = time::monotonic_ns();
        report::expect(load.wait(), Err(Error::TimedOut));
        let took = (time::monotonic_ns() - start) / 1_000_000;
        report::line(format_args!("{took} ms"));
        if !(limit_ms..=limit_ms * 3 / 2 + 20).contains(&took) {
            report::failed(format_args!("{took} ms instead of {limit_ms}"));
        }
        report::expect(load.take(0), Ok(()));
    }
}

/// A call that the server never answers: it is ended, and the caller is told in time.
pub fn endless(limit_ms: u64) {
    let load = load();
    // Calls that take less are left alone, however many there are.
    for _ in 0..6 {
        report::expect(load.take(limit_ms * 1_000_000 / 4), Ok(()));
    }
    let start = time::monotonic_ns();
    report::expect(load.take(u64::MAX), Err(Error::TimedOut));
    let took = (time::monotonic_ns() - start) / 1_000_000;
    report::line(format_args!("{took} ms"));
    if !(limit_ms..=limit_ms * 3 / 2 + 20).contains(&took) {
        report::failed(format_args!("{took} ms instead of {limit_ms}"));
    }
}
