//! A page that is being brought, and who waits for it.
//!
//! Who waits is told once, when the page has come or will not; then it touches the page again and
//! finds out which. A waiter that has ended meanwhile is not told: nothing is kept for it.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use kiln_object::ProcessId;
use kiln_object::dispatcher::soft_interrupt::FAULT_DONE;
use spin::{Mutex, Once};

use super::asked::{Place, Wanted};
use crate::process::Dispatcher;
use crate::{schedule, soft_interrupt, time};

/// A thread that its dispatcher has parked.
struct Parked {
    dispatcher: &'static Dispatcher,
    process: ProcessId,
    /// The number of its wait, for its dispatcher.
    number: u32,
}

/// See the module.
pub struct Fill {
    /// The pager was told.
    asked: AtomicBool,
    done: AtomicBool,
    /// CPUs on which an activation waits, as bits.
    cpus: AtomicU64,
    waiters: AtomicU32,
    /// `None` once it is done.
    parked: Mutex<Option<Vec<Parked>>>,
    /// Where it is noted that the pager was asked, if that has a limit.
    noted: Once<(&'static Dispatcher, Place)>,
}

impl Fill {
    pub(super) const fn new() -> Self {
        Self {
            asked: AtomicBool::new(false),
            done: AtomicBool::new(false),
            cpus: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            parked: Mutex::new(Some(Vec::new())),
            noted: Once::new(),
        }
    }

    /// Whether nobody has to wait any more.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// Asks the pager by `send`, unless it was asked; false if it could not be.
    pub(super) fn ask(&self, send: impl FnOnce() -> bool) -> bool {
        if self.asked.swap(true, Ordering::AcqRel) || send() {
            return true;
        }
        self.asked.store(false, Ordering::Release);
        false
    }

    /// Has the pager, which is asked in `dispatcher`, judged by whether `wanted` comes in time. The caller
    /// has made sure of room to note that.
    pub(super) fn limit(&self, dispatcher: &'static Dispatcher, wanted: Wanted) {
        let limit = dispatcher.process().answer_limit();
        if limit == 0 || self.noted.is_completed() {
            return;
        }
        self.noted.call_once(|| {
            let due = time::monotonic_ns().saturating_add(limit);
            let place = (due, core::ptr::from_ref(self).addr());
            dispatcher.asked().note(place, wanted);
            (dispatcher, place)
        });
        // Whoever was faster to finish it may not have found it noted.
        if self.is_done() {
            self.settle();
        }
    }

    /// It is nothing to judge the pager by any more.
    fn settle(&self) {
        if let Some((dispatcher, place)) = self.noted.get() {
            dispatcher.asked().forget(*place);
        }
    }

    /// When the pager has taken too long to bring it (monotonic ns); `u64::MAX` for never.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.noted.get().map_or(u64::MAX, |(_, place)| place.0)
    }

    /// Has `cpu` look again when it is done: an activation there may wait.
    pub fn await_on(&self, cpu: u32) {
        self.cpus.fetch_or(1 << cpu, Ordering::SeqCst);
    }

    /// Notes that it does wait.
    pub fn count_waiter(&self) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
    }

    /// Has `dispatcher` told that its wait of that number is over. False if it is already, or there is no
    /// memory to note it.
    pub fn park(&self, dispatcher: &'static Dispatcher, number: u32) -> bool {
        let mut parked = self.parked.lock();
        let Some(list) = parked.as_mut().filter(|list| list.len() < MOST_PARKED) else {
            return false;
        };
        if list.try_reserve(1).is_err() {
            return false;
        }
        list.push(Parked {
            dispatcher,
            process: dispatcher.process_id(),
            number,
        });
        self.waiters.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> u32 {
        self.waiters.load(Ordering::Relaxed)
    }

    /// Tells all who wait. The file's lock is not held.
    pub(super) fn finish(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.settle();
        schedule::wake_stopped(self.cpus.load(Ordering::SeqCst));
        for waiter in self.parked.lock().take().into_iter().flatten() {
            if waiter.dispatcher.process().lives_as(waiter.process) {
                waiter.dispatcher.end_wait(waiter.number);
                soft_interrupt::raise(waiter.dispatcher, FAULT_DONE);
            }
        }
    }
}

/// Threads that are noted for one page; who comes later waits with its whole dispatcher.
const MOST_PARKED: usize = 256;
