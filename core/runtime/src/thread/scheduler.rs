//! Which thread of a dispatcher runs next.
//!
//! The queues belong to the dispatcher that runs the threads and are touched by its threads only,
//! which never run at the same time: no lock. Whoever makes a thread ready, from wherever, pushes it
//! to the inbox, a stack of atomic links, which the dispatcher empties when it looks for work.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use super::switch::switch;
use super::{BLOCKED, PRIORITIES, Priority, RUNNABLE, Thread, UNBLOCKED};
use crate::dispatcher::{CURRENT_THREAD, word};

static SOFT_INTERRUPT: AtomicUsize = AtomicUsize::new(0);

/// Makes `handler` see the soft interrupts (`kiln_object::dispatcher::soft_interrupt`) that arrive
/// while no thread can run; it unblocks whoever waits for them.
pub fn on_soft_interrupt(handler: fn(u64)) {
    SOFT_INTERRUPT.store(handler as *const () as usize, Release);
}

/// Runs the other threads, and serves calls, for as long as the process lives.
pub fn run_others_forever() -> ! {
    loop {
        super::block();
    }
}

/// A first-in, first-out queue linked through the threads.
struct Queue {
    first: *const Thread,
    last: *const Thread,
}

/// An alarm that was set: when, and which of those for the same time.
pub type Alarm = (u64, u64);

pub struct Scheduler {
    inbox: AtomicPtr<Thread>,
    own: UnsafeCell<Own>,
}

/// What only the dispatcher's threads touch.
struct Own {
    ready: [Queue; PRIORITIES],
    alarms: BTreeMap<Alarm, Arc<Thread>>,
    alarms_set: u64,
    /// The thread that ended last: its stack was in use until the switch was done.
    ended: Option<Arc<Thread>>,
}

// SAFETY: `own` is touched by threads of one dispatcher only, of which one runs at a time and none
// is interrupted by another.
unsafe impl Sync for Scheduler {}
// SAFETY: as above; the links are only followed by that dispatcher.
unsafe impl Send for Scheduler {}

impl Queue {
    const fn new() -> Self {
        Self {
            first: core::ptr::null(),
            last: core::ptr::null(),
        }
    }

    fn push(&mut self, thread: &Thread) {
        thread.next.store(null_mut(), Relaxed);
        // SAFETY: a thread in a queue lives, as it holds a count of itself until it ends.
        match unsafe { self.last.as_ref() } {
            Some(last) => last
                .next
                .store(core::ptr::from_ref(thread).cast_mut(), Relaxed),
            None => self.first = thread,
        }
        self.last = thread;
    }

    fn pop(&mut self) -> Option<&'static Thread> {
        // SAFETY: as in `push`; the answer is used only until the thread ends.
        let first = unsafe { self.first.as_ref() }?;
        self.first = first.next.load(Relaxed);
        if self.first.is_null() {
            self.last = core::ptr::null();
        }
        Some(first)
    }
}

