//! Threads that find no room for a call, and serve none themselves: they are answered in time.

use alloc::vec::Vec;

use kiln_load_interface::{Load, LoadStub};
use kiln_object::Error;
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, bind_server};

use crate::report;

const MS: u64 = 1_000_000;

/// Threads that call, all on one processor: more than it has places for calls to others.
const THREADS: u64 = 24;

/// How long a call computes in the server, in ns: so long that no place is free before the rest have
/// waited long enough.
const LONG: u64 = 60 * MS;

/// Makes all calls at once; the manifest gives the server `limit` ms for an answer.
pub fn run(limit: u64) {
    let load = report::good(bind_server::<dyn Load>("load"));
    let limit = limit * MS;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let calling = move || {
                let start = monotonic_ns();
                let answer = LoadStub::new(load, Far).take(LONG);
                (answer, monotonic_ns() - start)
            };
            report::good(thread::spawn(Priority::Normal, calling))
        })
        .collect();
    let mut late = 0;
    for thread in threads {
        let (answer, took) = thread.join();
        if answer == Ok(()) {
            continue;
        }
        report::expect(answer, Err(Error::TimedOut));
        report::check(
            (limit..limit * 3 / 2).contains(&took),
            format_args!("{} ms instead of {}", took / MS, limit / MS),
        );
        late += 1;
    }
    report::line(format_args!("{late} of {THREADS} waited for too long"));
    report::expect((1..THREADS).contains(&late), true);
    // Who has no limit waits for as long as it takes: see `crowd`. And the server is the one of before.
    report::expect(LoadStub::new(load, Far).cpu(), Ok(1));
}
