//! A client that never takes what it is told: nobody else pays for it, and it leaves nothing behind.

use kiln_object::Error;
use kiln_runtime::{Far, time};

use crate::partner::{
    KEPT_FREE, Partner as _, PartnerStub, TELLERS, bound, deafen, free_memory, wait_until,
};
use crate::report;

/// Calls in one measurement, and measurements, of which the least counts.
const CALLS: u64 = 16;
const MEASUREMENTS: usize = 16;

/// Lives of the client; the first makes what is made once and kept.
const LIVES: u64 = 12;

/// Tells it `rounds` times a thousand things.
pub fn run(rounds: u64) {
    let teller = PartnerStub::new(bound(TELLERS[0]), Far);
    let mut before = 0;
    let mut free = 0;
    // Less than a process of each life.
    let slack = if crate::team::processors() == 1 {
        KEPT_FREE / 4
    } else {
        KEPT_FREE
    };
    for life in 0..LIVES {
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
        report::expect(sent + refused, 1000 * rounds);
        report::expect(sent <= 64, true);
        let now = cost(&teller);
        report::check(
            now * 100 <= before * 103,
            format_args!("a call costs {now} instead of {before}"),
        );
        report::check(
            free_memory() + slack >= meanwhile,
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
    report::expect(after + slack >= free, true);
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
