//! Soft interrupts: what is pending is seen to, and a thread may have to give way at any instruction.
//!
//! They are looked at when a section without them ends ([`look_at_pending`]), when the dispatcher has
//! waited, and when the kernel stops a thread for them ([`stopped`]). None of it happens while such a
//! section runs, nor on another stack than a thread's.

use core::ops::ControlFlow::{self, Break, Continue};
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use kiln_object::dispatcher::PARKED_FAULT_VECTOR;
use kiln_object::dispatcher::soft_interrupt::{
    CALL_DONE, DEATH, FAULT_DONE, MESSAGE, PREEMPT, RETRY, TIMER, WAKE,
};

use super::scheduler::{Action, Scheduler, reason};
use super::{PRIORITIES, Thread, unblock};
use crate::dispatcher::{self, page};

/// What the scheduler sees to in a process that has not allowed that its threads are stopped: the rest
/// is somebody else's.
const ALWAYS: u64 = MESSAGE | RETRY | CALL_DONE | FAULT_DONE | WAKE | DEATH;

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Makes `handler` see all soft interrupts (`kiln_object::dispatcher::soft_interrupt`), in between what
/// the threads do. It must be short, must not block, and may unblock whoever waits for them.
pub fn on_soft_interrupt(handler: fn(u64)) {
    HANDLER.store(handler as *const () as usize, SeqCst);
    allow();
}

/// Lets the threads of this dispatcher be stopped from now on.
pub(super) fn allow() {
    if !is_allowed() {
        #[cfg(kiln_freestanding)]
        super::stop::look();
        dispatcher::disable();
        Scheduler::here().add_reason(reason::UNMEASURED);
        page().attention().allow();
        dispatcher::enable();
    }
}

/// Whether the threads of this dispatcher may be stopped.
pub(super) fn is_allowed() -> bool {
    page().attention().is_preemptible()
}

/// Has this dispatcher look again when soft interrupts are on.
pub(super) fn ask_here() {
    page().attention().raise(WAKE, || ());
}

/// Sees to what is pending; answers whether the running thread has to give way. Soft interrupts are off.
pub(super) fn take_soft_interrupts(scheduler: &'static Scheduler) -> bool {
    page()
        .attention()
        .take(ALWAYS, |bits| see_to(scheduler, bits));
    let level = usize::from(super::current_thread().priority.load(Relaxed));
    if scheduler.alarms.take_slice_end() {
        return next_slice(scheduler, level);
    }
    level > 0 && scheduler.has_ready(level - 1)
}

fn see_to(scheduler: &'static Scheduler, bits: u64) {
    scheduler.empty_inbox();
    if bits & TIMER != 0 {
        scheduler.alarms.expired();
    }
    let others = bits & !(TIMER | WAKE | PREEMPT);
    if others != 0 {
        tell(scheduler, others);
    }
    if bits & PREEMPT != 0 {
        wait(0);
    }
}

/// A slice is over: whether another thread is to have the next.
fn next_slice(scheduler: &'static Scheduler, level: usize) -> bool {
    if !scheduler.has_ready(PRIORITIES - 1) {
        scheduler.add_reason(reason::UNMEASURED);
        return false;
    }
    super::dispatchers::wake_one();
    scheduler.alarms.begin_slice();
    scheduler.has_ready(level)
}

fn tell(scheduler: &'static Scheduler, bits: u64) {
    #[cfg(not(kiln_kernel))]
    if bits & MESSAGE != 0 {
        crate::objects::messages_arrived(scheduler.cpu);
    }
    if bits & FAULT_DONE != 0 {
        pages_came(scheduler);
    }
    scheduler.waiting.lock().extract(
        |thread| thread.wait_bits.load(Relaxed) & bits != 0,
        |thread| {
            thread.wait_bits.store(0, Release);
            unblock(thread);
        },
    );
    let handler = HANDLER.load(Acquire);
    if handler != 0 {
        // SAFETY: only `on_soft_interrupt` stores there, and what it stores is such a function.
        let handler: fn(u64) = unsafe { core::mem::transmute::<usize, fn(u64)>(handler) };
        handler(bits);
    }
}

/// Parks the running thread until one of the soft interrupts `bits` is pending for this dispatcher, and
/// tries again, until `attempt` gives something. It tries once more before it waits, so that what came
/// before is not missed. `None` where there is no thread to park: in a call that is served.
pub fn park_until<R>(bits: u64, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
    park_and_try(bits, || match attempt() {
        Some(found) => Break(found),
        None => Continue(u64::MAX),
    })
}

/// As [`park_until`]; while `attempt` gives nothing it says at which monotonic time (ns) it is to be tried
/// again if nothing has become pending by then. Without memory for an alarm that time is not kept.
pub(crate) fn park_and_try<R>(
    bits: u64,
    mut attempt: impl FnMut() -> ControlFlow<R, u64>,
) -> Option<R> {
    if super::is_served_call() {
        return None;
    }
    let thread = super::current_thread();
    loop {
        dispatcher::disable();
        let scheduler = Scheduler::here();
        thread.wait_bits.store(bits, Relaxed);
        scheduler.waiting.lock().push(thread);
        // The thread stays here so long, and in the list of this dispatcher until it is told.
        let until = match attempt() {
            Continue(until) => until,
            Break(found) => {
                forget(scheduler, thread);
                dispatcher::enable();
                return Some(found);
            }
        };
        dispatcher::enable();
        if until == u64::MAX {
            while thread.wait_bits.load(Acquire) != 0 {
                super::block();
            }
        } else {
            block_until_told(scheduler, thread, until);
        }
    }
}

