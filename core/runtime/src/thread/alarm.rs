//! A dispatcher's alarms and time slices, all over its one timer in the kernel.
//!
//! The kernel's timer is only ever set to an earlier time: what is cancelled leaves it as it is, and
//! it tells once for nothing.

use core::cell::Cell;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use kiln_object::Error;

use super::scheduler::{Scheduler, reason};
use super::timers::{Key, Timers};
use super::{Thread, unblock};
use crate::SpinMutex;
use crate::dispatcher::{disable, enable};
use crate::time::monotonic_ns;

/// How long a thread runs while others of its level are ready, in ns.
pub const SLICE_NS: u64 = 10_000_000;

#[derive(Clone, Copy)]
enum Action {
    Wake(&'static Thread),
    Call(fn(usize), usize),
}

/// See the module.
pub struct Alarms {
    timers: SpinMutex<Timers<Action>>,
    /// The earliest of them.
    earliest: AtomicU64,
    /// What the kernel's timer is set to.
    set_to: Cell<u64>,
    /// When the running thread has had its slice.
    slice_end: Cell<u64>,
    slice_is_over: Cell<bool>,
}

/// Names an alarm: the dispatcher that rings it, and which of its alarms.
#[derive(Clone, Copy)]
pub struct Alarm {
    scheduler: &'static Scheduler,
    key: Key,
}

impl core::fmt::Debug for Alarm {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            formatter,
            "alarm {:?} of CPU {}",
            self.key, self.scheduler.cpu
        )
    }
}

impl Alarms {
    pub const fn new() -> Self {
        Self {
            timers: SpinMutex::new(Timers::new()),
            earliest: AtomicU64::new(u64::MAX),
            set_to: Cell::new(u64::MAX),
            slice_end: Cell::new(u64::MAX),
            slice_is_over: Cell::new(false),
        }
    }

    /// Does what is due, and answers when the next alarm is.
    pub fn ring(&self) -> u64 {
        loop {
            if self.earliest.load(Relaxed) == u64::MAX {
                return u64::MAX;
            }
            let now = monotonic_ns();
            let due = {
                let mut timers = self.timers.lock();
                let due = timers.pop_due(now);
                self.earliest.store(timers.earliest(), Relaxed);
                if let Some(Action::Wake(thread)) = due {
                    // Under the lock, so that it does not come after a cancellation that is too late.
                    thread.expired.store(true, Relaxed);
                }
                due
            };
            match due {
                Some(Action::Wake(thread)) => unblock(thread),
                Some(Action::Call(call, word)) => call(word),
                None => return self.earliest.load(Relaxed),
            }
        }
    }

    /// The kernel's timer has expired.
    pub fn expired(&self) {
        self.set_to.set(u64::MAX);
        self.ring();
        if self.slice_end.get() != u64::MAX && self.slice_end.get() <= monotonic_ns() {
            self.slice_end.set(u64::MAX);
            self.slice_is_over.set(true);
        }
        self.set_kernel_timer();
    }

    /// Whether a slice ended since the last time; then none is measured.
    pub fn take_slice_end(&self) -> bool {
        self.slice_is_over.replace(false)
    }

    /// Measures a slice from now on.
    pub fn begin_slice(&self) {
        self.slice_end.set(monotonic_ns().saturating_add(SLICE_NS));
        self.set_kernel_timer();
    }

    /// Sets the kernel's timer, if it would come too late.
    pub fn set_kernel_timer(&self) {
        let wanted = self.earliest.load(Relaxed).min(self.slice_end.get());
        if wanted < self.set_to.get() && super::preemption::is_allowed() {
            self.set_to.set(wanted);
            set_timer(wanted);
        }
    }
}

#[cfg(kiln_freestanding)]
fn set_timer(deadline: u64) {
    use kiln_interface::kernel::Process as _;
    // Without memory for it in the kernel, what is due waits for the next time that nobody runs.
    let _ = crate::process().set_timer(deadline);
}

/// The host has no timer: what is due waits for the next switch.
#[cfg(not(kiln_freestanding))]
fn set_timer(_deadline: u64) {}

fn set(deadline: u64, action: Action) -> Result<Alarm, Error> {
    disable();
    let scheduler = Scheduler::here();
    let set = {
        let mut timers = scheduler.alarms.timers.lock();
        let set = timers.set(deadline, action);
        scheduler.alarms.earliest.store(timers.earliest(), Relaxed);
        set
    };
    // If the thread blocks at once and no other is ready, the kernel need not be told.
    scheduler.add_reason(reason::TIMER);
    enable();
    match set {
        Ok(key) => Ok(Alarm { scheduler, key }),
        Err(_) => Err(Error::Exhausted),
    }
}

/// Unblocks `thread` at the monotonic time `deadline` (ns), and says so in it.
pub(super) fn wake_at(deadline: u64, thread: &'static Thread) -> Result<Alarm, Error> {
    set(deadline, Action::Wake(thread))
}

/// Calls `call` with `word` at the monotonic time `deadline` (ns), on this dispatcher, in between
/// what its threads do: it must be short, must not block, and may unblock.
///
/// # Errors
/// `Exhausted` without memory.
pub fn call_at(deadline: u64, call: fn(usize), word: usize) -> Result<Alarm, Error> {
    super::preemption::allow();
    let alarm = set(deadline, Action::Call(call, word))?;
    disable();
    alarm.scheduler.alarms.set_kernel_timer();
    enable();
    Ok(alarm)
}

/// Takes an alarm back, without a call of the kernel; false if it rang already.
pub fn cancel(alarm: Alarm) -> bool {
    let alarms = &alarm.scheduler.alarms;
    let mut timers = alarms.timers.lock();
    let was_set = timers.cancel(alarm.key).is_some();
    alarms.earliest.store(timers.earliest(), Relaxed);
    was_set
}
