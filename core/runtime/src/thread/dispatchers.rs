//! The dispatchers of this process that run threads: which are idle, and who steals from whom.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicPtr, AtomicU64};

use super::scheduler::Scheduler;
use super::{PRIORITIES, Thread};

/// CPUs that a process can have dispatchers on.
const CPUS: usize = 64;

/// By CPU; null where there is none.
static SCHEDULERS: [AtomicPtr<Scheduler>; CPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CPUS];

/// The CPUs whose dispatcher waits or is about to.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// The most threads that one steals at once.
const LOOT: usize = 16;

/// Makes a scheduler known to the others.
pub fn register(scheduler: &'static Scheduler) {
    // On the host every thread is a dispatcher of its own, and all are called 0.
    if cfg!(kiln_freestanding)
        && let Some(place) = SCHEDULERS.get(scheduler.cpu as usize)
    {
        place.store(core::ptr::from_ref(scheduler).cast_mut(), Release);
    }
}

fn all() -> impl Iterator<Item = &'static Scheduler> {
    SCHEDULERS.iter().filter_map(|place| {
        // SAFETY: only `register` stores there, from a reference that lives for ever.
        unsafe { place.load(Acquire).as_ref() }
    })
}

/// Any of them, the same each time.
pub fn first() -> Option<&'static Scheduler> {
    all().next()
}

/// The CPUs whose dispatchers have nothing to do.
#[inline(always)]
pub fn idle() -> u64 {
    IDLE.load(Relaxed)
}

fn bit(cpu: u32) -> u64 {
    if cfg!(kiln_freestanding) {
        1u64.checked_shl(cpu).unwrap_or(0)
    } else {
        0
    }
}

/// Says whether the dispatcher on `cpu` has nothing to do.
pub fn say_idle(cpu: u32, is_idle: bool) {
    if is_idle {
        IDLE.fetch_or(bit(cpu), SeqCst);
    } else {
        IDLE.fetch_and(!bit(cpu), SeqCst);
    }
}

/// Whether the dispatcher on `cpu` has nothing to do.
pub fn is_idle(cpu: u32) -> bool {
    IDLE.load(SeqCst) & bit(cpu) != 0
}

/// Wakes an idle dispatcher if `ready` threads are too many to wait for the running one. A single one is
/// left to whoever woke it, who as a rule waits soon; the end of its slice wakes another dispatcher.
#[cold]
#[inline(never)]
pub fn share(ready: usize) {
    if ready > 1 {
        wake_one();
    }
}

/// Wakes an idle dispatcher, if there is one.
pub fn wake_one() {
    let idle = IDLE.load(SeqCst);
    if idle != 0 {
        let cpu = idle.trailing_zeros();
        // So that the next one who has work wakes another.
        if IDLE.fetch_and(!bit(cpu), SeqCst) & bit(cpu) != 0 {
            super::preemption::wake(cpu);
        }
    }
}

/// After something was left for `scheduler`: its dispatcher is to look at it.
pub fn notify(scheduler: &Scheduler) {
    let waits = IDLE.fetch_and(!bit(scheduler.cpu), SeqCst) & bit(scheduler.cpu) != 0;
    super::preemption::raise(scheduler.cpu, waits);
}

/// A thread of another dispatcher for `thief`, which takes more while it is there.
pub fn steal_for(thief: &'static Scheduler) -> Option<&'static Thread> {
    let victims = all().filter(|victim| !core::ptr::eq(*victim, thief));
    for victim in victims {
        let most = (0..PRIORITIES)
            .map(|level| victim.ring_length(level))
            .sum::<usize>()
            .div_ceil(2)
            .min(LOOT);
        let Some(first) = victim.steal() else {
            continue;
        };
        take_over(thief, first);
        for _ in 1..most {
            let Some(next) = victim.steal() else {
                break;
            };
            take_over(thief, next);
            thief.make_ready(next);
        }
        return Some(first);
    }
    None
}

fn take_over(thief: &'static Scheduler, thread: &'static Thread) {
    thread
        .home
        .store(core::ptr::from_ref(thief).cast_mut(), Relaxed);
}
