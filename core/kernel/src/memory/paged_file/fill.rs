//! A page that is being brought, and who waits for it.
//!
//! Who waits is told once, when the page has come or will not; then it touches the page again and
//! finds out which. A waiter that has ended meanwhile is not told: nothing is kept for it.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use kiln_object::ProcessId;
use kiln_object::dispatcher::soft_interrupt::FAULT_DONE;
use spin::Mutex;

use crate::process::Dispatcher;
use crate::{schedule, soft_interrupt};

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
}

impl Fill {
    pub(super) const fn new() -> Self {
        Self {
            asked: AtomicBool::new(false),
            done: AtomicBool::new(false),
            cpus: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            parked: Mutex::new(Some(Vec::new())),
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
