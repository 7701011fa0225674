//! Waiting for signals.

use core::sync::atomic::Ordering::Relaxed;

use super::{UNSTOPPABLE, action::check_mask_size, interrupts_wait};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::time::TimeSpec;
use crate::{LINUX, files, program_memory};

/// Waits until a signal is to be handled.
fn wait_for_signal() -> Errno {
    while !interrupts_wait() {
        match files::pause(None) {
            Ok(()) => {}
            Err(errno) => return errno,
        }
    }
    Errno::EINTR
}

/// `pause()`.
///
/// # Errors
/// `EINTR`, when a handler has run.
pub fn pause(_call: &Call<'_>) -> Answer {
    Err(wait_for_signal())
}

/// `rt_sigsuspend(mask, mask size)`: waits under another mask.
///
/// # Errors
/// `EINTR`, when a handler has run; `EINVAL`, `EFAULT`.
pub fn rt_sigsuspend(call: &Call<'_>) -> Answer {
    check_mask_size(call, 1)?;
    let mask: u64 = program_memory::read(call.pointer(0))?;
    let signals = &LINUX.signal;
    let old = signals.blocked.swap(mask & !UNSTOPPABLE, Relaxed);
    *signals.mask_to_restore.lock() = Some(old);
    Err(wait_for_signal())
}

/// Runs `wait` under the mask of `size` bytes at `address`; under the present one if that is null.
///
/// # Errors
/// Those of `wait`; `EINVAL`, `EFAULT`.
pub fn under_mask(address: u64, size: u64, wait: impl FnOnce() -> Answer) -> Answer {
    if address == 0 {
        return wait();
    }
    if size != size_of::<u64>() as u64 {
        return Err(Errno::EINVAL);
    }
    let mask: u64 = program_memory::read(address)?;
    let signals = &LINUX.signal;
    let old = signals.blocked.swap(mask & !UNSTOPPABLE, Relaxed);
    let answer = wait();
    if answer == Err(Errno::EINTR) {
        // The signal that ended the wait is delivered under the mask that let it in.
        *signals.mask_to_restore.lock() = Some(old);
    } else {
        signals.blocked.store(old, Relaxed);
    }
    answer
}

/// `rt_sigtimedwait(set, information, timeout, mask size)`: answers the signal.
///
/// # Errors
/// `EAGAIN` if none came in time; `EINTR` if another one did; `EINVAL`, `EFAULT`.
pub fn rt_sigtimedwait(call: &Call<'_>) -> Answer {
    check_mask_size(call, 3)?;
    let wanted: u64 = program_memory::read(call.pointer(0))?;
    let wanted = wanted & !UNSTOPPABLE;
    let deadline = match call.pointer(2) {
        0 => None,
        address => {
            let timeout: TimeSpec = program_memory::read(address)?;
            let now = kiln_runtime::time::monotonic_ns();
            Some(now.saturating_add(timeout.to_ns()?))
        }
    };
    let signals = &LINUX.signal;
    loop {
        crate::time::expire();
        if let Some(information) = signals.pending.lock().take(wanted, signals) {
            program_memory::write_if_wanted(call.pointer(1), &information)?;
            return Ok(u64::from(information.signal()));
        }
        if interrupts_wait() {
            return Err(Errno::EINTR);
        }
        if deadline.is_some_and(|deadline| kiln_runtime::time::monotonic_ns() >= deadline) {
            return Err(Errno::EAGAIN);
        }
        match files::pause(deadline) {
            Ok(()) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
