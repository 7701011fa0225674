//! Two servers that call each other until all call slots of both are taken: everybody is answered in time,
//! and both live on.

use alloc::vec::Vec;

use kiln_object::Error;
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, TryFar};

use crate::partner::{CIRCLE, Partner as _, PartnerStub, bound};
use crate::{report, team};

const MS: u64 = 1_000_000;

/// How long a partner of the circle may take for an answer: the image says so.
const ANSWER_LIMIT: u64 = 200 * MS;

/// How long each call stays in its server before it goes on to the other: so long that all are there.
const STAY: u64 = 30 * MS;

/// More calls than there are slots in both, or places for calls on the other processors.
const THREADS: usize = 80;

/// In how many calls each thread's call ends, one within the other.
const NESTED: u64 = 3;

/// In how many limits everybody is answered: one in a place for calls, one in a queue, and one in each
/// nested call.
const LIMITS: u64 = NESTED + 2;

/// Fills the circle `rounds` times.
pub fn run(rounds: u64) {
    let processors = team::processors() as usize;
    report::expect(thread::use_cpus(processors), Ok(processors));
    let partners = CIRCLE.map(bound);
    for _ in 0..rounds {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let partner = PartnerStub::new(partners[number % 2], Far);
                let calling = move || {
                    let start = monotonic_ns();
                    let answer = partner.around(STAY, NESTED - 1);
                    (answer, monotonic_ns() - start)
                };
                report::good(thread::spawn(Priority::Normal, calling))
            })
            .collect();
        let (mut good, mut outside, mut inside) = (0, 0, 0);
        let mut longest = 0;
        for thread in threads {
            let (answer, took) = thread.join();
            longest = longest.max(took);
            let within = |status: u64| {
                let error = u16::try_from(status).ok().and_then(Error::from_code);
                matches!(error, Some(Error::TimedOut | Error::Busy))
            };
            match answer {
                Ok(0) => good += 1,
                Ok(status) if within(status) => inside += 1,
                Err(Error::TimedOut | Error::Busy) => outside += 1,
                other => report::failed(format_args!("{other:?}")),
            }
        }
        report::line(format_args!(
            "{good} calls answered, {outside} not, {inside} not within others; longest {} ms",
            longest / MS
        ));
        // Some waited for each other, or this tests nothing.
        report::expect(inside > 0, true);
        report::check(
            longest < LIMITS * (ANSWER_LIMIT + STAY),
            format_args!("{} ms", longest / MS),
        );
        for partner in partners {
            // The same lives, and room at once.
            let partner = PartnerStub::new(partner, TryFar);
            report::expect(partner.around(0, 2), Ok(0));
        }
    }
}
