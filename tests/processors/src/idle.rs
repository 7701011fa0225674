//! Waits for a server on another processor, which waits as well: whoever looks from outside sees a machine
//! that does nothing.

use alloc::vec::Vec;

use core::sync::atomic::Ordering::Relaxed;

use kiln_load_interface::{Load, LoadStub};
use kiln_object::dispatcher::soft_interrupt::CONSOLE;
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::{Far, bind_server, dispatcher};

use crate::hoard::{Hoarder, HoarderStub};
use crate::report;

const MS: u64 = 1_000_000;

/// Threads that call in the way `room`: more than there are places for calls to other processors.
const THREADS: u64 = 12;

/// Waits for `time` ms in the way called `how`.
pub fn run(time: u64, how: &str) {
    let load = report::good(bind_server::<dyn Load>("load"));
    match how {
        "answer" => {
            // This process has no other thread and no alarm, so nobody sees to it and it stays pending:
            // that must not keep who waits from waiting.
            let pending = &dispatcher::page().pending;
            pending.fetch_or(CONSOLE, Relaxed);
            report::expect(LoadStub::new(load, Far).rest(time * MS), Ok(()));
            report::expect(pending.load(Relaxed) & CONSOLE, CONSOLE);
        }
        // Half of the time they wait for room.
        "room" => {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let calling = move || LoadStub::new(load, Far).rest(time * MS / 2);
                    report::good(thread::spawn(Priority::Normal, calling))
                })
                .collect();
            for thread in threads {
                report::expect(thread.join(), Ok(()));
            }
        }
        "served" => {
            let between = report::good(bind_server::<dyn Hoarder>("hoarder_one"));
            let between = HoarderStub::new(between, Far);
            report::expect(between.rest_in_load(time * MS), Ok(()));
        }
        _ => report::failed(format_args!("there is no way {how} to wait")),
    }
}
