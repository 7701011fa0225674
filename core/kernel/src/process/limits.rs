//! What a process may take at most: for a call that it serves, for a page, and until it is ready.

use core::sync::atomic::{AtomicU64, Ordering};

use super::Process;
use super::life::Stage;
use crate::{schedule, time};

/// The limits of one process, in ns; zero where there is none.
#[derive(Debug)]
pub(super) struct Limits {
    /// Processor time that one call that it serves may take.
    call: AtomicU64,
    /// Real time that a call that it serves may wait, and within which it brings a page.
    answer: AtomicU64,
    /// Real time within which it is to be ready.
    start: AtomicU64,
    /// When it is to be ready (monotonic ns); `u64::MAX` for whenever it likes.
    start_deadline: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: AtomicU64::new(0),
            answer: AtomicU64::new(0),
            start: AtomicU64::new(0),
            start_deadline: AtomicU64::new(u64::MAX),
        }
    }
}

impl Process {
    /// Processor time that one call that it serves may take, in ns; zero for any.
    #[must_use]
    pub fn call_limit(&self) -> u64 {
        self.limits.call.load(Ordering::Relaxed)
    }

    /// Limits the processor time of one call that it serves, in ns; zero takes the limit back. A call
    /// that takes longer is answered with `TimedOut`, and the process is ended.
    pub fn set_call_limit(&self, limit: u64) {
        self.limits.call.store(limit, Ordering::Relaxed);
        if limit != 0 {
            schedule::watch_time(limit);
        }
    }

    /// Real time that a call that it serves may wait, and within which it brings a page, in ns; zero for
    /// any.
    #[must_use]
    pub fn answer_limit(&self) -> u64 {
        self.limits.answer.load(Ordering::Relaxed)
    }

    /// Limits how long it may wait in one call, in ns of real time from the first wait on, and how long it
    /// may take to bring a page; zero takes the limit back. A call in which it waits longer is answered
    /// with `TimedOut`, and the process is ended; so is one that does not bring a page, which then will not
    /// come.
    pub fn set_answer_limit(&self, limit: u64) {
        self.limits.answer.store(limit, Ordering::Relaxed);
        if limit != 0 {
            schedule::watch_time(limit);
        }
    }

    /// Real time within which it is to be ready, in ns; zero for any.
    #[must_use]
    pub fn start_limit(&self) -> u64 {
        self.limits.start.load(Ordering::Relaxed)
    }

    /// Limits how long it may take until it is ready, in ns of real time; zero takes the limit back. One
    /// that takes longer is ended.
    pub fn set_start_limit(&self, limit: u64) {
        self.limits.start.store(limit, Ordering::Relaxed);
        if limit != 0 {
            schedule::watch_time(limit);
        }
    }

    /// Counts that time from now on.
    pub(super) fn begin_start(&self) {
        let deadline = match self.start_limit() {
            0 => u64::MAX,
            limit => time::monotonic_ns().saturating_add(limit),
        };
        self.limits
            .start_deadline
            .store(deadline, Ordering::Relaxed);
    }

    /// When it is to be ready (monotonic ns); `u64::MAX` if it is, or may be whenever it likes.
    #[must_use]
    pub fn start_deadline(&self) -> u64 {
        if self.is_starting() || self.life.is(Stage::Called) {
            self.limits.start_deadline.load(Ordering::Relaxed)
        } else {
            u64::MAX
        }
    }
}
