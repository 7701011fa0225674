//! Starts servers again that have ended, by the policy that the image gives each.
//!
//! A server keeps its place and gets a new incarnation, with fresh memory and none of the references
//! of the old one. The startup blocks of all processes are rewritten before anyone else runs, so that
//! whoever is told that the server died finds the new one by its name.

mod drill;
mod history;
mod policy;
pub mod post_mortem;

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use kiln_object::dispatcher::soft_interrupt::DEATH;
use kiln_object::startup::{KernelInformation, Startup};
use spin::{Mutex, Once};

pub(super) use drill::prepare as prepare_drill;

use super::{Process, initial};
use crate::memory::heap;
use crate::set_once::SetOnce;
use crate::{soft_interrupt, time};
use history::History;
use policy::Policy;

/// A process that the image has started.
struct Service {
    process: &'static Process,
    policy: Policy,
    history: Mutex<History>,
}

static SERVICES: Once<Vec<Service>> = Once::new();

/// Where deaths are counted for all to see.
static INFORMATION: SetOnce<&'static KernelInformation> = SetOnce::new();

/// Counts deaths in `information` from now on.
pub(super) fn publish(information: &'static KernelInformation) {
    INFORMATION.set(information);
}

/// Tells all who want to know that a process has ended, which nobody finds any more.
pub fn tell_of_death() {
    if let Some(information) = INFORMATION.get() {
        information.deaths.fetch_add(1, Ordering::SeqCst);
    }
    let Some((_, processes)) = initial::started() else {
        return;
    };
    for process in processes {
        let first_cpu = process.started_cpus().trailing_zeros();
        if process.watches.load(Ordering::Acquire)
            && !process.has_ended()
            && let Ok(dispatcher) = process.dispatcher(first_cpu)
        {
            soft_interrupt::raise(dispatcher, DEATH);
        }
    }
}

/// All processes of the image; their policies are read when one of them ends first.
fn services() -> &'static [Service] {
    if SERVICES.get().is_none() && heap::ensure_room(false).is_err() {
        return &[];
    }
    SERVICES.call_once(|| {
        let Some((configuration, processes)) = initial::started() else {
            return Vec::new();
        };
        processes
            .map(|process| Service {
                process,
                policy: Policy::read(&configuration, process.name()),
                history: Mutex::new(History::new()),
            })
            .collect()
    })
}

/// Takes notice that `process` has ended and was released: starts it again if its policy wants that, and
/// lets those go on who wait to be told.
pub fn ended(process: &'static Process) {
    let services = services();
    if !admits(process, services) {
        return process.stay_ended();
    }
    if let Err(error) = process.renew() {
        crate::error!("{} could not be started again: {error}", process.name());
        process.release();
        return process.stay_ended();
    }
    // Before anybody is told that it died, so that he finds the new one.
    for other in services {
        if let Some(block) = block(other.process) {
            block.replace_peer(process.id());
        }
    }
    process.await_call();
    // Whoever calls it before it is ready waits. If this fails, it has ended once more.
    if process.call_up().is_ok() {
        crate::warning!("{} was started again", process.name());
    }
}

/// Whether `process`, which has ended, is to be started again.
fn admits(process: &Process, services: &[Service]) -> bool {
    let same = |service: &&Service| core::ptr::eq(service.process, process);
    let Some(service) = services.iter().find(same) else {
        return false;
    };
    let Policy::Always { limit, window_ns } = service.policy else {
        crate::error!("{} is not started again", process.name());
        return false;
    };
    let now = time::monotonic_ns();
    let mut history = service.history.lock();
    if !history.tries_on(process.was_ready(), limit) {
        crate::error!(
            "{} was started {} times in a row without getting ready: it stays ended",
            process.name(),
            limit.saturating_add(1),
        );
        return false;
    }
    let admitted = history.admit(now, limit, window_ns);
    drop(history);
    if !admitted {
        crate::error!(
            "{} was started again {limit} times in {} ms: it stays ended",
            process.name(),
            window_ns / 1_000_000,
        );
    }
    admitted
}

fn block(process: &Process) -> Option<&Startup> {
    let frame = process.startup.get()?;
    // SAFETY: `load::startup` wrote a block there when it made the frame, which is the process's for
    // good. It writes another when the process is started again, which is done here, with no other
    // reference alive. What changes while the process runs is atomic.
    Some(unsafe { &*frame.pointer().cast::<Startup>() })
}
