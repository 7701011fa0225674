//! Which thread of a dispatcher runs next.
//!
//! All of it belongs to the dispatcher, whose threads use it with soft interrupts off, so that one at
//! a time does. Others only leave threads in the inbox, steal from the rings, and take the locks of
//! what has one. A call that this process serves may have interrupted the dispatcher anywhere: it is
//! one of the others.
//!
//! Every thread that stops running is put where it belongs by the next one, after the switch, when
//! its context is saved: before, another dispatcher could run it.

use alloc::boxed::Box;
use core::cell::{Cell, UnsafeCell};
use core::ptr::null_mut;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::alarm::Alarms;
use super::inbox::Inbox;
use super::list::List;
use super::object::{Next, WaitList};
use super::primitives::AtomicPtr;
use super::ring::Ring;
use super::switch::switch;
use super::{PRIORITIES, Priority, Thread, dispatchers, store};
use crate::SpinMutex;
use crate::dispatcher::{
    CURRENT_THREAD, QUICK, SCHEDULER, enable, load_word, page, store_word, word,
};

/// Threads of one level that others may steal.
pub const RING: usize = 64;
/// Threads that move to the ring at once when it is empty.
const REFILL: usize = RING / 2;

/// Waits for pages of one dispatcher: bits of [`DispatcherPage::faults_done`].
///
/// [`DispatcherPage::faults_done`]: kiln_object::dispatcher::DispatcherPage::faults_done
const PAGE_WAITS: usize = 64;

const NORMAL: usize = Priority::Normal as usize;

/// Reasons why the next thread is not simply the first of the normal ones, nor is one that becomes
/// ready simply the last of them. A reason may outlast its cause until somebody looks.
pub mod reason {
    /// A thread of another level is ready or runs.
    pub const LEVELS: u32 = 1 << 0;
    /// A list of threads that stay has members.
    pub const KEPT: u32 = 1 << 1;
    /// The earliest alarm may be before what the kernel's timer is set to.
    pub const TIMER: u32 = 1 << 2;
    /// No slice is measured, and it should be once another thread is ready.
    pub const UNMEASURED: u32 = 1 << 3;
}

/// What becomes of a thread that stops running: in the low bits of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is parked.
    Park = 0,
    /// It goes to the end of its level.
    Yield = 1,
    /// The same, and it may not go on elsewhere.
    Stay = 2,
    /// It has ended.
    End = 3,
    /// It is kept by its dispatcher until a page has come.
    Fault = 4,
}

const ACTIONS: usize = 7;

/// Offsets in a scheduler of the ring of the normal level.
#[cfg(kiln_freestanding)]
mod offsets {
    use core::mem::{offset_of, size_of};

    use super::{Level, NORMAL, RING, Ring, Scheduler, Thread};

    const NORMAL_RING: usize =
        offset_of!(Scheduler, levels) + NORMAL * size_of::<Level>() + offset_of!(Level, ring);
    pub const HEAD: usize = NORMAL_RING + Ring::<Thread, RING>::HEAD;
    pub const TAIL: usize = NORMAL_RING + Ring::<Thread, RING>::TAIL;
    pub const PLACES: usize = NORMAL_RING + Ring::<Thread, RING>::PLACES;
}
#[cfg(kiln_freestanding)]
pub use offsets::{HEAD, PLACES, TAIL};

#[repr(C)]
struct Level {
    ring: Ring<Thread, RING>,
    /// Those that found no room, and those that stay on this dispatcher.
    kept: UnsafeCell<List<Next>>,
    /// Whether the next is to come from `kept`, if both have some.
    kept_is_next: Cell<bool>,
}

/// See the module.
#[repr(C, align(64))]
pub struct Scheduler {
    reasons: Cell<u32>,
    /// Which CPU its dispatcher is on.
    pub cpu: u32,
    pub inbox: Inbox<Thread>,
    levels: [Level; PRIORITIES],
    pub alarms: Alarms,
    /// Threads that wait for soft interrupts.
    pub waiting: SpinMutex<WaitList>,
    /// Threads that wait for pages, by the numbers of their waits.
    pub faulted: [AtomicPtr<Thread>; PAGE_WAITS],
}

