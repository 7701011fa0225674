//! Alarms and sleepers.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::SeqCst;

use kiln_runtime::SpinMutex;
use kiln_runtime::thread::{self, Priority, call_at, cancel, sleep_until};
use kiln_runtime::time::monotonic_ns;

use crate::report::{check, failed};
use crate::scheduling::start;

static RUNG: SpinMutex<Vec<usize>> = SpinMutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn rung(number: usize) {
    // Room was reserved: nothing is allocated here.
    RUNG.lock().push(number);
    COUNT.fetch_add(1, SeqCst);
}

/// Many alarms, set in no order, a third of them cancelled, while the thread computes.
pub fn order() {
    // On a busy host the first may ring before the last is set: then more time is left before.
    let mut lead = 20_000_000;
    while !order_after(lead) {
        lead *= 4;
        check(
            lead < 10_000_000_000,
            format_args!("setting takes too long"),
        );
    }
}

/// The same, with the first alarm in `lead` ns; false if it took longer to set and cancel them all.
fn order_after(lead: u64) -> bool {
    const ALARMS: usize = 600;
    RUNG.lock().clear();
    RUNG.lock().reserve(ALARMS);
    COUNT.store(0, SeqCst);
    let first = monotonic_ns() + lead;
    let mut alarms = Vec::new();
    for index in 0..ALARMS {
        let number = index * 7 % ALARMS;
        match call_at(first + 10_000 * number as u64, rung, number) {
            Ok(alarm) => alarms.push((number, alarm)),
            Err(error) => failed(format_args!("no alarm: {error}")),
        }
    }
    let mut expected: Vec<usize> = (0..ALARMS).collect();
    for (number, alarm) in alarms {
        if number % 3 == 1 && cancel(alarm) {
            expected.retain(|other| *other != number);
        }
    }
    let in_time = monotonic_ns() < first;
    let limit = monotonic_ns() + lead + 20_000_000_000;
    while COUNT.load(SeqCst) < expected.len() && monotonic_ns() < limit {
        core::hint::spin_loop();
    }
    let mut rung = core::mem::take(&mut *RUNG.lock());
    if !in_time {
        // The order says nothing, but each must have rung once.
        rung.sort_unstable();
    }
    check(
        rung == expected,
        format_args!("{} of {} rang, or not in order", rung.len(), expected.len()),
    );
    in_time
}

/// Threads that sleep for different times wake in that order, none too early.
pub fn sleepers() {
    let order = Arc::new(SpinMutex::new(Vec::new()));
    let now = monotonic_ns();
    let threads: Vec<_> = [4u64, 1, 3, 2, 5]
        .into_iter()
        .map(|number| {
            let order = order.clone();
            start(Priority::High, move || {
                let deadline = now + 30_000_000 * number;
                sleep_until(deadline);
                order.lock().push(number);
                monotonic_ns() >= deadline
            })
        })
        .collect();
    for thread in threads {
        check(thread.join(), format_args!("woken too early"));
    }
    if thread::dispatchers() == 1 {
        let order = order.lock();
        check(*order == [1, 2, 3, 4, 5], format_args!("order {order:?}"));
    }
}
