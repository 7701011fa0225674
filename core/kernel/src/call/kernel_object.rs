//! Calls to the kernel's own objects: the same registers, no address space to switch.

use core::cell::Cell;
use core::slice;

use kiln_object::call::{
    CALL_WORDS, CallWord, FIRST_UNIVERSAL_METHOD, MESSAGE_BYTES, RETURN_WORDS, ReturnWord,
    universal,
};
use kiln_object::trace::directory::Counter;
use kiln_object::{
    Caller, Error, Incoming, ObjectName, Outgoing, ProcessId, Processor, Reply, Rights,
};

use super::current_dispatcher;
use super::entry::{CallFrame, USER_FLAGS, enter_user};
use super::local::exchange;
use super::native::{answer_error, clear};
use super::run::{self, page_wait};
use crate::memory::{Frame, frames, user_copy};
use crate::process::{self, Dispatcher, Process};
use crate::processor::PerCpu;

/// What a method wants done once its answer stands: it cannot leave the caller by itself.
#[derive(Clone, Copy, Debug, Default)]
pub enum Afterwards {
    /// Nothing: back to the caller.
    #[default]
    Nothing,
    /// Wait for a soft interrupt or until a time (ns).
    Wait(u64),
    /// End the caller's process with a status.
    Exit(u32),
}

/// Bit of [`PerCpu::flags`]: something is to be done after the running method's answer.
const AFTERWARDS: u32 = 1 << 0;

/// This CPU's room for the bytes of a call to a kernel object, and what is to be done after it.
pub(super) struct Exchange {
    input: Frame,
    output: Frame,
    afterwards: Cell<Afterwards>,
}

impl Exchange {
    /// Takes the two pages; `None` without memory.
    pub(super) fn create() -> Option<Self> {
        let (input, output) = (frames::allocate_zeroed()?, frames::allocate_zeroed()?);
        Some(Self {
            input,
            output,
            afterwards: Cell::new(Afterwards::Nothing),
        })
    }

    /// The first bytes of both pages.
    ///
    /// # Safety
    /// The slices of an earlier use on this CPU are no longer used.
    #[expect(
        clippy::mut_from_ref,
        reason = "the pages are outside, and the contract says who uses them"
    )]
    unsafe fn buffers(&self, input: usize, output: usize) -> (&mut [u8], &mut [u8]) {
        // SAFETY: the pages are this CPU's for good and distinct, the lengths clamped to theirs.
        unsafe {
            (
                slice::from_raw_parts_mut(self.input.pointer(), input.min(MESSAGE_BYTES)),
                slice::from_raw_parts_mut(self.output.pointer(), output.min(MESSAGE_BYTES)),
            )
        }
    }
}

/// This CPU's room for the bytes of a call that the kernel serves; `None` before it takes any.
///
/// # Safety
/// The slices of an earlier use on this CPU are no longer used.
pub(crate) unsafe fn buffers(
    input: usize,
    output: usize,
) -> Option<(&'static mut [u8], &'static mut [u8])> {
    // SAFETY: by the contract.
    exchange().map(|exchange| unsafe { exchange.buffers(input, output) })
}

/// Asks for something to be done after the running method's answer.
pub fn afterwards(what: Afterwards) {
    if let Some(exchange) = exchange() {
        exchange.afterwards.set(what);
        let flags = &PerCpu::here().flags;
        flags.set(flags.get() | AFTERWARDS);
    }
}

/// What the straight line pushes for a call without bytes.
#[repr(C)]
pub(super) struct QuickFrame {
    /// Argument words, of which the first four become the result's.
    pub(super) words: [u64; CALL_WORDS],
    rip: u64,
    rsp: u64,
}

impl QuickFrame {
    /// The same as the general case has it, all in the places of arguments.
    pub(super) fn to_call_frame(&self) -> CallFrame {
        let [rdx, r8, r9, r10, r12, r13] = self.words;
        CallFrame {
            rdx,
            r8,
            r9,
            r10,
            r12,
            r13,
            rip: self.rip,
            rsp: self.rsp,
            rflags: USER_FLAGS,
            ..CallFrame::default()
        }
    }
}

