//! Servers that take too long, for a call or for getting ready: they are ended, and callers told.
//!
//! Nothing is counted on the way of a call. While any process has a limit, the running activation is
//! looked at from time to time; a served call that is seen is marked (see `Activation::watch`), and
//! what the activation has run since counts. So a call has its limit and up to two looks more.
//!
//! Real time counts for who waits: from the first wait in a call, and from the start of a server until it
//! is ready. It is over only for one that then waits, with nothing to go on for: a machine that was stopped,
//! or that others kept busy, ends nobody. Who waits because another server serves his call, or starts,
//! waits as long as that one may.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{ending, remote};
use crate::call::activation::Activation;
use crate::interrupt::InterruptFrame;
use crate::process::{Dispatcher, post_mortem};
use crate::time;

/// The status of a process that was ended because it took too long: as if by `SIGXCPU`.
const STATUS: u32 = 128 + 24;

/// Between two looks, in ns, if nobody has a shorter limit.
const LONGEST_PAUSE_NS: u64 = 50_000_000;
const SHORTEST_PAUSE_NS: u64 = 1_000_000;

/// Between two looks, in ns; `u64::MAX` while nobody has a limit.
static PAUSE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Looks often enough to see who takes longer than `limit` (ns).
pub fn watch(limit: u64) {
    let pause = (limit / 8).clamp(SHORTEST_PAUSE_NS, LONGEST_PAUSE_NS);
    PAUSE.fetch_min(pause, Ordering::Relaxed);
}

/// When the running activation is to be looked at next (monotonic ns).
pub(super) fn next_look(now: u64) -> u64 {
    now.saturating_add(PAUSE.load(Ordering::Relaxed))
}

/// When `dispatcher`, in which `activation` is about to wait at `now`, has waited too long (both monotonic
/// ns); `u64::MAX` for never.
pub(super) fn patience(activation: &Activation, dispatcher: &Dispatcher, now: u64) -> u64 {
    let process = dispatcher.process();
    if activation.depth() == 0 {
        return process.start_deadline();
    }
    let limit = process.answer_limit();
    if limit == 0 || remote::has_posted(dispatcher) {
        return u64::MAX;
    }
    let since = activation.watch_wait(now);
    since.map_or(u64::MAX, |since| since.saturating_add(limit))
}

/// Ends the process of `dispatcher`, in which `activation` waits at `rip` with the stack `rsp`, if it has
/// waited too long; false if it has not. The dispatcher is the current one.
#[cold]
pub(super) fn end_overdue(
    activation: &Activation,
    dispatcher: &'static Dispatcher,
    rip: u64,
    rsp: u64,
) -> bool {
    let process = dispatcher.process();
    let starts = activation.depth() == 0;
    if time::monotonic_ns() < activation.give_up() || starts && process.start_deadline() == u64::MAX
    {
        return false;
    }
    if starts {
        say_that_it_does_not_get_ready(dispatcher);
    } else {
        crate::error!(
            "{} waited in one call for more than {} ms and was ended",
            process.name(),
            process.answer_limit() / 1_000_000
        );
        activation.excuse_outer(activation.busy_so_far());
        activation.time_out();
    }
    post_mortem::waiting(rip, rsp);
    ending::end(process, STATUS);
    true
}

fn say_that_it_does_not_get_ready(dispatcher: &Dispatcher) {
    let process = dispatcher.process();
    crate::error!(
        "{} did not get ready within {} ms and was ended",
        process.name(),
        process.start_limit() / 1_000_000
    );
}

/// Looks at the calls that `activation`, which was just counted, is in. Ends the process that serves
/// one for too long, or does not get ready, if that is the running one, stopped at `frame`: then the
/// answer is true.
pub(super) fn look(
    activation: &Activation,
    running: &'static Dispatcher,
    frame: &InterruptFrame,
    now: u64,
) -> bool {
    if PAUSE.load(Ordering::Relaxed) == u64::MAX {
        return false;
    }
    if activation.depth() == 0 && running.process().start_deadline() <= now {
        say_that_it_does_not_get_ready(running);
        post_mortem::stopped(frame, 0);
        ending::end(running.process(), STATUS);
        return true;
    }
    let busy = activation.busy(now);
    for depth in 0..activation.depth() {
        let server = activation.server(depth, Some(running));
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
        let is_innermost = depth + 1 == activation.depth();
        if is_innermost && took.is_some_and(|took| took >= limit) {
            crate::error!(
                "{} served one call for more than {} ms and was ended",
                process.name(),
                limit / 1_000_000
            );
            post_mortem::stopped(frame, 0);
            activation.excuse_outer(activation.busy(time::monotonic_ns()));
            activation.time_out();
            ending::end(process, STATUS);
            return true;
        }
    }
    false
}
