//! What a CPU does when the running activation cannot go on: the next one, or nothing.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;
use kiln_object::Error;
use kiln_object::call::ReturnWord;
use kiln_object::layout::MAIN_STACK_TOP;
use spin::Mutex;

use super::activation::{Activation, State};
use super::entry::{CallFrame, USER_FLAGS, enter_user};
use super::local::{
    clear_current, current_activation, set_activation, set_thread_pointer, take_thread_pointer,
};
use super::native::{answer_error, clear};
use super::{current_dispatcher, extended_state, set_current};
use crate::power::{self, ExitStatus};
use crate::process::{Dispatcher, Process};
use crate::{processor, time};

/// Activations of the boot CPU, in starting order. Other CPUs have none yet.
static ACTIVATIONS: Mutex<Vec<&'static Activation>> = Mutex::new(Vec::new());

/// Adds an activation; it starts when those before it wait.
pub fn add(activation: &'static Activation) {
    ACTIVATIONS.lock().push(activation);
}

/// Starts running activations on this CPU, for good.
pub fn start() -> ! {
    super::local::initialise();
    // SAFETY: the entry treats everything as the user's, and starts on the user's stack and GS.
    unsafe { processor::syscall::initialise(super::entry::syscall_entry as *const () as u64) };
    let mut frame = CallFrame {
        rflags: USER_FLAGS,
        ..CallFrame::default()
    };
    next(&mut frame);
    // SAFETY: `next` has set the current dispatcher and filled the frame with a user context.
    unsafe { enter_user(&frame) }
}

/// Lets the caller wait: its activation goes on when a soft interrupt is pending for the calling
/// dispatcher or at `deadline` (monotonic ns).
pub(super) fn wait(frame: &mut CallFrame, deadline: u64) {
    let (Some(dispatcher), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return;
    };
    let extended = match activation.hide_extended_state() {
        Ok(extended) => extended,
        Err(error) => return answer_error(frame, error),
    };
    activation.pause(time::monotonic_ns());
    activation.set_state(State::Waiting {
        dispatcher,
        deadline,
        rip: frame.rip,
        rsp: frame.rsp,
        thread_pointer: take_thread_pointer(),
        extended,
    });
    next(frame);
}

/// Fills `frame` with the next activation that can go on, waiting for one if there is none.
fn next(frame: &mut CallFrame) {
    loop {
        if let Some(activation) = ready() {
            if resume(activation, frame) {
                return;
            }
            continue;
        }
        clear_current();
        if let Some(deadline) = earliest_deadline() {
            time::timer::arm(deadline);
        }
        processor::wait_for_interrupt();
    }
}

/// Nanoseconds of processor time that the running activation has used.
#[must_use]
pub fn processor_time() -> u64 {
    current_activation().map_or(0, |activation| activation.busy(time::monotonic_ns()))
}

fn ready() -> Option<&'static Activation> {
    let now = time::monotonic_ns();
    ACTIVATIONS
        .lock()
        .iter()
        .copied()
        .find(|activation| match activation.state() {
            State::New { .. } | State::Stranded => true,
            State::Waiting {
                dispatcher,
                deadline,
                ..
            } => deadline <= now || dispatcher.page().pending.load(Ordering::Acquire) != 0,
            State::Running | State::Ended => false,
        })
}

fn earliest_deadline() -> Option<u64> {
    ACTIVATIONS
        .lock()
        .iter()
        .filter_map(|activation| match activation.state() {
            State::Waiting { deadline, .. } if deadline != u64::MAX => Some(deadline),
            _ => None,
        })
        .min()
}

/// Fills `frame` with where the activation goes on; false if there is no such place left.
fn resume(activation: &'static Activation, frame: &mut CallFrame) -> bool {
    set_activation(activation);
    match activation.state() {
        State::New { entry } => {
            set_current(activation.home());
            set_thread_pointer(0);
            extended_state::reset();
            frame.rip = entry;
            frame.rsp = MAIN_STACK_TOP;
            clear(frame);
        }
        State::Waiting {
            dispatcher,
            rip,
            rsp,
            thread_pointer,
            extended,
            ..
        } => {
            set_current(dispatcher);
            set_thread_pointer(thread_pointer);
            extended.reveal();
            frame.rip = rip;
            frame.rsp = rsp;
            clear(frame);
            frame.rax = ReturnWord::answer(0, 0);
            frame.rdx = dispatcher.page().pending.load(Ordering::Acquire);
        }
        State::Stranded => {
            if !unwind(activation, frame) {
                return false;
            }
        }
        State::Running | State::Ended => return false,
    }
    activation.begin(time::monotonic_ns());
    activation.set_state(State::Running);
    true
}

/// Ends the current process with a status that it chose.
pub(super) fn exit_current(status: u32) -> ! {
    let Some(dispatcher) = current_dispatcher() else {
        power::off(ExitStatus::Panic)
    };
    end(dispatcher.process(), status)
}

/// Ends the current process because of what it did.
pub fn end_current(what: &str, status: u32) -> ! {
    let Some(dispatcher) = current_dispatcher() else {
        power::off(ExitStatus::Panic)
    };
    let process = dispatcher.process();
    crate::error!("{} {what} and was ended", process.name());
    end(process, status)
}

fn end(process: &'static Process, status: u32) -> ! {
    if process.is_program() {
        power::off(ExitStatus::Code((status & 0xff) as u8));
    }
    process.mark_ended(status);
    for activation in ACTIVATIONS.lock().iter() {
        activation.forget(process);
    }
    let mut frame = CallFrame {
        rflags: USER_FLAGS,
        ..CallFrame::default()
    };
    if !current_activation().is_some_and(|activation| unwind(activation, &mut frame)) {
        next(&mut frame);
    }
    process.release();
    // SAFETY: `unwind` or `next` has set the current dispatcher and the frame.
    unsafe { enter_user(&frame) }
}

/// Ends a call whose caller has ended meanwhile: those further out are told.
#[cold]
pub(super) fn give_back_to_nobody(
    frame: &mut CallFrame,
    callee: &Dispatcher,
    activation: &'static Activation,
) {
    let Some(slot) = activation.take_orphan() else {
        return answer_error(frame, Error::BadMethod);
    };
    callee.free_slot(slot);
    if !unwind(activation, frame) {
        next(frame);
    }
}

/// Answers the innermost caller that still lives; without one the activation has ended.
fn unwind(activation: &Activation, frame: &mut CallFrame) -> bool {
    loop {
        let Some(record) = activation.pop() else {
            // Its callee has ended with it or was left before: the slot is nobody's.
            if activation.take_orphan().is_some() {
                continue;
            }
            activation.set_state(State::Ended);
            return false;
        };
        set_current(record.caller);
        set_thread_pointer(record.thread_pointer);
        record.extended.reveal();
        frame.rip = record.rip;
        frame.rsp = record.rsp;
        clear(frame);
        frame.rax = ReturnWord::answer(Error::ServerDied.code(), 0);
        return true;
    }
}