// SAFETY: the cells are used by the dispatcher's own threads only, of which one runs at a time and is
// not stopped meanwhile: see the module.
unsafe impl Sync for Scheduler {}
// SAFETY: as above.
unsafe impl Send for Scheduler {}

impl Level {
    const fn new() -> Self {
        Self {
            ring: Ring::new(
                AtomicU64::new(0),
                AtomicU64::new(0),
                [const { AtomicPtr::new(null_mut()) }; RING],
            ),
            kept: UnsafeCell::new(List::new()),
            kept_is_next: Cell::new(false),
        }
    }

    #[expect(clippy::mut_from_ref, reason = "the dispatcher's own, used at once")]
    fn kept(&self) -> &mut List<Next> {
        // SAFETY: see `Scheduler`; no reference outlives the expression it is used in.
        unsafe { &mut *self.kept.get() }
    }

    fn is_empty(&self) -> bool {
        self.ring.length() == 0 && self.kept().is_empty()
    }

    fn push(&self, thread: &'static Thread) {
        if thread.stays.load(Relaxed) || !self.ring.push(pointer(thread)) {
            self.kept().push(thread);
        }
    }

    fn pop(&self) -> Option<&'static Thread> {
        if !self.kept().is_empty() && self.kept_is_next.replace(!self.kept_is_next.get()) {
            return self.pop_kept();
        }
        taken(self.ring.pop()).or_else(|| self.refill())
    }

    fn pop_kept(&self) -> Option<&'static Thread> {
        let thread = self.kept().pop()?;
        // It goes on here and now.
        thread.stays.store(false, Relaxed);
        Some(thread)
    }

    /// Takes the first of those kept, and lets others have some of the rest.
    fn refill(&self) -> Option<&'static Thread> {
        let first = self.pop_kept()?;
        for _ in 0..REFILL {
            let Some(next) = self.kept().first() else {
                break;
            };
            if next.stays.load(Relaxed) || !self.ring.push(pointer(next)) {
                break;
            }
            self.kept().pop();
        }
        Some(first)
    }
}

fn pointer(thread: &'static Thread) -> *mut Thread {
    core::ptr::from_ref(thread).cast_mut()
}

fn taken(thread: *mut Thread) -> Option<&'static Thread> {
    // SAFETY: the queues hold threads, which live for ever.
    unsafe { thread.as_ref() }
}

impl Scheduler {
    fn new(cpu: u32) -> Self {
        Self {
            reasons: Cell::new(0),
            cpu,
            inbox: Inbox::new(AtomicPtr::new(null_mut())),
            levels: [const { Level::new() }; PRIORITIES],
            alarms: Alarms::new(),
            waiting: SpinMutex::new(WaitList::new()),
            faulted: [const { AtomicPtr::new(null_mut()) }; PAGE_WAITS],
        }
    }

