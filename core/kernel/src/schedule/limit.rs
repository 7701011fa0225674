//! Servers that take too long, for a call or for getting ready: they are ended, and callers told.
//!
//! Nothing is counted on the way of a call. While any process has a limit, the running activation is
//! looked at from time to time; a served call that is seen is marked (see `Activation::watch`), and
//! what the activation has run since counts. So a call has its limit and up to two looks more.
//!
//! Real time counts for who waits: from the first wait in a call, and from the start of a server until it
//! is ready. It is over only for one that then waits, with nothing to go on for: a machine that was stopped,
//! or that others kept busy, ends nobody. Who waits because another server serves his call, or starts,
//! waits as long as that one may. Who serves a call and waits for room in another is not ended either: his
//! own call is answered with `TimedOut`. A page that a pager was asked for counts for whoever waits in the pager
//! itself, or computes there, and not in a call; see [`Asked`](crate::memory::paged_file::Asked).

use core::sync::atomic::{AtomicU64, Ordering};

use super::cpu::Here;
use super::{ending, remote};
use crate::call::activation::Activation;
use crate::interrupt::InterruptFrame;
use crate::process::{Dispatcher, Process, post_mortem};
use crate::time;

/// The status of a process that was ended because it took too long: as if by `SIGXCPU`.
const STATUS: u32 = 128 + 24;

/// Between two looks, in ns, if nobody has a shorter limit.
const LONGEST_PAUSE_NS: u64 = 50_000_000;
const SHORTEST_PAUSE_NS: u64 = 1_000_000;

/// What a pager may take longer than its limit until it is judged, in ns, before whoever waits for its page
/// is judged himself.
const PAGER_FIRST_NS: u64 = 10_000_000_000;

/// Between two looks, in ns; `u64::MAX` while nobody has a limit.
static PAUSE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Looks often enough to see who takes longer than `limit` (ns).
pub fn watch(limit: u64) {
    let pause = (limit / 8).clamp(SHORTEST_PAUSE_NS, LONGEST_PAUSE_NS);
    PAUSE.fetch_min(pause, Ordering::Relaxed);
}

/// When whoever runs then on the running processor is to be looked at next (monotonic ns). That stays so
/// until it is over, so that nobody escapes who waits for a moment again and again.
pub(super) fn next_look(here: Here, now: u64) -> u64 {
    let time = here.look_at().get();
    if now < time && time != u64::MAX {
        return time;
    }
    let next = now.saturating_add(PAUSE.load(Ordering::Relaxed));
    here.look_at().set(next);
    next
}

/// When `dispatcher`, in which `activation` is about to wait at `now`, has waited too long (both monotonic
/// ns); `u64::MAX` for never.
pub(super) fn patience(activation: &Activation, dispatcher: &Dispatcher, now: u64) -> u64 {
    let process = dispatcher.process();
    if activation.depth() == 0 {
        let pages = dispatcher.asked().patience(now, activation.busy_so_far());
        return process.start_deadline().min(pages);
    }
    let limit = process.answer_limit();
    if limit == 0 || remote::has_posted(dispatcher) {
        return u64::MAX;
    }
    let since = activation.watch_wait(now);
    since.map_or(u64::MAX, |since| since.saturating_add(limit))
}

/// When a server that serves a call and finds no room in `target` at `now` has waited long enough for it:
/// after the shorter of the two's limits for an answer. Then it is answered itself, with `TimedOut`.
pub(super) fn patience_for_room(server: &Process, target: &Process, now: u64) -> u64 {
    let limits = [server.answer_limit(), target.answer_limit()];
    let least = limits.into_iter().filter(|limit| *limit != 0).min();
    least.map_or(u64::MAX, |limit| now.saturating_add(limit))
}

/// As [`patience`] for one that is about to wait for a page which is overdue at `due`: its pager is judged
/// first.
pub(super) fn patience_for_page(
    activation: &Activation,
    dispatcher: &Dispatcher,
    now: u64,
    due: u64,
) -> u64 {
    let own = patience(activation, dispatcher, now);
    if due == u64::MAX {
        return own;
    }
    own.max(due.saturating_add(PAGER_FIRST_NS))
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
    let now = time::monotonic_ns();
    if now < activation.give_up() {
        return false;
    }
    if activation.depth() == 0 {
        if !is_overdue_alone(activation, dispatcher, now, true) {
            return false;
        }
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

/// Whether the process of `dispatcher`, whose `activation` is in no call and was counted until `now`, has
/// not got ready in time, or not brought a page; says so.
fn is_overdue_alone(
    activation: &Activation,
    dispatcher: &Dispatcher,
    now: u64,
    waits: bool,
) -> bool {
    let process = dispatcher.process();
    if process.start_deadline() <= now {
        crate::error!(
            "{} did not get ready within {} ms and was ended",
            process.name(),
            process.start_limit() / 1_000_000
        );
        return true;
    }
    let busy = activation.busy_so_far();
    let Some(wanted) = dispatcher.asked().overdue(now, busy, waits) else {
        return false;
    };
    crate::error!(
        "{} did not bring the page at {:#x} of its file {} within {} ms and was ended",
        process.name(),
        wanted.offset,
        wanted.key,
        process.answer_limit() / 1_000_000
    );
    true
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
    if activation.depth() == 0 && is_overdue_alone(activation, running, now, false) {
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
