//! Threads of a process, switched in user mode; the kernel does not know them.
//!
//! A thread runs until it yields, blocks, ends, has had its slice while others of its level are ready,
//! or one of a higher level is. [`block`] and [`ThreadRef::unblock`] may come in either order: an
//! unblock of a thread that is not blocked is kept and makes its next block come back at once. A block
//! may also come back for nothing, so whoever blocks checks what it waits for in a loop.
//!
//! A call that this process serves is no thread: it runs to its end on the caller's time, may
//! unblock threads, and must never block.

mod alarm;
mod barrier;
mod channel;
mod condition;
mod dispatchers;
mod fault;
mod idle;
mod inbox;
mod list;
mod mutex;
mod object;
mod once;
mod park;
mod preemption;
#[cfg(kiln_freestanding)]
mod quick;
mod ring;
mod rw_lock;
mod scheduler;
mod semaphore;
mod stack;
mod start;
#[cfg(kiln_freestanding)]
mod stop;
mod store;
mod switch;
mod timers;

#[cfg(test)]
mod tests;

use core::sync::atomic::Ordering::Relaxed;

use kiln_object::primitives;

pub use alarm::{Alarm, call_at, cancel};
pub use barrier::Barrier;
pub use channel::{Channel, Closed, TrySend};
pub use condition::Condition;
pub use dispatchers::{cpu, dispatchers, use_cpus};
pub use mutex::{Mutex, MutexGuard, RawMutex};
use object::Thread;
pub use once::Once;
pub(crate) use preemption::look_at_pending;
#[cfg(not(kiln_kernel))]
pub(crate) use preemption::park_and_try;
pub use preemption::{on_soft_interrupt, park_until};
pub use rw_lock::{RawRwLock, RwLock};
use scheduler::{Action, Scheduler};
pub use semaphore::Semaphore;
pub use start::{Failed, JoinHandle, spawn, spawn_isolated};
#[cfg(kiln_freestanding)]
pub(crate) use stop::stop;

#[cfg_attr(any(not(kiln_freestanding), kiln_kernel), allow(unused_imports))]
pub(crate) use fault::{end_alone, ends_alone, fail_alone, who_ends_alone};

use kiln_object::layout::{CALL_SLOT_BASE, CALL_SLOT_END, MAIN_STACK_TOP};

use crate::dispatcher::{CURRENT_THREAD, disable, enable, load_word};

/// Which threads run first: no thread of a lower level runs while one of a higher is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Work that others wait for, such as answering an event.
    High = 0,
    /// What has no reason for another level.
    Normal = 1,
    /// Work for which any time will do.
    Low = 2,
}

/// How many levels there are.
const PRIORITIES: usize = 3;

/// Names a thread; outlives it, and may then name another.
#[derive(Clone, Copy)]
pub struct ThreadRef(&'static Thread);

impl core::fmt::Debug for ThreadRef {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "thread {:p}", self.0)
    }
}

impl PartialEq for ThreadRef {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.0, other.0)
    }
}

impl Eq for ThreadRef {}

impl ThreadRef {
    /// Makes the thread run on if it is blocked, or else its next [`block`] come back at once. May
    /// be called from anywhere in the process, calls being served and other CPUs included.
    #[inline]
    pub fn unblock(&self) {
        unblock(self.0);
    }
}

#[inline]
fn unblock(thread: &'static Thread) {
    if thread.park.unpark() {
        deliver(thread);
    } else {
        unblock_waiting(thread);
    }
}

/// The token was given to a thread that runs, or whose dispatcher waits in its name.
#[cold]
#[inline(never)]
fn unblock_waiting(thread: &'static Thread) {
    // SAFETY: schedulers live for ever.
    if let Some(home) = unsafe { thread.home.load(Relaxed).as_ref() }
        && dispatchers::is_idle(home.cpu)
    {
        dispatchers::notify(home);
    }
}

/// Puts a thread that is ready, and nowhere, where a dispatcher finds it.
#[inline(always)]
fn deliver(thread: &'static Thread) {
    disable();
    match Scheduler::quick() {
        Some(here) if !may_be_served_call() => {
            come_to(here, thread);
            if !here.make_ready_quickly(thread) {
                deliver_slowly(thread);
            }
        }
        _ => deliver_slowly(thread),
    }
    enable();
}

#[inline(always)]
fn come_to(here: &'static Scheduler, thread: &Thread) {
    thread
        .home
        .store(core::ptr::from_ref(here).cast_mut(), Relaxed);
}

#[cold]
#[inline(never)]
fn deliver_slowly(thread: &'static Thread) {
    match Scheduler::existing() {
        Some(here) if !is_served_call() => {
            come_to(here, thread);
            here.make_ready(thread);
        }
        _ => leave_for(thread),
    }
}

