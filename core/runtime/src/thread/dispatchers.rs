//! The dispatchers of this process that run threads: which are idle, and who steals from whom.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64};

use kiln_object::Error;

use super::idle::Idle;
use super::scheduler::Scheduler;
use super::{PRIORITIES, Thread};

/// CPUs that a process can have dispatchers on.
const CPUS: usize = 64;

/// By CPU; null where there is none.
static SCHEDULERS: [AtomicPtr<Scheduler>; CPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CPUS];

/// The CPUs that have one.
static KNOWN: AtomicU64 = AtomicU64::new(0);

/// The CPUs whose dispatcher waits or is about to.
static IDLE: Idle = Idle::new(AtomicU64::new(0));

/// The most threads that one steals at once.
const LOOT: usize = 16;

/// Makes a scheduler known to the others.
pub fn register(scheduler: &'static Scheduler) {
    // On the host every thread is a dispatcher of its own, and all are called 0.
    if cfg!(kiln_freestanding)
        && let Some(place) = SCHEDULERS.get(scheduler.cpu as usize)
    {
        place.store(core::ptr::from_ref(scheduler).cast_mut(), Release);
        KNOWN.fetch_or(bit(scheduler.cpu), Release);
    }
}

fn all() -> impl Iterator<Item = &'static Scheduler> {
    let mut known = KNOWN.load(Acquire);
    core::iter::from_fn(move || {
        let place = SCHEDULERS.get(known.trailing_zeros() as usize)?;
        known &= known - 1;
        // SAFETY: only `register` stores there, from a reference that lives for ever, and says then that
        // it did.
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
    IDLE.all()
}

fn bit(cpu: u32) -> u64 {
    if cfg!(kiln_freestanding) {
        1u64.checked_shl(cpu).unwrap_or(0)
    } else {
        0
    }
}

/// The dispatcher on `cpu` has nothing to do: see [`Idle::wait`].
pub fn wait_idle(cpu: u32, is_quiet: impl FnOnce() -> bool, wait: impl FnOnce()) {
    IDLE.wait(bit(cpu), is_quiet, wait);
}

/// Whether the dispatcher on `cpu` has nothing to do: see [`Idle::has`].
pub fn is_idle(cpu: u32) -> bool {
    IDLE.has(bit(cpu))
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
    if let Some(cpu) = IDLE.take_one() {
        super::preemption::wake(cpu);
    }
}

/// After something was left for `scheduler`: its dispatcher is to look at it.
pub fn notify(scheduler: &Scheduler) {
    IDLE.take(bit(scheduler.cpu));
    super::preemption::wake(scheduler.cpu);
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

/// Lets the threads of this process run on up to `wanted` processors, this one included, and answers on
/// how many they do. The program's manifest and the machine may allow fewer.
///
/// # Errors
/// `Exhausted` and what else mapping a stack answers; fewer processors are no error.
pub fn use_cpus(wanted: usize) -> Result<usize, Error> {
    // This one has a scheduler from now on.
    super::preemption::allow();
    let cpus = crate::startup().cpus as usize;
    let mut count = all().count();
    for (cpu, place) in SCHEDULERS.iter().enumerate().take(cpus) {
        if count >= wanted {
            break;
        }
        if place.load(Acquire).is_null() && start(cpu as u32)? {
            count += 1;
        }
    }
    Ok(count)
}

/// On how many processors threads of this process run.
#[must_use]
pub fn dispatchers() -> usize {
    all().count().max(1)
}

/// The processor that runs this code, which may run on another one as soon as this is known.
#[must_use]
pub fn cpu() -> u32 {
    crate::dispatcher::page().cpu.load(Relaxed)
}

/// Starts the dispatcher on `cpu`; false if there can be none.
#[cfg(kiln_freestanding)]
fn start(cpu: u32) -> Result<bool, Error> {
    use kiln_interface::kernel::Process as _;
    let thread = super::store::take()?;
    thread.priority.store(super::Priority::Low as u8, Relaxed);
    let scheduler = Scheduler::create(cpu);
    thread
        .home
        .store(core::ptr::from_ref(scheduler).cast_mut(), Relaxed);
    let entry = begin as *const () as u64;
    let stack = thread.stack_top.load(Relaxed) as u64;
    let argument = core::ptr::from_ref(thread).expose_provenance() as u64;
    let started = crate::process().start_dispatcher(cpu, entry, stack, argument);
    if started.is_err() {
        super::store::put(thread);
        return Ok(false);
    }
    // Known before it runs, so that whoever looks next does not start it again.
    register(scheduler);
    Ok(true)
}

#[cfg(not(kiln_freestanding))]
fn start(_cpu: u32) -> Result<bool, Error> {
    Ok(false)
}

/// Where the kernel enters a dispatcher, with its first thread in `rdi`.
#[cfg(kiln_freestanding)]
#[unsafe(naked)]
extern "sysv64" fn begin() -> ! {
    core::arch::naked_asm!(
        "xor ebp, ebp",
        "and rsp, -16",
        "call {run}",
        "ud2",
        run = sym run,
    )
}

/// The life of a dispatcher that was started: its first thread only waits.
#[cfg(kiln_freestanding)]
extern "sysv64" fn run(thread: &'static Thread) -> ! {
    // SAFETY: schedulers live for ever, and `start` set this one.
    let scheduler = unsafe { &*thread.home.load(Relaxed) };
    super::scheduler::adopt(scheduler, thread);
    super::preemption::allow();
    super::run_others_forever()
}
