//! A client that never takes what it is told: nobody else pays for it, and it leaves nothing behind.

use kiln_object::Error;
use kiln_runtime::{Far, time};

use crate::partner::{Partner as _, PartnerStub, TELLERS, bound, deafen, free_memory, wait_until};
use crate::report;

/// Calls in one measurement, and measurements, of which the least counts.
const CALLS: u64 = 16;
const MEASUREMENTS: usize = 16;

/// What may be missing at the end, in bytes.
const SLACK: u64 = 64 << 10;

/// Tells it `rounds` times a thousand things.
pub fn run(rounds: u64) {
    let teller = PartnerStub::new(bound(TELLERS[0]), Far);
    let mut before = 0;
    let mut free = 0;
    // The first time makes what is made once and kept.
    for life in 0..3 {
        let deaf = bound("hoarder_two");
        let listener = PartnerStub::new(deaf, Far);
        report::expect(listener.listen(0), Ok(()));
        report::expect(teller.subscriptions(), Ok(1));
        // While it takes what it is told, there is always room in the end.
        wait_until(
            || teller.tell_all(1) == Ok((1, 0)),
            "a client that listens has no room",
        );
        if life == 0 {
            before = cost(&teller);
        }
        deafen(deaf, u64::MAX);
        let (mut sent, mut refused) = report::good(teller.tell_all(1000));
        let meanwhile = free_memory();
        for _ in 1..rounds {
            let told = report::good(teller.tell_all(1000));
            sent += told.0;
            refused += told.1;
        }
        report::line(format_args!("{sent} things told, {refused} not"));
        report::expect(sent + refused, 1000 * rounds);
        report::expect(sent <= 64, true);
        let now = cost(&teller);
        report::line(format_args!("a call costs {now} instead of {before}"));
        report::expect(now * 100 <= before * 103, true);
        report::check(
            free_memory() + SLACK / 8 >= meanwhile,
            format_args!("{meanwhile} bytes free became {}", free_memory()),
        );
        report::expect(listener.end(), Err(Error::ServerDied));
        wait_until(
            || teller.subscriptions() == Ok(0),
            "the subscription outlives the subscriber",
        );
        report::expect(teller.tell_all(1), Ok((0, 0)));
        if life == 0 {
            free = free_memory();
        }
    }
    let after = free_memory();
    report::line(format_args!("free before {free}, after {after}"));
    report::expect(after + SLACK >= free, true);
}

/// What the shortest call costs, in counts of the time stamp counter.
fn cost(teller: &PartnerStub<Far>) -> u64 {
    let measure = || {
        let start = time::counter();
        for _ in 0..CALLS {
            report::good(teller.subscriptions());
        }
        (time::counter() - start) / CALLS
    };
    (0..MEASUREMENTS).map(|_| measure()).min().unwrap_or(0)
}
