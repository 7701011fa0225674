//! More threads than there is room for call a pinned server at once, from all processors.
//!
//! Calls wait in the server, so that they pile up there: those of a processor in its places, those of all
//! in the server's call slots.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_load_interface::{Load, LoadStub};
use kiln_object::Error;
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::{Far, TryFar, bind_server};

use crate::{report, team};

/// Threads that call.
const THREADS: u64 = 40;

/// How long one call waits in the server, in ns.
const LONG: u64 = 1_000_000;

static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Makes `rounds` calls on each thread.
pub fn run(rounds: u64) {
    let processors = team::processors() as usize;
    report::expect(thread::use_cpus(processors), Ok(processors));
    let load = match bind_server::<dyn Load>("load") {
        Ok(load) => load,
        Err(error) => report::failed(format_args!("load cannot be bound: {error}")),
    };
    let waiting = move |round: u64| {
        let stub = LoadStub::new(load, Far);
        let mut output = [0; 8];
        let input = round.to_le_bytes();
        report::expect(stub.rest(LONG), Ok(()));
        report::expect(stub.echo(&input, &mut output), Ok(8));
        report::expect(input, output);
    };
    let trying = move |_| match LoadStub::new(load, TryFar).rest(LONG) {
        Ok(()) => {}
        Err(Error::Busy) => {
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => report::failed(format_args!("{error}")),
    };
    all(rounds, waiting);
    all(rounds, trying);
    // There was no room, or what came before tests nothing.
    report::expect(REFUSED.load(Ordering::Relaxed) > 0, true);
    report::expect(LoadStub::new(load, Far).rest(0), Ok(()));
}

/// Runs `part` in each round of all threads.
fn all(rounds: u64, part: impl Fn(u64) + Copy + Send + 'static) {
    let threads: Vec<_> = (0..THREADS)
        .map(|_| thread::spawn(Priority::Normal, move || (0..rounds).for_each(part)))
        .collect();
    for thread in threads {
        match thread {
            Ok(thread) => thread.join(),
            Err(error) => report::failed(format_args!("no thread: {error}")),
        }
    }
}
