//! Where a thread begins and ends, and what it leaves for who joins it.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use kiln_object::Error;

use super::scheduler::{Action, Scheduler};
use super::{Priority, Thread, ThreadRef, block, current_thread, store, switch};
use crate::dispatcher;

/// Values of [`Packet::end`]; any other is the address of the thread that joins.
const RUNNING: usize = 0;
const ENDED: usize = 1;
const FAILED: usize = 2;

/// A thread's work, which becomes its result.
#[repr(C)]
struct Packet<F, T> {
    end: AtomicUsize,
    value: UnsafeCell<Value<F, T>>,
}

enum Value<F, T> {
    Work(F),
    /// The work is on the thread's stack.
    Taken,
    Result(T),
}

// SAFETY: the thread alone uses the value until it has set `end`, the one who joins afterwards.
unsafe impl<F: Send, T: Send> Sync for Packet<F, T> {}

/// A packet without its types: the thread's count of it.
pub struct Body {
    packet: *const (),
    run: unsafe fn(*const ()),
    finish: unsafe fn(*const (), usize),
}

/// # Safety
/// `packet` must be an `Arc`'s pointer to such a packet, whose value is the caller's.
unsafe fn run<F: FnOnce() -> T, T>(packet: *const ()) {
    // SAFETY: by the contract.
    let value = unsafe { &mut *(*packet.cast::<Packet<F, T>>()).value.get() };
    if let Value::Work(work) = core::mem::replace(value, Value::Taken) {
        *value = Value::Result(work());
    }
}

/// Sets the end, and gives the thread's count of the packet back.
///
/// # Safety
/// As for [`run`]; the count is the caller's.
unsafe fn finish_packet<F, T>(packet: *const (), end: usize) {
    // SAFETY: by the contract.
    let packet = unsafe { Arc::from_raw(packet.cast::<Packet<F, T>>()) };
    let joins = packet.end.swap(end, AcqRel);
    if joins > FAILED {
        // SAFETY: it is a thread's address, and threads live for ever.
        super::unblock(unsafe { &*core::ptr::with_exposed_provenance::<Thread>(joins) });
    }
}

/// A thread's end, to be waited for. Dropping it lets the thread go on alone.
pub struct JoinHandle<T> {
    thread: ThreadRef,
    packet: Arc<dyn Join<T> + Send + Sync>,
}

/// The thread faulted or panicked, and was started so that this ends it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl core::fmt::Display for Failed {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("the thread failed; the log says why")
    }
}

impl core::error::Error for Failed {}

trait Join<T> {
    fn end(&self) -> &AtomicUsize;

    /// # Safety
    /// The end is reached, and the caller joins.
    unsafe fn result(&self) -> Option<T>;
}

impl<F: Send, T: Send> Join<T> for Packet<F, T> {
    fn end(&self) -> &AtomicUsize {
        &self.end
    }

    unsafe fn result(&self) -> Option<T> {
        // SAFETY: the thread has set `end` after its last use.
        match core::mem::replace(unsafe { &mut *self.value.get() }, Value::Taken) {
            Value::Result(result) => Some(result),
            _ => None,
        }
    }
}

impl<T> core::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.thread.fmt(formatter)
    }
}

impl<T> JoinHandle<T> {
    /// The thread.
    #[must_use]
    pub fn thread(&self) -> ThreadRef {
        self.thread
    }

    /// Whether the thread has ended: then a join does not wait.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.packet.end().load(Acquire), ENDED | FAILED)
    }

    /// Blocks until the thread has ended, and answers its result.
    ///
    /// # Panics
    /// If the thread failed: see [`spawn_isolated`].
    pub fn join(self) -> T {
        match self.try_join() {
            Ok(result) => result,
            Err(failed) => panic!("{failed}"),
        }
    }

    /// As [`JoinHandle::join`].
    ///
    /// # Errors
    /// That the thread failed: see [`spawn_isolated`].
    pub fn try_join(self) -> Result<T, Failed> {
        let end = self.packet.end();
        let me = core::ptr::from_ref(current_thread()).expose_provenance();
        if end.compare_exchange(RUNNING, me, AcqRel, Acquire).is_ok() {
            while end.load(Acquire) > FAILED {
                block();
            }
        }
        // SAFETY: it has ended, and `self` is the only one who may join.
        unsafe { self.packet.result() }.ok_or(Failed)
    }
}

/// Starts a thread. If it panics or faults, the process ends.
///
/// # Errors
/// `Exhausted` and what else mapping a stack answers.
pub fn spawn<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    start(priority, false, work)
}

/// Starts a thread whose panic or fault ends that thread alone: who joins it is told. What it held
/// stays as it was, locks included; but if it held one of the runtime's own, the process ends.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_isolated<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    start(priority, true, work)
}

fn start<F, T>(priority: Priority, is_isolated: bool, work: F) -> Result<JoinHandle<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let packet = Arc::new(Packet {
        end: AtomicUsize::new(RUNNING),
        value: UnsafeCell::new(Value::Work(work)),
    });
    let body = Body {
        packet: Arc::into_raw(packet.clone()).cast(),
        run: run::<F, T>,
        finish: finish_packet::<F, T>,
    };
    let thread = match prepare(priority, is_isolated, body) {
        Ok(thread) => thread,
        Err(error) => {
            // SAFETY: this is the count that the thread would have had.
            drop(unsafe { Arc::from_raw(Arc::as_ptr(&packet)) });
            return Err(error);
        }
    };
    super::preemption::allow();
    super::deliver(thread);
    Ok(JoinHandle {
        thread: ThreadRef(thread),
        packet,
    })
}

/// Not generic: it is the same for all threads.
fn prepare(priority: Priority, is_isolated: bool, body: Body) -> Result<&'static Thread, Error> {
    let thread = store::take()?;
    thread.priority.store(priority as u8, Relaxed);
    thread.is_isolated.store(is_isolated, Relaxed);
    thread.home.store(Scheduler::for_new_threads(), Relaxed);
    let top = core::ptr::with_exposed_provenance_mut(thread.stack_top.load(Relaxed));
    // SAFETY: the thread is this function's until it is delivered.
    unsafe {
        *thread.body.get() = Some(body);
        *thread.stack_pointer.get() = switch::prepare(top, begin);
    }
    Ok(thread)
}

/// Where a new thread begins, with a stack pointer as before a call.
#[unsafe(naked)]
extern "sysv64" fn begin() -> ! {
    core::arch::naked_asm!("xor ebp, ebp", "call {life}", "ud2", life = sym life)
}

/// All that a thread does.
extern "sysv64" fn life() -> ! {
    let thread = current_thread();
    // SAFETY: only the thread itself uses its body.
    let body = unsafe { &mut *thread.body.get() };
    if let Some(body) = body {
        // SAFETY: the packet is the body's, and its value the thread's.
        unsafe { (body.run)(body.packet) };
    }
    end(thread, ENDED)
}

/// Ends the running thread, whatever it was doing.
pub extern "sysv64" fn fail() -> ! {
    end(current_thread(), FAILED)
}

fn end(thread: &'static Thread, how: usize) -> ! {
    // SAFETY: only the thread itself uses its body.
    if let Some(body) = unsafe { (*thread.body.get()).take() } {
        // SAFETY: the count of the packet was the body's.
        unsafe { (body.finish)(body.packet, how) };
    }
    dispatcher::disable();
    Scheduler::here().leave(thread, Action::End);
    unreachable!("a thread that has ended is in no queue");
}
