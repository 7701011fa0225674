//! A thread as the scheduler sees it.
//!
//! Threads are never freed, only used again, so that a reference to one is always good and none is
//! counted. An unblock that comes too late wakes another thread for nothing, which every block allows.

use core::cell::{Cell, UnsafeCell};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};

use super::inbox::Linked;
use super::list::Link;
use super::park::ParkWord;
use super::primitives::{AtomicPtr, AtomicU32};
use super::scheduler::Scheduler;
use super::stack::Place;
use super::start::Body;
use super::switch::StackPointer;

/// See the module. The first fields are those that a switch touches.
#[repr(C, align(64))]
pub struct Thread {
    /// 0: see [`super::switch::switch`].
    pub stack_pointer: StackPointer,
    pub park: ParkWord,
    pub priority: AtomicU8,
    /// It was stopped in the midst of something and goes on on the dispatcher that it was stopped on.
    pub stays: AtomicBool,
    /// Another may hand it a lock or a permit: set by the other, before it unblocks.
    pub handed: AtomicBool,
    /// Set when the deadline of a block passed.
    pub expired: AtomicBool,
    /// The dispatcher that ran it last, or is to run it first; its threads outlive it.
    pub home: AtomicPtr<Scheduler>,
    /// The next in the inbox, the list of a level or the store.
    next: AtomicPtr<Thread>,
    /// The next of those that wait for the same.
    wait_next: AtomicPtr<Thread>,
    /// For which soft interrupts it waits.
    pub wait_bits: AtomicU64,
    /// Its stack: the lowest address at which it may be stopped, and the end.
    pub stack_limit: AtomicUsize,
    pub stack_top: AtomicUsize,
    /// Whether a fault or a panic ends it alone.
    pub is_isolated: AtomicBool,
    /// What it runs; only the thread itself takes it.
    pub body: UnsafeCell<Option<Body>>,
    /// Where its stack is, or was when it had one: of the thread, or who has it from the store.
    pub place: Cell<Option<Place>>,
}

// SAFETY: the cells are used by the thread itself, by the dispatcher that runs it while it does not
// run, and by who has it from the store, which exclude each other; all else is atomic.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

/// What must be left of a stack for a thread to be stopped: its registers with all vector state (at
/// most 11 KiB today) and what the scheduler needs.
pub const STOP_BYTES: usize = 24 << 10;

const _: () = assert!(core::mem::offset_of!(Thread, stack_pointer) == 0);

impl Thread {
    pub const fn new() -> Self {
        Self {
            stack_pointer: UnsafeCell::new(0),
            park: ParkWord::new(AtomicU32::new(ParkWord::FIRST_STATE)),
            priority: AtomicU8::new(1),
            stays: AtomicBool::new(false),
            handed: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            home: AtomicPtr::new(null_mut()),
            next: AtomicPtr::new(null_mut()),
            wait_next: AtomicPtr::new(null_mut()),
            wait_bits: AtomicU64::new(0),
            stack_limit: AtomicUsize::new(0),
            stack_top: AtomicUsize::new(0),
            is_isolated: AtomicBool::new(false),
            body: UnsafeCell::new(None),
            place: Cell::new(None),
        }
    }

    /// Says where the stack is that the thread runs on.
    pub fn set_stack(&self, low: usize, top: usize) {
        self.stack_limit.store(low + STOP_BYTES, Relaxed);
        self.stack_top.store(top, Relaxed);
    }

    /// Whether `address` is in its stack, with room below for the thread to be stopped.
    pub fn can_stop_at(&self, address: usize) -> bool {
        (self.stack_limit.load(Relaxed)..=self.stack_top.load(Relaxed)).contains(&address)
    }

    /// Whether `address` is in its stack or in the guard below.
    pub fn is_on_stack(&self, address: usize) -> bool {
        const GUARD: usize = 4096;
        let low = self
            .stack_limit
            .load(Relaxed)
            .saturating_sub(STOP_BYTES + GUARD);
        (low..=self.stack_top.load(Relaxed)).contains(&address)
    }

    /// Lets a thread that waits in [`Thread::wait_for_hand_over`] go on.
    pub fn hand_over(&'static self) {
        self.handed.store(true, Release);
        super::unblock(self);
    }

    /// Blocks the running thread, which this is, until another hands it what it waits for.
    pub fn wait_for_hand_over(&self) {
        while !self.take_hand_over() {
            super::block();
        }
    }

    /// Whether it was handed something since the last time.
    pub fn take_hand_over(&self) -> bool {
        self.handed
            .swap(false, core::sync::atomic::Ordering::Acquire)
    }
}

impl Linked for Thread {
    fn next(&self) -> &AtomicPtr<Self> {
        &self.next
    }
}

/// The link of those that are ready or unused.
#[derive(Debug)]
pub enum Next {}

impl Link for Next {
    fn of(thread: &Thread) -> &AtomicPtr<Thread> {
        &thread.next
    }
}

/// The link of those that wait for the same. It is another, as a thread that waits may be made ready by
/// somebody who means something else.
#[derive(Debug)]
pub enum WaitNext {}

impl Link for WaitNext {
    fn of(thread: &Thread) -> &AtomicPtr<Thread> {
        &thread.wait_next
    }
}

/// Threads that wait for the same, first come, first served.
pub type WaitList = super::list::List<WaitNext>;