    /// The scheduler of this dispatcher; soft interrupts are off.
    #[inline(always)]
    pub fn here() -> &'static Scheduler {
        let address = load_word::<SCHEDULER>();
        if address == 0 {
            return make_first();
        }
        // SAFETY: only `adopt` stores there, a scheduler that lives for ever.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// The same, if the dispatcher has one.
    pub fn existing() -> Option<&'static Scheduler> {
        let address = load_word::<SCHEDULER>();
        // SAFETY: as in `here`.
        unsafe { core::ptr::with_exposed_provenance::<Scheduler>(address).as_ref() }
    }

    /// The scheduler that a thread is given to at first if it is not made by one of its threads.
    pub fn for_new_threads() -> *mut Scheduler {
        let scheduler = Self::existing().or_else(dispatchers::first);
        scheduler.map_or(null_mut(), |scheduler| {
            core::ptr::from_ref(scheduler).cast_mut()
        })
    }

    /// Adds a reason: see [`reason`].
    pub fn add_reason(&self, reason: u32) {
        self.set_reasons(self.reasons.get() | reason);
    }

    fn set_reasons(&self, reasons: u32) {
        self.reasons.set(reasons);
        let quick = if reasons == 0 {
            core::ptr::from_ref(self).expose_provenance()
        } else {
            0
        };
        store_word::<QUICK>(quick);
    }

    /// The scheduler of this dispatcher, if threads can be made ready in the quick way.
    #[inline(always)]
    pub fn quick() -> Option<&'static Scheduler> {
        // SAFETY: as in `here`.
        unsafe { core::ptr::with_exposed_provenance::<Scheduler>(load_word::<QUICK>()).as_ref() }
    }

    /// Adds a thread that is ready, and nowhere, if it is a normal one and there is room.
    #[inline(always)]
    pub fn make_ready_quickly(&self, thread: &'static Thread) -> bool {
        if usize::from(thread.priority.load(Relaxed)) != NORMAL
            || !self.levels[NORMAL].ring.push(pointer(thread))
        {
            return false;
        }
        if dispatchers::idle() != 0 {
            dispatchers::share(self.levels[NORMAL].ring.length());
        }
        true
    }

    /// Puts a thread where it is found; it must not be anywhere.
    pub fn make_ready(&self, thread: &'static Thread) {
        let level = usize::from(thread.priority.load(Relaxed));
        self.levels[level].push(thread);
        let mut reasons = self.reasons.get();
        if level != NORMAL {
            reasons |= reason::LEVELS;
        }
        if !self.levels[level].kept().is_empty() {
            reasons |= reason::KEPT;
        }
        let is_measured = reasons & reason::UNMEASURED == 0;
        self.set_reasons(reasons & !reason::UNMEASURED);
        if !is_measured {
            self.alarms.begin_slice();
        }
        if level < usize::from(super::current_thread().priority.load(Relaxed)) {
            // Looked at when soft interrupts are on again.
            super::preemption::ask_here();
        }
        if dispatchers::idle() != 0 {
            dispatchers::share(self.levels[level].ring.length());
        }
    }

    /// Whether a thread of the level `level` or a higher one is ready.
    pub fn has_ready(&self, level: usize) -> bool {
        self.levels
            .iter()
            .take(level + 1)
            .any(|level| !level.is_empty())
    }

    /// The next thread of the level `lowest` or a higher one.
    fn next(&self, lowest: usize) -> Option<&'static Thread> {
        self.empty_inbox();
        let mut levels = self.levels.iter().take(lowest + 1);
        let next = levels.find_map(Level::pop)?;
        let mut reasons = self.reasons.get() & reason::UNMEASURED;
        let is_normal = usize::from(next.priority.load(Relaxed)) == NORMAL;
        for (number, level) in self.levels.iter().enumerate() {
            if number != NORMAL && !level.is_empty() || !is_normal {
                reasons |= reason::LEVELS;
            }
            if !level.kept().is_empty() {
                reasons |= reason::KEPT;
            }
        }
        self.set_reasons(reasons);
        self.alarms.set_kernel_timer();
        Some(next)
    }

    pub fn empty_inbox(&self) {
        if !self.inbox.is_empty() {
            self.inbox.take_all(|thread| self.make_ready(thread));
        }
    }

    /// Takes a thread for another dispatcher.
    pub fn steal(&self) -> Option<&'static Thread> {
        self.levels.iter().find_map(|level| taken(level.ring.pop()))
    }

    /// How many threads others may steal of the level at which most are.
    pub fn ring_length(&self, level: usize) -> usize {
        self.levels[level].ring.length()
    }

    /// Runs others that are ready, if any is of the level `lowest` or a higher one. Ends the section
    /// without soft interrupts.
    pub fn give_way(&self, current: &'static Thread, lowest: usize, action: Action) {
        match self.next(lowest) {
            Some(next) => run(current, next, action),
            None => enable(),
        }
    }

    /// Runs others until `current` is to go on, if ever; `action` is `Park`, `Fault` or `End`. Ends the section
    /// without soft interrupts.
    pub fn leave(&'static self, current: &'static Thread, action: Action) {
        let next = self.next(PRIORITIES - 1);
        match next.or_else(|| self.wait_for_work(current, action)) {
            Some(next) => run(current, next, action),
            // It got its token while nobody ran.
            None => enable(),
        }
    }

    /// Waits for a thread that is ready; `None` if it is the one that is about to park.
    fn wait_for_work(
        &'static self,
        current: &'static Thread,
        action: Action,
    ) -> Option<&'static Thread> {
        loop {
            let deadline = self.alarms.ring();
            if action == Action::Park && current.park.take_token() {
                return None;
            }
            if let Some(next) = self
                .next(PRIORITIES - 1)
                .or_else(|| dispatchers::steal_for(self))
            {
                return Some(next);
            }
            // Whoever gives this dispatcher something from now on sees that it waits, and wakes it.
            let is_quiet = || {
                self.inbox.is_empty()
                    && !(action == Action::Park && current.park.has_token_at_last())
            };
            let wait = || super::preemption::wait(deadline);
            dispatchers::wait_idle(self.cpu, is_quiet, wait);
            super::preemption::take_soft_interrupts(self);
        }
    }
}

