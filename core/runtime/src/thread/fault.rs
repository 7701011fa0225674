//! A panic or a fault of a thread that was started so that it ends alone.

use core::sync::atomic::Ordering::Relaxed;

use kiln_object::dispatcher::{DispatcherPage, TrapFrame};

use super::Thread;
use crate::dispatcher::page;

/// The running thread, if it is to end alone and can: not while it holds what all depend on.
fn isolated(thread: &'static Thread, disabled: u32) -> bool {
    thread.is_isolated.load(Relaxed) && disabled == 0
}

/// Whether a panic here ends a thread alone.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
pub(crate) fn ends_alone() -> bool {
    super::running().is_some_and(|thread| isolated(thread, page().disabled.load(Relaxed)))
}

/// Ends the running thread; [`ends_alone`] said that this is right.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
pub(crate) fn fail_alone() -> ! {
    super::start::fail()
}

/// Has the thread that trapped go on at its end, if it is to end alone. Its stack is used from the top:
/// nothing on it is needed any more.
pub(crate) fn redirect(page: &DispatcherPage) -> bool {
    let trap: &TrapFrame = &page.trap;
    let registers = &trap.registers;
    let address = super::load_word::<{ crate::dispatcher::CURRENT_THREAD }>();
    // SAFETY: only addresses of threads, which live for ever, are stored there.
    let Some(thread) = (unsafe { core::ptr::with_exposed_provenance::<Thread>(address).as_ref() })
    else {
        return false;
    };
    let rsp = registers.rsp.load(Relaxed) as usize;
    if !thread.is_on_stack(rsp) || !isolated(thread, page.disabled.load(Relaxed)) {
        return false;
    }
    // As if called.
    let top = thread.stack_top.load(Relaxed) as u64 - 8;
    registers.rsp.store(top, Relaxed);
    registers
        .rip
        .store(super::start::fail as *const () as u64, Relaxed);
    registers.rflags.store(0x202, Relaxed);
    true
}