/// Serves a call without bytes of a method that is not universal; answers what `rax` is to hold.
pub(super) unsafe extern "sysv64" fn quick(
    frame: &mut QuickFrame,
    name: ObjectName,
    method: u16,
    dispatcher: &'static Dispatcher,
) -> u64 {
    crate::event!(KernelCall, u32::from(method), 0, name.raw());
    dispatcher.account().count(Counter::KernelCalls);
    dispatcher.enter_objects();
    // SAFETY: `enter_objects` makes who takes the object away wait until `leave_objects`.
    let found = unsafe { dispatcher.process().objects.find(name) };
    let answer = match found {
        Some((object, rights)) => object.dispatch(Incoming {
            caller: Caller(dispatcher.process_id()),
            processor: Processor::new(dispatcher.cpu()),
            rights,
            method,
            words: &frame.words,
            input: &[],
            output: &mut [],
        }),
        None => Err(Error::BadReference.into()),
    };
    dispatcher.leave_objects();
    let status = match answer {
        Ok(reply) if reply.output == 0 => {
            frame.words[..RETURN_WORDS].copy_from_slice(&reply.words);
            0
        }
        other => failed(frame, other),
    };
    crate::event!(KernelReturn, u32::from(status));
    if PerCpu::here().flags.get() & AFTERWARDS != 0 {
        finish(frame, status);
    }
    ReturnWord::answer(status, 0)
}

/// Empties the result words and answers the status.
#[cold]
#[inline(never)]
fn failed(frame: &mut QuickFrame, answer: Outgoing) -> u16 {
    frame.words = [0; CALL_WORDS];
    match answer {
        Err(failure) if failure.output == 0 => failure.error.code(),
        _ => Error::BadAnswer.code(),
    }
}

/// Does what the method asked for, when it has answered; does not come back.
#[cold]
#[inline(never)]
fn finish(quick: &QuickFrame, status: u16) -> ! {
    let mut frame = CallFrame {
        rax: ReturnWord::answer(status, 0),
        r12: 0,
        r13: 0,
        ..quick.to_call_frame()
    };
    do_afterwards(&mut frame);
    // SAFETY: the frame is a user context: the caller's, or what the scheduler has put in its place.
    unsafe { enter_user(&frame) }
}

/// Serves one call.
pub(super) fn call(frame: &mut CallFrame, word: CallWord) {
    crate::event!(KernelCall, u32::from(word.method()), 0, frame.rsi);
    match serve(frame, word) {
        Ok((reply, status, written)) => {
            clear(frame);
            frame.rax = ReturnWord::answer(status, written as u16);
            [frame.rdx, frame.r8, frame.r9, frame.r10] = reply.words;
            if page_wait::is_kept() {
                page_wait::answer_later(frame);
                return;
            }
        }
        Err(Error::BadBuffer) if page_wait::enter_again(frame) => return,
        Err(error) => answer_error(frame, error),
    }
    crate::event!(KernelReturn, u32::from(ReturnWord(frame.rax).status()));
    do_afterwards(frame);
}

fn do_afterwards(frame: &mut CallFrame) {
    let Some(exchange) = exchange() else { return };
    let flags = &PerCpu::here().flags;
    flags.set(flags.get() & !AFTERWARDS);
    match exchange.afterwards.take() {
        Afterwards::Nothing => {}
        Afterwards::Wait(deadline) => run::wait(frame, deadline),
        Afterwards::Exit(status) => run::exit_current(status),
    }
}

fn serve(frame: &CallFrame, word: CallWord) -> Result<(Reply, u16, usize), Error> {
    let dispatcher = current_dispatcher().ok_or(Error::BadMethod)?;
    dispatcher.account().count(Counter::KernelCalls);
    let exchange = exchange().ok_or(Error::Exhausted)?;
    if word.input() > MESSAGE_BYTES || word.output() > MESSAGE_BYTES {
        return Err(Error::TooLarge);
    }
    let name = ObjectName::from_raw(frame.rsi);
    let words = [
        frame.rdx, frame.r8, frame.r9, frame.r10, frame.r12, frame.r13,
    ];
    if word.method() >= FIRST_UNIVERSAL_METHOD {
        return universal_method(dispatcher, exchange, name, frame, word);
    }
    // SAFETY: the kernel is not interrupted, and no method calls another kernel object by this path.
    let (input, output) = unsafe { exchange.buffers(word.input(), word.output()) };
    if !input.is_empty() {
        user_copy::copy_in(input, frame.r14).map_err(|_| Error::BadBuffer)?;
    }
    dispatcher.enter_objects();
    // SAFETY: as in `quick`.
    let found = unsafe { dispatcher.process().objects.find(name) };
    let answer = found.map(|(object, rights)| {
        object.dispatch(Incoming {
            caller: Caller(dispatcher.process_id()),
            processor: Processor::new(dispatcher.cpu()),
            rights,
            method: word.method(),
            words: &words,
            input,
            output: &mut *output,
        })
    });
    dispatcher.leave_objects();
    let (reply, status, written) = match answer.ok_or(Error::BadReference)? {
        Ok(reply) => (reply, 0, reply.output),
        Err(failure) => (Reply::default(), failure.error.code(), failure.output),
    };
    let answer = output.get(..written).ok_or(Error::BadAnswer)?;
    if !answer.is_empty() {
        copy_answer(frame.r15, answer)?;
    }
    Ok((reply, status, written))
}