#[cold]
#[inline(never)]
fn leave_for(thread: &'static Thread) {
    // SAFETY: schedulers live for ever.
    let home = unsafe { thread.home.load(Relaxed).as_ref() };
    if let Some(home) = home.or_else(dispatchers::first) {
        home.inbox.push(thread);
        dispatchers::notify(home);
    }
}

/// The running thread.
///
/// # Panics
/// In a call that this process serves, which is none.
#[must_use]
pub fn current() -> ThreadRef {
    assert!(!is_served_call(), "a served call is no thread");
    ThreadRef(current_thread())
}

#[inline(always)]
fn current_thread() -> &'static Thread {
    let address = load_word::<CURRENT_THREAD>();
    if address == 0 {
        return first_thread();
    }
    // SAFETY: only addresses of threads, which live for ever, are stored there.
    unsafe { &*core::ptr::with_exposed_provenance(address) }
}

#[cold]
#[inline(never)]
fn first_thread() -> &'static Thread {
    scheduler::make_first();
    current_thread()
}

/// The running thread, unless there is none yet or this runs on a stack of something else.
fn running() -> Option<&'static Thread> {
    let address = load_word::<CURRENT_THREAD>();
    // SAFETY: as in `current_thread`.
    let thread = unsafe { core::ptr::with_exposed_provenance::<Thread>(address).as_ref() }?;
    thread.is_on_stack(stack_pointer()).then_some(thread)
}

/// Lets others of the same or a higher level run first.
///
/// # Panics
/// In a call that this process serves, which must not wait.
#[inline(always)]
pub fn yield_now() {
    #[cfg(kiln_freestanding)]
    quick::yield_now();
    #[cfg(not(kiln_freestanding))]
    {
        disable();
        yield_slowly();
    }
}

/// Waits until the running thread is unblocked.
///
/// # Panics
/// In a call that this process serves, which must not wait.
#[inline(always)]
pub fn block() {
    #[cfg(kiln_freestanding)]
    quick::block();
    #[cfg(not(kiln_freestanding))]
    {
        disable();
        block_slowly();
    }
}

/// [`yield_now`] in all cases; ends a section without soft interrupts.
extern "sysv64" fn yield_slowly() {
    assert!(!is_served_call(), "a served call must not wait");
    let current = current_thread();
    let level = current.priority.load(Relaxed);
    Scheduler::here().give_way(current, usize::from(level), Action::Yield);
}

/// [`block`] in all cases; ends a section without soft interrupts.
extern "sysv64" fn block_slowly() {
    assert!(!is_served_call(), "a served call must not wait");
    let current = current_thread();
    if current.park.take_token() {
        enable();
    } else {
        Scheduler::here().leave(current, Action::Park);
    }
}

/// As [`block`], but not beyond the monotonic time `deadline` (ns); answers whether it passed.
///
/// # Panics
/// As [`block`]; without memory for the alarm.
pub fn block_until(deadline: u64) -> bool {
    if deadline == u64::MAX {
        block();
        return false;
    }
    let thread = current_thread();
    thread.expired.store(false, Relaxed);
    let alarm = alarm::wake_at(deadline, thread).expect("no memory for an alarm");
    block();
    cancel(alarm);
    thread.expired.swap(false, Relaxed)
}

/// Blocks until the monotonic time `deadline` (ns), whoever unblocks the thread meanwhile.
pub fn sleep_until(deadline: u64) {
    while crate::time::monotonic_ns() < deadline {
        block_until(deadline);
    }
}

/// Runs the other threads, and serves calls, for as long as the process lives.
pub fn run_others_forever() -> ! {
    loop {
        block();
    }
}

/// Whether this runs on the stack of a served call.
fn is_served_call() -> bool {
    let slots = CALL_SLOT_BASE..CALL_SLOT_END;
    cfg!(kiln_freestanding) && slots.contains(&(stack_pointer() as u64))
}

/// A bit that is set in the addresses of all call slots, and in those of no stack that a thread is given.
const SERVED_BIT: u32 = 36;

const _: () = {
    assert!(CALL_SLOT_BASE >> SERVED_BIT & 1 == 1);
    assert!(CALL_SLOT_BASE >> SERVED_BIT == (CALL_SLOT_END - 1) >> SERVED_BIT);
    assert!((MAIN_STACK_TOP - 1) >> SERVED_BIT & 1 == 0);
};

/// Whether [`is_served_call`] has to be asked.
#[inline(always)]
pub(crate) fn may_be_served_call() -> bool {
    cfg!(kiln_freestanding) && stack_pointer() as u64 & 1 << SERVED_BIT != 0
}

#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}
