//! One-way messages: a word in the receiver's ring, and nobody waits.
//!
//! The receiver gets them in the dispatcher on the sender's processor, if it has an activation there:
//! then nothing that another processor writes is touched. Else it is that of its first activation. A
//! server in the kernel gets its messages at once. [`straight_line`] is the common case.

pub(super) mod straight_line;

use core::sync::atomic::Ordering;

use kiln_object::call::{CallWord, ReturnWord};
use kiln_object::dispatcher::soft_interrupt::MESSAGE;
use kiln_object::message_ring::Message;
use kiln_object::{Error, ProcessId};

use super::current_dispatcher;
use super::entry::CallFrame;
use super::native::{answer_error, clear};
use crate::process;
use crate::{home, soft_interrupt};

/// Runs the method now if the receiver lives in the kernel, which has no ring and needs none.
fn serve_at_once(frame: &mut CallFrame, target: ProcessId, method: u16) -> bool {
    let (Some(sender), Some(receiver)) = (current_dispatcher(), process::find(target)) else {
        return false;
    };
    let word = CallWord::new(method, 0, 0);
    home::call(sender.process(), receiver, frame, word).is_ok()
}

/// Sends one.
pub(super) fn call(frame: &mut CallFrame, method: u16) {
    let Some(sender) = current_dispatcher() else {
        return answer_error(frame, Error::BadMethod);
    };
    let message = Message {
        caller: sender.process_id().raw(),
        object: frame.rsi,
        method,
        words: [
            frame.rdx, frame.r8, frame.r9, frame.r10, frame.r12, frame.r13,
        ],
    };
    match send(ProcessId::from_raw(frame.rdi), &message) {
        Ok(()) => {
            clear(frame);
            frame.rax = ReturnWord::answer(0, 0);
        }
        Err(error) => {
            let target = ProcessId::from_raw(frame.rdi);
            if error == Error::Busy && serve_at_once(frame, target, method) {
                clear(frame);
                frame.rax = ReturnWord::answer(0, 0);
            } else {
                answer_error(frame, error);
            }
        }
    }
}

/// Sends a message to a process.
///
/// # Errors
/// `ServerDied` if there is no such process, `Busy` if its ring is full or it has not begun, `Exhausted`
/// without memory for the ring; `Unsupported` for the kernel, which gets none.
#[inline(always)]
pub fn send(target: ProcessId, message: &Message) -> Result<(), Error> {
    let Some(receiver) = process::find(target) else {
        return Err(if target == ProcessId::KERNEL {
            Error::Unsupported
        } else {
            Error::ServerDied
        });
    };
    let cpus = receiver.started_cpus();
    let own = crate::processor::PerCpu::here().cpu_number.get();
    let cpu = if cpus >> own & 1 != 0 {
        own
    } else if cpus != 0 {
        cpus.trailing_zeros()
    } else {
        return Err(Error::Busy);
    };
    let dispatcher = receiver.dispatcher(cpu)?;
    dispatcher.send(message)?;
    crate::event!(
        Send,
        u32::from(message.method),
        target.raw(),
        message.object
    );
    // On its own processor the receiver looks into the ring after it has cleared the bit, so one that
    // is still set tells of this message, too.
    let is_told = cpu == own && dispatcher.page().pending.load(Ordering::Relaxed) & MESSAGE != 0;
    if !is_told {
        soft_interrupt::raise(dispatcher, MESSAGE);
    }
    Ok(())
}
