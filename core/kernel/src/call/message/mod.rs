//! One-way messages: a word in the receiver's ring, and nobody waits.
//!
//! The receiver gets them in the dispatcher on the sender's processor, if it has an activation there:
//! then nothing that another processor writes is touched. Else it is that of its first activation. A
//! server in the kernel gets its messages at once. `straight_line` is the common case.

pub(super) mod straight_line;

use kiln_object::call::{CallWord, ReturnWord};
use kiln_object::dispatcher::soft_interrupt::MESSAGE;
use kiln_object::message_ring::Message;
use kiln_object::trace::Reason;
use kiln_object::{Error, ProcessId};

use super::current_dispatcher;
use super::entry::CallFrame;
use super::local::current_activation;
use super::native::{answer_error, clear};
use crate::process::{self, Dispatcher, Process};
use crate::processor::PerCpu;
use crate::schedule::{self, waiters};
use crate::{home, soft_interrupt};

/// What becomes of a message that there was no room for at first.
enum Sent {
    /// It is sent.
    Now,
    /// The sender tries again, or another goes on in its place, as the frame says.
    Later,
}

/// The receiver has no ring, has not begun, or its ring is full. `frame` is the sender's as it came.
#[cold]
fn not_now(
    frame: &mut CallFrame,
    message: &Message,
    sender: &'static Dispatcher,
    target: ProcessId,
) -> Result<Sent, Error> {
    let receiver = process::find(target).ok_or(Error::ServerDied)?;
    let word = CallWord::one_way(message.method);
    // What lives in the kernel has no ring and needs none.
    if home::is_in_kernel(receiver) {
        return home::call(sender.process(), receiver, frame, word).map(|()| Sent::Now);
    }
    let Some(cpu) = where_to(receiver, PerCpu::number()) else {
        if receiver.call_up()? {
            schedule::wait_for_start(frame, receiver)?;
            return Ok(Sent::Later);
        }
        return Err(Error::Busy);
    };
    let activation = current_activation().ok_or(Error::BadMethod)?;
    let dispatcher = receiver.dispatcher(cpu)?;
    let noticed =
        dispatcher
            .waiters()
            .note_caller(sender, activation, receiver, CallWord(frame.rax))?;
    match dispatcher.send_again(message) {
        Err(Error::Busy) if receiver.lives_as(target) => {
            waiters::wait(frame, noticed, receiver, Reason::Room)?;
            Ok(Sent::Later)
        }
        Err(Error::Busy) => Err(Error::ServerDied),
        Err(error) => Err(error),
        Ok(()) => {
            soft_interrupt::raise(dispatcher, MESSAGE);
            Ok(Sent::Now)
        }
    }
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
    let target = ProcessId::from_raw(frame.rdi);
    let sent = match send(target, &message) {
        Ok(()) => Ok(Sent::Now),
        Err(Error::Busy) => not_now(frame, &message, sender, target),
        Err(error) => Err(error),
    };
    match sent {
        Ok(Sent::Now) => {
            clear(frame);
            frame.rax = ReturnWord::answer(0, 0);
        }
        Ok(Sent::Later) => {}
        Err(error) => answer_error(frame, error),
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
    let own = PerCpu::here().cpu_number.get();
    let cpu = where_to(receiver, own).ok_or(Error::Busy)?;
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
    let is_told = cpu == own && dispatcher.page().attention().pending() & MESSAGE != 0;
    if !is_told {
        soft_interrupt::raise(dispatcher, MESSAGE);
    }
    Ok(())
}

/// The dispatcher that gets the running processor's messages to `target`, if that has begun.
#[must_use]
pub fn receiver(target: ProcessId) -> Option<&'static Dispatcher> {
    let receiver = process::find(target)?;
    receiver
        .dispatcher(where_to(receiver, PerCpu::number())?)
        .ok()
}

/// On which processor a message of processor `own` reaches `receiver`; on none before that has begun.
#[inline(always)]
fn where_to(receiver: &Process, own: u32) -> Option<u32> {
    let cpus = receiver.started_cpus();
    if cpus >> own & 1 != 0 {
        Some(own)
    } else if cpus != 0 {
        Some(cpus.trailing_zeros())
    } else {
        None
    }
}
