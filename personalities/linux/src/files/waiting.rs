//! Waiting until something may have happened.
//!
//! One thread runs, so whatever it waits for comes from outside: the console, a timer. A typed
//! signal takes effect here.

use crate::errno::Errno;

/// Waits until something may have changed or the monotonic time `deadline` (ns) is reached. The
/// caller looks again at what it waits for.
///
/// # Errors
/// `EINTR` if a signal wants to be handled first.
#[cfg(not(test))]
pub fn pause(deadline: Option<u64>) -> Result<(), Errno> {
    use core::sync::atomic::Ordering;

    use kiln_interface::kernel::Process as _;
    use kiln_object::dispatcher::soft_interrupt;

    use crate::{signal, time};

    if signal::interrupts_wait() {
        return Err(Errno::EINTR);
    }
    // These two say nothing that the waiter could miss, and would end every wait at once.
    let stale = soft_interrupt::TIMER | soft_interrupt::PREEMPT;
    let told = kiln_runtime::dispatcher::page()
        .pending
        .fetch_and(!stale, Ordering::AcqRel);
    if told & soft_interrupt::TIMER != 0 {
        time::arm();
    }
    let deadline = time::earliest(deadline).unwrap_or(u64::MAX);
    kiln_runtime::process().wait(deadline)?;
    crate::LINUX.terminal.pump();
    if signal::interrupts_wait() {
        return Err(Errno::EINTR);
    }
    Ok(())
}

/// Nothing comes to a test: whoever waits is told so.
#[cfg(test)]
pub fn pause(_deadline: Option<u64>) -> Result<(), Errno> {
    Err(Errno::EINTR)
}
