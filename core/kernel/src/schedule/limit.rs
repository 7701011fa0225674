//! Calls that take too long: the caller is told, and the server is ended.
//!
//! Nothing is counted on the way of a call. While any process has a limit, the running activation is
//! looked at from time to time; a served call that is seen is marked (see `Activation::watch`), and
//! what the activation has run since counts. So a call has its limit and up to two looks more.

use core::sync::atomic::{AtomicU64, Ordering};

use super::ending;
use crate::call::activation::Activation;
use crate::interrupt::InterruptFrame;
use crate::process::{Dispatcher, post_mortem};

/// The status of a process that was ended for a call that took too long: as if by `SIGXCPU`.
const STATUS: u32 = 128 + 24;

/// Between two looks, in ns, if nobody has a shorter limit.
const LONGEST_PAUSE_NS: u64 = 50_000_000;
const SHORTEST_PAUSE_NS: u64 = 1_000_000;

/// Between two looks, in ns; `u64::MAX` while nobody has a limit.
static PAUSE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Looks often enough to see calls that take longer than `limit` (ns of processor time).
pub fn watch_calls(limit: u64) {
    let pause = (limit / 8).clamp(SHORTEST_PAUSE_NS, LONGEST_PAUSE_NS);
    PAUSE.fetch_min(pause, Ordering::Relaxed);
}

/// When the running activation is to be looked at next (monotonic ns).
pub(super) fn next_look(now: u64) -> u64 {
    now.saturating_add(PAUSE.load(Ordering::Relaxed))
}

/// Looks at the calls that `activation`, which was just counted, is in. Ends the process that serves
/// one for too long, if that is the running one, stopped at `frame`: then the answer is true.
pub(super) fn look(
    activation: &Activation,
    running: &'static Dispatcher,
    frame: &InterruptFrame,
    now: u64,
) -> bool {
    if PAUSE.load(Ordering::Relaxed) == u64::MAX {
        return false;
    }
    let busy = activation.busy(now);
    for depth in 0..activation.depth() {
        // Who serves the call of this depth is who made the next one.
        let innermost = depth + 1 == activation.depth();
        let server = if innermost {
            Some(running)
        } else {
            activation.caller(depth + 1)
        };
        let Some(process) = server.map(Dispatcher::process) else {
            continue;
        };
        let limit = process.call_limit();
        if limit == 0 {
            continue;
        }
        // An activation that serves a call for another processor has done nothing else.
        let took = if depth == 0 && activation.serves_remotely() {
            Some(busy)
        } else {
            activation.watch(depth, busy)
        };
        if innermost && took.is_some_and(|took| took >= limit) {
            crate::error!(
                "{} served one call for more than {} ms and was ended",
                process.name(),
                limit / 1_000_000
            );
            post_mortem::stopped(frame, 0);
            activation.time_out();
            ending::end(process, STATUS);
            return true;
        }
    }
    false
}
