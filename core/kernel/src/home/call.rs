//! Calls to servers in the kernel, and theirs to the kernel's objects.
//!
//! The caller's bytes are copied before the server runs and its answer after, as between address
//! spaces: what serves a call never sees the caller's memory. The way out of the kernel empties the vector
//! registers, in which a server may have left what is no business of its caller.

use kiln_object::call::{CALL_WORDS, CallWord, FIRST_UNIVERSAL_METHOD, Operation, ReturnWord};
use kiln_object::message_ring::Message;
use kiln_object::trace::directory::Counter;
use kiln_object::{
    Bytes, Caller, Error, Incoming, ObjectName, ProcessId, Processor, RawReference, Reply, Rights,
};

use super::heap::Serving;
use super::{of, process};
use crate::call::current_dispatcher;
use crate::call::entry::CallFrame;
use crate::call::kernel_object::{buffers, universal};
use crate::call::local::current_activation;
use crate::call::native::clear;
use crate::memory::user_copy;
use crate::process::Process;
use crate::processor::PerCpu;
use crate::schedule::page_wait;

/// Serves a call of `caller` to `target`, which has no entry in user space, or takes a one-way message, if
/// `word` is one for that. The lengths in it are those of messages.
///
/// # Errors
/// `Busy` if that is because it is not ready yet; else why the call does not get there.
#[cold]
#[inline(never)]
pub(crate) fn call(
    caller: &Process,
    target: &Process,
    frame: &mut CallFrame,
    word: CallWord,
) -> Result<(), Error> {
    let home = of(target).ok_or(Error::Busy)?;
    // SAFETY: the kernel is not interrupted, and what a server calls in the kernel has its bytes
    // where the server has them.
    let (input, output) =
        unsafe { buffers(word.input(), word.output()) }.ok_or(Error::Exhausted)?;
    if !input.is_empty() {
        user_copy::copy_in(input, frame.r14).map_err(|_| Error::BadBuffer)?;
    }
    let words = [
        frame.rdx, frame.r8, frame.r9, frame.r10, frame.r12, frame.r13,
    ];
    if let Some(dispatcher) = current_dispatcher() {
        dispatcher.account().count(Counter::CallsOut);
    }
    let depth = current_activation().map_or(0, |activation| activation.depth() as u32) << 16;
    crate::event!(
        Call,
        u32::from(word.method()) | depth,
        target.id().raw(),
        frame.rsi
    );
    let answer = {
        let _serving = Serving::begin(true);
        let mut call = Incoming {
            words,
            caller: Caller(caller.id()),
            method: word.method(),
            processor: Processor::new(PerCpu::here().cpu_number.get()),
            rights: Rights::empty(),
            bytes: Some(&mut Bytes {
                input,
                output: &mut *output,
            }),
        };
        let run = if word.tag() == Operation::Send as u16 {
            home.deliver
        } else {
            home.serve
        };
        let answer = run(&mut call, ObjectName::from_raw(frame.rsi));
        answer.outcome(&call)
    };
    let (reply, status, written) = match answer {
        Ok(reply) => (reply, 0, reply.output),
        Err(failure) => (Reply::default(), failure.error.code(), failure.output),
    };
    crate::event!(Return, u32::from(status) | depth, target.id().raw());
    let answer = output.get(..written).ok_or(Error::BadAnswer)?;
    let later = !answer.is_empty() && user_copy::copy_out(frame.r15, answer).is_err() && {
        if !page_wait::keep_answer(frame.r15, answer) {
            return Err(Error::BadBuffer);
        }
        true
    };
    clear(frame);
    frame.rax = ReturnWord::answer(status, written as u16);
    [frame.rdx, frame.r8, frame.r9, frame.r10] = reply.words;
    if later {
        page_wait::answer_later(frame);
    }
    Ok(())
}

/// Has the servers here, which are `target`, take a message of the kernel's own at once. The caller holds no
/// lock, and no server here runs on this processor: it could hold what the message needs.
///
/// # Errors
/// `Busy` if one does; else why the message was not taken.
#[cold]
#[inline(never)]
pub(crate) fn tell(target: &Process, message: &Message) -> Result<(), Error> {
    let home = of(target).ok_or(Error::Unsupported)?;
    if PerCpu::here().serving.get() {
        return Err(Error::Busy);
    }
    let _serving = Serving::begin(true);
    let mut call = Incoming {
        words: message.words,
        caller: Caller(ProcessId::from_raw(message.caller)),
        method: message.method,
        processor: Processor::new(PerCpu::number()),
        rights: Rights::empty(),
        bytes: None,
    };
    crate::event!(
        Send,
        u32::from(message.method),
        target.id().raw(),
        message.object
    );
    let answer = (home.deliver)(&mut call, ObjectName::from_raw(message.object));
    answer
        .outcome(&call)
        .map(|_| ())
        .map_err(|failure| failure.error)
}

/// Calls a kernel object in the servers' name.
///
/// # Errors
/// What the object answers, or why there is none.
pub(crate) fn call_kernel(
    reference: RawReference,
    method: u16,
    words: &[u64; CALL_WORDS],
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Error> {
    let process = process().ok_or(Error::BadReference)?;
    // What the kernel notes for it is the kernel's.
    let _serving = Serving::begin(false);
    if method >= FIRST_UNIVERSAL_METHOD {
        let [first, second, ..] = *words;
        let word = universal(process, reference.object, method, [first, second])?;
        let words = [word, 0, 0, 0];
        return Ok(Reply { words, output: 0 });
    }
    let (object, rights) = process.objects.lookup(reference.object)?;
    let room = output.len();
    let call = Incoming {
        words: *words,
        caller: Caller(process.id()),
        method,
        processor: Processor::new(PerCpu::number()),
        rights,
        bytes: Some(&mut Bytes { input, output }),
    };
    let reply = call.ask(&*object).map_err(|failure| failure.error)?;
    if reply.output > room {
        return Err(Error::BadAnswer);
    }
    Ok(reply)
}