/// Copies an answer's bytes to the caller, or keeps them until they can be.
fn copy_answer(to: u64, bytes: &[u8]) -> Result<(), Error> {
    if user_copy::copy_out(to, bytes).is_err() && !page_wait::keep_answer(to, bytes) {
        return Err(Error::BadBuffer);
    }
    Ok(())
}

/// A method that all objects have, of an object of `caller`.
fn universal_method(
    dispatcher: &'static Dispatcher,
    exchange: &Exchange,
    name: ObjectName,
    frame: &CallFrame,
    word: CallWord,
) -> Result<(Reply, u16, usize), Error> {
    if word.method() != universal::COUNTS {
        let word = universal(
            dispatcher.process(),
            name,
            word.method(),
            [frame.rdx, frame.r8],
        )?;
        let words = [word, 0, 0, 0];
        return Ok((Reply { words, output: 0 }, 0, 0));
    }
    let (object, rights) = dispatcher.process().objects.lookup(name)?;
    if !rights.contains(Rights::CONTROL) {
        return Err(Error::Denied);
    }
    // SAFETY: as for every call; nothing else of this one uses the pages.
    let (_, output) = unsafe { exchange.buffers(0, word.output()) };
    let written = object.counts(output);
    let answer = output.get(..written).ok_or(Error::BadAnswer)?;
    if !answer.is_empty() {
        copy_answer(frame.r15, answer)?;
    }
    Ok((Reply::default(), 0, written))
}

/// The same without bytes: answers the first result word.
///
/// # Errors
/// As `kiln_object::call::universal` says of each.
pub(crate) fn universal(
    caller: &'static Process,
    name: ObjectName,
    method: u16,
    [first, second]: [u64; 2],
) -> Result<u64, Error> {
    match method {
        universal::GRANT => {
            let (object, rights) = caller.objects.lookup(name)?;
            if !rights.contains(Rights::GRANT) {
                return Err(Error::Denied);
            }
            let (to, wanted) = (first, second);
            let receiver = process::find(ProcessId::from_raw(to)).ok_or(Error::ServerDied)?;
            let wanted = u32::try_from(wanted).map_err(|_| Error::BadArgument)?;
            let kept = rights & Rights::from_bits_retain(wanted);
            // The giver pays: nobody's share can be used up by what others give him.
            let name = receiver.give(object, kept, &caller.share)?;
            Ok(name.raw())
        }
        universal::RELEASE => caller.release_object(name).map(|()| 0),
        universal::TAKE_BACK => {
            caller.objects.lookup(name)?;
            let receiver = process::find(ProcessId::from_raw(first)).ok_or(Error::BadReference)?;
            let given = ObjectName::from_raw(second);
            if !receiver.objects.is_paid_by(given, &caller.share)? {
                return Err(Error::BadReference);
            }
            receiver.release_object(given).map(|()| 0)
        }
        universal::ACCEPT => {
            let (object, rights) = caller.objects.lookup(name)?;
            let giver = process::find(ProcessId::from_raw(first)).ok_or(Error::Denied)?;
            if !caller.objects.is_paid_by(name, &giver.share)? {
                return Err(Error::Denied);
            }
            if object.interface_hash() != second {
                return Err(Error::WrongInterface);
            }
            Ok(u64::from(rights.bits()))
        }
        _ => Err(Error::BadMethod),
    }
}
