//! Clients that have ended: their references are nobody's, and the objects behind them go.
//!
//! The kernel counts deaths for all to see and raises a soft interrupt. Who died is found out by asking
//! about each owner of a reference: nothing has to be queued, so no notice is ever lost.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_object::ProcessId;
use kiln_object::dispatcher::soft_interrupt::DEATH;

use super::OBJECTS;
use crate::thread;

/// Whether the kernel was asked to tell.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// The count of deaths that was seen to.
static SEEN: AtomicU64 = AtomicU64::new(0);

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Has `handler` called for each process that has ended and had references to objects of this one,
/// after they were taken back. It runs on the process's first thread.
pub fn on_death(handler: fn(ProcessId)) {
    HANDLER.store(handler as *const () as usize, Ordering::Release);
}

/// Whether that process lives; if the kernel does not say, it does.
pub(super) fn lives(process: ProcessId) -> bool {
    crate::process().lives(process).unwrap_or(true)
}

/// Has the kernel tell this process of deaths.
pub(super) fn watch() {
    if !WATCHING.swap(true, Ordering::Relaxed) {
        // Without it dead clients cost memory, no more.
        let _ = crate::process().watch_deaths();
    }
}

/// What the first thread does when `main` has come back: other threads run, and whatever clients that
/// end leave behind is dropped.
pub(crate) fn forget_the_dead() -> ! {
    loop {
        if thread::park_until(DEATH, news).is_none() {
            thread::run_others_forever();
        }
        sweep();
    }
}

/// Where nobody can wait for news, looks whether there are some. Whoever makes a reference does it
/// first, so of clients that have ended no more is kept than they had when the last was made.
pub(super) fn look() {
    if cfg!(kiln_kernel) && news().is_some() {
        sweep();
    }
}

/// Something if there were deaths that were not seen to.
fn news() -> Option<()> {
    let deaths = deaths();
    (WATCHING.load(Ordering::Relaxed) && deaths != SEEN.load(Ordering::Relaxed)).then_some(())
}

fn deaths() -> u64 {
    crate::kernel_information().deaths.load(Ordering::SeqCst)
}

fn sweep() {
    // Whoever ends from here on counts for the next time.
    SEEN.store(deaths(), Ordering::Relaxed);
    for owner in OBJECTS.table.owners() {
        if lives(owner) {
            continue;
        }
        OBJECTS.forget(owner);
        let handler = HANDLER.load(Ordering::Acquire);
        if handler != 0 {
            // SAFETY: only `on_death` stores there, and what it stores is such a function.
            let handler = unsafe { core::mem::transmute::<usize, fn(ProcessId)>(handler) };
            handler(owner);
        }
    }
}