/// Takes `thread`, which runs, off the list of those that wait for soft interrupts, if it is still there.
/// Soft interrupts are off.
fn forget(scheduler: &Scheduler, thread: &Thread) {
    let mut waiting = scheduler.waiting.lock();
    if thread.wait_bits.load(Relaxed) != 0 {
        waiting.remove(thread);
        thread.wait_bits.store(0, Relaxed);
    }
}

/// Blocks the running thread until it is told of a soft interrupt, or the monotonic time `until` (ns).
#[cold]
fn block_until_told(scheduler: &Scheduler, thread: &'static Thread, until: u64) {
    thread.expired.store(false, Relaxed);
    let alarm = super::alarm::wake_at(until, thread);
    while thread.wait_bits.load(Acquire) != 0 && !thread.expired.load(Relaxed) {
        super::block();
    }
    if let Ok(alarm) = alarm {
        super::cancel(alarm);
    }
    dispatcher::disable();
    forget(scheduler, thread);
    dispatcher::enable();
}

/// What is pending when a section without soft interrupts ends; cold, as that is rare.
#[cold]
#[inline(never)]
pub(crate) extern "sysv64" fn look_at_pending() {
    while let Some(thread) = super::running()
        && page().attention().has_news(ALWAYS)
        && !page().attention().is_disabled()
        && thread.can_stop_at(super::stack_pointer())
    {
        dispatcher::disable();
        see_to_pending(thread);
        dispatcher::enable_quietly();
    }
}

/// Sees to what is pending; others run if the thread has to give way. Soft interrupts are off, and off
/// again afterwards.
fn see_to_pending(thread: &'static Thread) {
    let scheduler = Scheduler::here();
    if take_soft_interrupts(scheduler) {
        let level = usize::from(thread.priority.load(Relaxed));
        // The thread goes on on the same dispatcher: it did not expect to be elsewhere.
        scheduler.give_way(thread, level, Action::Stay);
        dispatcher::disable();
    }
}

/// Where a thread is that the kernel stopped, by that vector; all its registers are on its stack. Soft
/// interrupts are off. `wait` is the number of its wait for a page, if that is what it was stopped for.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
pub(crate) extern "sysv64" fn stopped(vector: u64, wait: u64) {
    let thread = super::current_thread();
    if vector == PARKED_FAULT_VECTOR {
        park_for_page(thread, wait as usize);
    } else {
        see_to_pending(thread);
    }
}

/// Runs others until the page has come that `thread`, which runs, waits for, or will not come.
#[cold]
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
fn park_for_page(thread: &'static Thread, wait: usize) {
    let Some(place) = Scheduler::here().faulted.get(wait) else {
        return;
    };
    let _span = crate::trace_span!("waits for a page", page().trap.address.load(Relaxed));
    let itself = core::ptr::from_ref(thread).cast_mut();
    place.store(itself, Relaxed);
    // What is pending is only seen to when others run, so the end of the wait is not missed.
    Scheduler::here().leave(thread, Action::Fault);
    dispatcher::disable();
}

/// Lets the threads run whose waits for pages are over.
#[cold]
fn pages_came(scheduler: &'static Scheduler) {
    let mut over = page().faults_done.swap(0, AcqRel);
    while over != 0 {
        let wait = over.trailing_zeros() as usize;
        over &= over - 1;
        let thread = scheduler
            .faulted
            .get(wait)
            .map_or(core::ptr::null_mut(), |place| {
                place.swap(core::ptr::null_mut(), AcqRel)
            });
        // SAFETY: only `park_for_page` stores there, and threads live for ever.
        if let Some(thread) = unsafe { thread.as_ref() } {
            // On the same dispatcher: it did not expect to be elsewhere.
            thread.stays.store(true, Relaxed);
            scheduler.make_ready(thread);
        }
    }
}

#[cfg(kiln_freestanding)]
mod kernel {
    use super::{ALWAYS, AcqRel, Release, page};
    use kiln_interface::kernel::Process as _;

    /// Waits for a soft interrupt, or for the monotonic time `deadline` (ns).
    pub fn wait(deadline: u64) {
        if page().attention().pending() == 0 {
            let _ = crate::process().wait(deadline);
        } else {
            wait_with_others_pending(deadline);
        }
    }

    /// What somebody else is to see to must not end the wait: it is put aside so long.
    #[cold]
    fn wait_with_others_pending(deadline: u64) {
        let wanted = page().attention().wanted(ALWAYS);
        let others = page().pending.fetch_and(wanted, AcqRel) & !wanted;
        let _ = crate::process().wait(deadline);
        page().pending.fetch_or(others, Release);
    }

    /// Has the dispatcher on `cpu` look at what it was given, whether it waits or runs something.
    pub fn wake(cpu: u32) {
        // It has a scheduler, so it was started.
        let _ = crate::process().wake(cpu);
    }
}

#[cfg(not(kiln_freestanding))]
mod kernel {
    /// Another thread of the host may put something in the inbox.
    pub fn wait(_deadline: u64) {
        std::thread::yield_now();
    }

    pub fn wake(_cpu: u32) {}
}

pub(super) use kernel::{wait, wake};
