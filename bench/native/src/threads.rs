//! Threads of one dispatcher: giving way, waking and waiting, beginning and ending.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use kiln_runtime::thread::{self, Priority, block, current, yield_now};

use crate::{fail, least, report};

/// Measures and reports.
pub(crate) fn measure() {
    let ends = Arc::new(AtomicBool::new(false));
    let is_over = ends.clone();
    let Ok(other) = thread::spawn(Priority::Normal, move || {
        while !is_over.load(Relaxed) {
            yield_now();
        }
    }) else {
        return fail("no thread can be made");
    };
    // Each of ours is answered by one of the other's.
    let both = least(|| {
        yield_now();
        true
    });
    report("thread.yield", both.div_ceil(2));
    ends.store(true, Relaxed);
    other.join();

    let me = current();
    let is_over = ends.clone();
    ends.store(false, Relaxed);
    let Ok(other) = thread::spawn(Priority::Normal, move || {
        while !is_over.load(Relaxed) {
            block();
            me.unblock();
        }
    }) else {
        return fail("no thread can be made");
    };
    yield_now();
    let name = other.thread();
    report(
        "thread.pingpong",
        least(|| {
            name.unblock();
            block();
            true
        }),
    );
    ends.store(true, Relaxed);
    name.unblock();
    other.join();

    report(
        "thread.create",
        least(|| {
            thread::spawn(Priority::Normal, || ())
                .map(thread::JoinHandle::join)
                .is_ok()
        }),
    );
}