/// Goes on with `next`. Comes back when `current` goes on, perhaps on another dispatcher, with the
/// section without soft interrupts ended.
fn run(current: &'static Thread, next: &'static Thread, action: Action) {
    store_word::<CURRENT_THREAD>(core::ptr::from_ref(next).expose_provenance());
    let word = core::ptr::from_ref(current).expose_provenance() | action as usize;
    // SAFETY: `next` was ready, so its context is saved or prepared; it was taken from where it was
    // found, so nobody else goes on with it.
    unsafe { switch(current, next, word) };
}

/// Puts the thread that ran before where it belongs.
pub extern "sysv64" fn finish(word: usize) {
    // SAFETY: the word is that of `run`, and threads live for ever.
    let before = unsafe { &*core::ptr::with_exposed_provenance::<Thread>(word & !ACTIONS) };
    let here = Scheduler::here();
    match word & ACTIONS {
        PARK => {
            if !before.park.park() {
                here.make_ready(before);
            }
        }
        YIELD => here.make_ready(before),
        STAY => {
            before.stays.store(true, Relaxed);
            here.make_ready(before);
        }
        FAULT => {}
        _ => {
            // What was meant for it is not meant for the next.
            before.park.take_token();
            before.handed.store(false, Relaxed);
            store::put(before);
        }
    }
}

const PARK: usize = Action::Park as usize;
const YIELD: usize = Action::Yield as usize;
const STAY: usize = Action::Stay as usize;
const FAULT: usize = Action::Fault as usize;

/// Makes the code that runs the first thread of this dispatcher.
#[cold]
#[inline(never)]
pub fn make_first() -> &'static Scheduler {
    let thread = store::make().expect("no memory for the first thread");
    let (low, top) = super::stack::of_the_start();
    thread.set_stack(low, top);
    let scheduler = Scheduler::create(page().cpu.load(Relaxed));
    adopt(scheduler, thread);
    dispatchers::register(scheduler);
    scheduler
}

impl Scheduler {
    /// A scheduler for the dispatcher on `cpu`.
    pub fn create(cpu: u32) -> &'static Scheduler {
        Box::leak(Box::new(Scheduler::new(cpu)))
    }
}

/// Makes `scheduler` that of this dispatcher, where `thread` runs.
pub fn adopt(scheduler: &'static Scheduler, thread: &'static Thread) {
    let address = core::ptr::from_ref(scheduler);
    thread.home.store(address.cast_mut(), Relaxed);
    word(SCHEDULER).store(address.expose_provenance() as u64, Relaxed);
    word(CURRENT_THREAD).store(
        core::ptr::from_ref(thread).expose_provenance() as u64,
        Relaxed,
    );
    scheduler.set_reasons(0);
}
