//! Sending signals: to this process, as there is no other.

use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general as abi;

use super::{Information, SIGNALS, bit};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::process::identity::PROCESS;
use crate::{LINUX, program_memory};

/// `si_code` of `kill`.
const SI_USER: i32 = 0;
/// `si_code` of `tgkill`.
const SI_TKILL: i32 = -6;

/// Lets a signal wait for delivery, unless it is ignored and not blocked.
pub fn send(signal: u32, information: Information) {
    // The kernel's own signals are never so many that the queue is full.
    let _ = enqueue(signal, information);
}

fn enqueue(signal: u32, information: Information) -> Result<(), Errno> {
    if signal == abi::SIGKILL {
        super::terminate(signal);
    }
    let signals = &LINUX.signal;
    let blocked = signals.blocked.load(Relaxed) & bit(signal) != 0;
    if signals.action(signal).ignores(signal) && !blocked {
        return Ok(());
    }
    let information = information.with_signal(signal);
    signals.pending.lock().add(information, signals)
}

/// Lets the signal of a created timer wait for delivery: the timer has run out `times` times. If its
/// signal waits already, that one counts them. Answers how often it ran out without a signal.
pub fn send_of_timer(signal: u32, timer: i32, value: u64, times: u64) -> u64 {
    let signals = &LINUX.signal;
    if let Some(overrun) = signals.pending.lock().add_overrun(signal, timer, times) {
        return overrun;
    }
    let overrun = times - 1;
    send(
        signal,
        Information::timer(signal, timer, overrun as u32, value),
    );
    overrun
}

/// A key typed at the terminal means `signal`.
pub fn send_from_terminal(signal: i32) {
    let signal = signal as u32;
    send(signal, Information::kernel(signal));
}

fn check_signal(signal: u32) -> Result<u32, Errno> {
    if signal > SIGNALS {
        return Err(Errno::EINVAL);
    }
    Ok(signal)
}

fn send_as(signal: u32, code: i32) -> Answer {
    if check_signal(signal)? != 0 {
        enqueue(signal, Information::from_process(signal, code))?;
    }
    Ok(0)
}

/// `kill(process, signal)`: the process by number, its group, or all that it may signal.
///
/// # Errors
/// `EINVAL`; `ESRCH` for a process that is not there.
pub fn kill(call: &Call<'_>) -> Answer {
    let signal = check_signal(call.unsigned(1))?;
    let own = PROCESS as i32;
    match call.integer(0) {
        0 => send_as(signal, SI_USER),
        process if process == own => send_as(signal, SI_USER),
        // The group of that number; -1 means everybody else.
        process if process != -1 && process == -own => send_as(signal, SI_USER),
        _ => Err(Errno::ESRCH),
    }
}

fn check_thread(thread: i32) -> Result<(), Errno> {
    if thread <= 0 {
        return Err(Errno::EINVAL);
    }
    if thread != PROCESS as i32 {
        return Err(Errno::ESRCH);
    }
    Ok(())
}

/// `tkill(thread, signal)`.
///
/// # Errors
/// As [`kill`].
pub fn tkill(call: &Call<'_>) -> Answer {
    check_thread(call.integer(0))?;
    send_as(call.unsigned(1), SI_TKILL)
}

/// `tgkill(process, thread, signal)`.
///
/// # Errors
/// As [`kill`].
pub fn tgkill(call: &Call<'_>) -> Answer {
    check_thread(call.integer(0))?;
    check_thread(call.integer(1))?;
    send_as(call.unsigned(2), SI_TKILL)
}

fn send_with(process: i32, signal: u32, address: u64) -> Answer {
    check_thread(process)?;
    let signal = check_signal(signal)?;
    let information: Information = program_memory::read(address)?;
    if signal != 0 {
        enqueue(signal, information)?;
    }
    Ok(0)
}

/// `rt_sigqueueinfo(process, signal, information)`.
///
/// # Errors
/// As [`kill`]; `EAGAIN` if too many signals wait; `EFAULT`.
pub fn rt_sigqueueinfo(call: &Call<'_>) -> Answer {
    send_with(call.integer(0), call.unsigned(1), call.pointer(2))
}

/// `rt_tgsigqueueinfo(process, thread, signal, information)`.
///
/// # Errors
/// As [`rt_sigqueueinfo`].
pub fn rt_tgsigqueueinfo(call: &Call<'_>) -> Answer {
    check_thread(call.integer(0))?;
    send_with(call.integer(1), call.unsigned(2), call.pointer(3))
}
