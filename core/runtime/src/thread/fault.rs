//! A panic or a fault of a thread that was started so that it ends alone.

use core::sync::atomic::Ordering::Relaxed;

use kiln_object::dispatcher::{DispatcherPage, Registers};

use super::Thread;
use crate::dispatcher::{CURRENT_THREAD, load_word, page};

/// The running thread, if it is to end alone and can: not while it holds what all depend on.
fn isolated(thread: &'static Thread, disabled: u32) -> bool {
    thread.is_isolated.load(Relaxed) && disabled == 0
}

/// Whether a panic here ends a thread alone.
#[cfg_attr(any(not(kiln_freestanding), kiln_kernel), allow(dead_code))]
pub(crate) fn ends_alone() -> bool {
    super::running().is_some_and(|thread| isolated(thread, page().disabled.load(Relaxed)))
}

/// Ends the running thread; [`ends_alone`] said that this is right.
#[cfg_attr(any(not(kiln_freestanding), kiln_kernel), allow(dead_code))]
pub(crate) fn fail_alone() -> ! {
    super::start::fail()
}

/// The thread that trapped, if it is to end alone.
pub(crate) fn who_ends_alone(page: &DispatcherPage) -> Option<&'static Thread> {
    let address = load_word::<CURRENT_THREAD>();
    // SAFETY: only addresses of threads, which live for ever, are stored there.
    let thread = unsafe { core::ptr::with_exposed_provenance::<Thread>(address).as_ref() }?;
    let stack_pointer = page.trap.registers.rsp.load(Relaxed) as usize;
    let is_its_own = thread.is_on_stack(stack_pointer);
    (is_its_own && isolated(thread, page.disabled.load(Relaxed))).then_some(thread)
}

/// Has the thread that trapped go on at its end. Its stack is used from the top: nothing on it is needed
/// any more.
pub(crate) fn end_alone(thread: &Thread, registers: &Registers) {
    // As if called.
    let top = thread.stack_top.load(Relaxed) as u64 - 8;
    registers.rsp.store(top, Relaxed);
    let fail = super::start::fail as *const () as u64;
    registers.rip.store(fail, Relaxed);
    registers.rflags.store(INITIAL_FLAGS, Relaxed);
}

/// Interrupts on, and the bit that is always one.
const INITIAL_FLAGS: u64 = 0x202;