impl Scheduler {
    /// The scheduler of the dispatcher that runs this code; its first use makes it, and makes the
    /// code that runs the first of its threads.
    pub fn of_this_dispatcher() -> &'static Scheduler {
        current_thread().scheduler
    }

    /// Puts a runnable thread where its dispatcher will find it.
    pub fn deliver(&self, thread: &Thread) {
        let thread_pointer = core::ptr::from_ref(thread).cast_mut();
        let mut first = self.inbox.load(Relaxed);
        loop {
            thread.next.store(first, Relaxed);
            match self
                .inbox
                .compare_exchange_weak(first, thread_pointer, Release, Relaxed)
            {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    pub fn yield_current(&self) {
        let current = current_thread();
        self.empty_inbox();
        // SAFETY: this is the dispatcher's running thread; see `own`.
        unsafe { self.own() }.ready[current.priority as usize].push(current);
        self.run_next(current);
    }

    pub fn block_current(&self) {
        assert!(!on_call_slot(), "a served call must not wait");
        let current = current_thread();
        match current
            .state
            .compare_exchange(RUNNABLE, BLOCKED, AcqRel, Acquire)
        {
            Ok(_) => self.run_next(current),
            Err(state) => {
                debug_assert_eq!(state, UNBLOCKED);
                current.state.store(RUNNABLE, Release);
            }
        }
    }

    pub fn set_alarm(&self, deadline: u64, thread: &Arc<Thread>) -> Alarm {
        // SAFETY: this is the dispatcher's running thread; see `own`.
        let own = unsafe { self.own() };
        own.alarms_set += 1;
        let alarm = (deadline, own.alarms_set);
        own.alarms.insert(alarm, thread.clone());
        alarm
    }

    pub fn cancel_alarm(&self, alarm: Alarm) {
        // SAFETY: this is the dispatcher's running thread; see `own`.
        unsafe { self.own() }.alarms.remove(&alarm);
    }

    /// What only the running thread of the dispatcher may touch.
    ///
    /// # Safety
    /// The caller must be that thread, and keep the reference neither over a switch nor while
    /// another one is in use.
    #[allow(clippy::mut_from_ref, reason = "exclusive by the contract")]
    unsafe fn own(&self) -> &mut Own {
        // SAFETY: by the contract nobody else has a reference.
        unsafe { &mut *self.own.get() }
    }

    fn empty_inbox(&self) {
        let mut thread = self.inbox.swap(null_mut(), Acquire);
        // The inbox is last in, first out: turn it round.
        let mut turned: *mut Thread = null_mut();
        // SAFETY: threads in the inbox live, as those in a queue.
        while let Some(entry) = unsafe { thread.as_ref() } {
            let next = entry.next.load(Relaxed);
            entry.next.store(turned, Relaxed);
            turned = thread;
            thread = next;
        }
        // SAFETY: as above.
        while let Some(entry) = unsafe { turned.as_ref() } {
            turned = entry.next.load(Relaxed);
            // SAFETY: this is the dispatcher's running thread; see `own`.
            unsafe { self.own() }.ready[entry.priority as usize].push(entry);
        }
    }

    /// Unblocks those whose alarm is due; answers when the next one is.
    fn ring_alarms(&self) -> u64 {
        loop {
            // SAFETY: this is the dispatcher's running thread; see `own`.
            let own = unsafe { self.own() };
            let Some(first) = own.alarms.first_entry() else {
                return u64::MAX;
            };
            let deadline = first.key().0;
            if crate::time::monotonic_ns() < deadline {
                return deadline;
            }
            let thread = first.remove();
            thread.expired.store(true, Relaxed);
            thread.unblock();
        }
    }

    /// Runs the next ready thread; comes back when `current` is that, now or later.
    fn run_next(&self, current: &Thread) {
        let next = loop {
            let deadline = self.ring_alarms();
            self.empty_inbox();
            // SAFETY: this is the dispatcher's running thread; see `own`.
            let ready = unsafe { &mut self.own().ready };
            if let Some(next) = ready.iter_mut().find_map(Queue::pop) {
                break next;
            }
            idle(deadline);
        };
        if !core::ptr::eq(next, current) {
            word(CURRENT_THREAD).store(core::ptr::from_ref(next).addr() as u64, Relaxed);
            // SAFETY: `next` was ready, so its context lies on its stack, saved or prepared; it was
            // taken from the queue, so it is not used twice.
            unsafe { switch(current.stack_pointer.get(), *next.stack_pointer.get()) };
        }
        self.bury_ended();
    }

    fn bury_ended(&self) {
        // SAFETY: this is the dispatcher's running thread; see `own`.
        let ended = unsafe { self.own() }.ended.take();
        // Gives its stack back, if nobody still names the thread.
        drop(ended);
    }
}

/// Where a new thread begins.
pub extern "sysv64" fn start() -> ! {
    let thread = current_thread();
    thread.scheduler.bury_ended();
    // SAFETY: only the thread itself takes its work, here.
    if let Some(work) = unsafe { (*thread.work.get()).take() } {
        work();
    }
    // SAFETY: this is the count that `spawn` left for the thread.
    let this = unsafe { Arc::from_raw(core::ptr::from_ref(thread)) };
    let waiters = {
        let mut end = this.end.lock();
        end.reached = true;
        core::mem::take(&mut end.waiters)
    };
    for waiter in waiters {
        waiter.unblock();
    }
    let scheduler = thread.scheduler;
    // SAFETY: this is the dispatcher's running thread; see `own`.
    unsafe { scheduler.own() }.ended = Some(this);
    scheduler.run_next(thread);
    unreachable!("a thread that has ended is in no queue");
}

/// The running thread, as a count of its own.
pub fn current_arc() -> Arc<Thread> {
    let thread = core::ptr::from_ref(current_thread());
    // SAFETY: threads are made in an `Arc`, and the running one holds a count of itself.
    unsafe {
        Arc::increment_strong_count(thread);
        Arc::from_raw(thread)
    }
}

fn current_thread() -> &'static Thread {
    let address = word(CURRENT_THREAD).load(Relaxed) as usize;
    if address == 0 {
        return first_thread();
    }
    // SAFETY: only pointers to running threads, which live, are stored there; the answer is used
    // only while the thread runs.
    unsafe { &*core::ptr::with_exposed_provenance(address) }
}

#[cold]
fn first_thread() -> &'static Thread {
    let scheduler: &'static Scheduler = Box::leak(Box::new(Scheduler {
        inbox: AtomicPtr::new(null_mut()),
        own: UnsafeCell::new(Own {
            ready: [const { Queue::new() }; PRIORITIES],
            alarms: BTreeMap::new(),
            alarms_set: 0,
            ended: None,
        }),
    }));
    let thread = Arc::into_raw(Arc::new(Thread::new(Priority::Normal, scheduler)));
    word(CURRENT_THREAD).store(thread.expose_provenance() as u64, Relaxed);
    // SAFETY: it was just made, and its count is never given back.
    unsafe { &*thread }
}

#[cfg(kiln_freestanding)]
fn idle(deadline: u64) {
    use kiln_interface::kernel::Process as _;
    if let Ok(pending) = crate::process().wait(deadline) {
        tell(pending);
    }
}

#[cfg(not(kiln_freestanding))]
fn idle(_deadline: u64) {
    // Another thread of the host may put something in the inbox.
    std::thread::yield_now();
    tell(0);
}

fn tell(pending: u64) {
    let handler = SOFT_INTERRUPT.load(Acquire);
    if pending != 0 && handler != 0 {
        // SAFETY: only `on_soft_interrupt` stores there, and what it stores is such a function.
        let handler: fn(u64) = unsafe { core::mem::transmute::<usize, fn(u64)>(handler) };
        handler(pending);
    }
}

/// Whether this runs on the stack of a served call.
fn on_call_slot() -> bool {
    use kiln_object::layout::{CALL_SLOT_BASE, DISPATCHER_BASE};
    let marker = 0u8;
    let address = core::ptr::from_ref(&marker).addr() as u64;
    (CALL_SLOT_BASE..DISPATCHER_BASE).contains(&address)
}
