//! Threads of one dispatcher, switched in user mode; the kernel does not know them.
//!
//! A thread runs until it yields, blocks or ends. [`block`] and [`ThreadRef::unblock`] may come in
//! either order: an unblock of a thread that is not blocked is kept and makes its next block come
//! back at once. Whoever blocks therefore checks what it waits for in a loop.
//!
//! A call that this process serves is no thread: it runs to its end on the caller's time, may
//! unblock threads, and must never block.

mod condition;
mod mutex;
mod scheduler;
mod semaphore;
mod stack;
mod switch;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8};

use kiln_object::Error;

use crate::SpinMutex;
pub use condition::Condition;
pub use mutex::{Mutex, MutexGuard, RawMutex};
use scheduler::Scheduler;
pub use scheduler::{on_soft_interrupt, run_others_forever};
pub use semaphore::Semaphore;
use stack::Stack;

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

/// Running, or in a queue to run.
const RUNNABLE: u8 = 0;
/// The same, and the next block comes back at once.
const UNBLOCKED: u8 = 1;
/// Waits to be unblocked.
const BLOCKED: u8 = 2;

/// A thread. It holds a count of itself while it lives, so queues need none.
struct Thread {
    state: AtomicU8,
    priority: Priority,
    scheduler: &'static Scheduler,
    /// Set by whoever hands a lock or a permit over, before it unblocks.
    handed: AtomicBool,
    /// Set when the deadline of a block passed.
    expired: AtomicBool,
    /// The next in whichever queue the thread is in; it is in one at most.
    next: AtomicPtr<Thread>,
    /// Where the rest of its context lies while it does not run.
    stack_pointer: UnsafeCell<usize>,
    /// Only the thread itself takes it, once.
    work: UnsafeCell<Option<Box<dyn FnOnce() + Send>>>,
    end: SpinMutex<End>,
    /// `None` for the thread that was there first.
    _stack: Option<Stack>,
}

#[derive(Default)]
struct End {
    reached: bool,
    waiters: Vec<ThreadRef>,
}

// SAFETY: the cells are used by the thread itself and by the scheduler of its dispatcher while the
// thread does not run, which exclude each other; all else is atomic or locked.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

/// Names a thread; outlives it.
#[derive(Clone)]
pub struct ThreadRef(Arc<Thread>);

impl core::fmt::Debug for ThreadRef {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "thread {:p}", Arc::as_ptr(&self.0))
    }
}

impl PartialEq for ThreadRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ThreadRef {}

impl ThreadRef {
    /// Makes the thread run on if it is blocked, or else its next [`block`] come back at once. May
    /// be called from anywhere in the process, calls being served and other CPUs included.
    pub fn unblock(&self) {
        self.0.unblock();
    }

    fn hand_over(&self) {
        self.0.handed.store(true, Release);
        self.0.unblock();
    }

    fn wait_for_hand_over(&self) {
        while !self.0.handed.swap(false, Acquire) {
            block();
        }
    }
}

impl Thread {
    fn unblock(&self) {
        let before = self.state.try_update(AcqRel, Acquire, |state| match state {
            BLOCKED => Some(RUNNABLE),
            RUNNABLE => Some(UNBLOCKED),
            _ => None,
        });
        if before == Ok(BLOCKED) {
            self.scheduler.deliver(self);
        }
    }
}

/// A thread's end, to be waited for. Dropping it lets the thread go on alone.
#[derive(Debug)]
pub struct JoinHandle<T> {
    thread: ThreadRef,
    result: Arc<SpinMutex<Option<T>>>,
}

impl<T> JoinHandle<T> {
    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &ThreadRef {
        &self.thread
    }

    /// Blocks until the thread has ended, and answers its result.
    pub fn join(self) -> T {
        let mut waits = false;
        loop {
            {
                let mut end = self.thread.0.end.lock();
                if end.reached {
                    break;
                }
                if !waits {
                    end.waiters.push(current());
                    waits = true;
                }
            }
            block();
        }
        let result = self.result.lock().take();
        result.expect("a thread that has ended left its result")
    }
}

/// Starts a thread.
///
/// # Errors
/// `Exhausted` and what else mapping a stack answers.
pub fn spawn<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let result = Arc::new(SpinMutex::new(None));
    let place = result.clone();
    let work = Box::new(move || {
        let value = work();
        *place.lock() = Some(value);
    });
    let stack = Stack::take()?;
    let stack_pointer = switch::prepare(&stack, scheduler::start);
    let scheduler = Scheduler::of_this_dispatcher();
    let thread = Arc::new(Thread {
        stack_pointer: UnsafeCell::new(stack_pointer),
        work: UnsafeCell::new(Some(work)),
        _stack: Some(stack),
        ..Thread::new(priority, scheduler)
    });
    // The count that the thread holds of itself, until it ends.
    core::mem::forget(thread.clone());
    scheduler.deliver(&thread);
    Ok(JoinHandle {
        thread: ThreadRef(thread),
        result,
    })
}

impl Thread {
    fn new(priority: Priority, scheduler: &'static Scheduler) -> Self {
        Self {
            state: AtomicU8::new(RUNNABLE),
            priority,
            scheduler,
            handed: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            next: AtomicPtr::new(core::ptr::null_mut()),
            stack_pointer: UnsafeCell::new(0),
            work: UnsafeCell::new(None),
            end: SpinMutex::new(End::default()),
            _stack: None,
        }
    }
}

/// The running thread.
#[must_use]
pub fn current() -> ThreadRef {
    ThreadRef(scheduler::current_arc())
}

/// Lets others of the same or a higher level run first.
pub fn yield_now() {
    Scheduler::of_this_dispatcher().yield_current();
}

/// Waits until the running thread is unblocked.
///
/// # Panics
/// In a call that this process serves, which must not wait.
pub fn block() {
    let scheduler = Scheduler::of_this_dispatcher();
    scheduler.block_current();
}

/// As [`block`], but not beyond the monotonic time `deadline` (ns); answers whether it passed.
///
/// # Panics
/// As [`block`].
pub fn block_until(deadline: u64) -> bool {
    let scheduler = Scheduler::of_this_dispatcher();
    let thread = scheduler::current_arc();
    thread.expired.store(false, Relaxed);
    let alarm = scheduler.set_alarm(deadline, &thread);
    scheduler.block_current();
    scheduler.cancel_alarm(alarm);
    thread.expired.swap(false, Relaxed)
}

/// Blocks until the monotonic time `deadline` (ns), whoever unblocks the thread meanwhile.
pub fn sleep_until(deadline: u64) {
    while crate::time::monotonic_ns() < deadline {
        block_until(deadline);
    }
}
