//! How many calls all processors together make to one server, compared with one processor.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::name_space::{NameSpace, NameSpaceStub};
use kiln_runtime::{Far, bind_server, time};

use crate::{report, team};

/// For how long calls are counted, in ns.
const LENGTH_NS: u64 = 1_000_000_000;

/// Calls between two looks at the time.
const BATCH: u64 = 256;

static START: AtomicU64 = AtomicU64::new(u64::MAX);
static ARRIVED: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Prints the calls of a second.
pub fn run() {
    team::start(part);
    while ARRIVED.load(Ordering::SeqCst) < u64::from(team::processors() - 1) {
        core::hint::spin_loop();
    }
    START.store(time::monotonic_ns() + 10_000_000, Ordering::SeqCst);
    count();
    team::wait_for_all();
    let name = team::processors();
    let calls = CALLS.load(Ordering::SeqCst);
    report::line(format_args!("calls.{name} {calls}"));
}

fn count() {
    let names = match bind_server::<dyn NameSpace>("name_space") {
        Ok(reference) => NameSpaceStub::new(reference, Far),
        Err(error) => report::failed(format_args!("the name space cannot be bound: {error}")),
    };
    ARRIVED.fetch_add(1, Ordering::SeqCst);
    while time::monotonic_ns() < START.load(Ordering::SeqCst) {
        core::hint::spin_loop();
    }
    let end = START.load(Ordering::SeqCst) + LENGTH_NS;
    let mut calls = 0;
    while time::monotonic_ns() < end {
        for _ in 0..BATCH {
            report::expect(names.version().is_ok(), true);
        }
        calls += BATCH;
    }
    CALLS.fetch_add(calls, Ordering::SeqCst);
}

extern "sysv64" fn part(_cpu: u64) -> ! {
    count();
    team::done()
}
