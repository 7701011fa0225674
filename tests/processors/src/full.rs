//! A pinned server all of whose call slots are taken for long: who waits for one while it serves a call
//! itself is answered in time, and nobody is ended.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_load_interface::{Load, LoadStub};
use kiln_object::Error;
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::{Far, bind_server};

use crate::hoard::{Hoarder, HoarderStub};
use crate::{report, team};

/// Threads that call: half of them the server, half of them another server that calls it.
const THREADS: u64 = 40;

/// How long a call computes in the server, in ns: longer than its limit for an answer.
const LONG: u64 = 120_000_000;

/// Calls that were answered too late, by the processor of whoever waited: those of the pinned server
/// itself, in its own calls; then those of the server between.
static IN_QUEUE: AtomicU64 = AtomicU64::new(0);
static ON_ITS_PROCESSOR: AtomicU64 = AtomicU64::new(0);
static ELSEWHERE: AtomicU64 = AtomicU64::new(0);

/// Makes all calls at once, on all processors.
pub fn run() {
    let processors = team::processors() as usize;
    report::expect(thread::use_cpus(processors), Ok(processors));
    let load = report::good(bind_server::<dyn Load>("load"));
    let between = report::good(bind_server::<dyn Hoarder>("hoarder_one"));
    let timed_out = u64::from(Error::TimedOut.code());
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            thread::spawn(Priority::Normal, move || {
                if number % 2 == 0 {
                    match LoadStub::new(load, Far).take(LONG) {
                        Ok(()) => {}
                        Err(Error::TimedOut) => {
                            IN_QUEUE.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => report::failed(format_args!("{error}")),
                    }
                    return;
                }
                let (cpu, status) = report::good(HoarderStub::new(between, Far).through());
                if status == timed_out {
                    let count = if cpu == 1 {
                        &ON_ITS_PROCESSOR
                    } else {
                        &ELSEWHERE
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                } else {
                    report::expect(status, 0);
                }
            })
        })
        .collect();
    for thread in threads {
        report::good(thread).join();
    }
    let counts = [&IN_QUEUE, &ON_ITS_PROCESSOR, &ELSEWHERE];
    let counts = counts.map(|count| count.load(Ordering::Relaxed));
    report::line(format_args!("answered too late: {counts:?}"));
    report::expect(counts[0] + counts[2] > 0 && counts[1] > 0, true);
    // The references are those of before: nobody was started again.
    report::expect(LoadStub::new(load, Far).cpu(), Ok(1));
    report::expect(HoarderStub::new(between, Far).hoarded().is_ok(), true);
}
