//! Calls to the kernel's own objects: the same registers, no address space to switch.
//!
//! A call without bytes goes `straight_line`; what it leaves out is here.

pub(crate) mod straight_line;
mod universal;

use core::cell::Cell;
use core::slice;

use kiln_object::call::{CallWord, FIRST_UNIVERSAL_METHOD, MESSAGE_BYTES, ReturnWord};
use kiln_object::trace::directory::Counter;
use kiln_object::{Bytes, Caller, Error, Incoming, ObjectName, Processor, Reply};

use super::current_dispatcher;
use super::entry::CallFrame;
use super::local::exchange;
use super::native::{answer_error, clear};
use super::run::{self, page_wait};
use crate::memory::{Frame, frames, user_copy};
use crate::processor::PerCpu;
pub(crate) use universal::universal;
use universal::universal_method;

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

/// Serves one call.
pub(super) fn call(frame: &mut CallFrame, word: CallWord) {
    crate::event!(KernelCall, u32::from(word.method()), 0, frame.rsi);
    match serve(frame, word) {
        Ok((reply, status, written)) => {
            clear(frame);
            frame.rax = ReturnWord::answer(status, written as u16);
            [frame.rdx, frame.r8, frame.r9, frame.r10] = reply.words;
            if page_wait::is_kept() {
                crate::event!(KernelReturn, u32::from(status));
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
    dispatcher.inside().enter();
    // SAFETY: `enter` makes who takes the object away wait until `leave`.
    let found = unsafe { dispatcher.process().objects.find(name) };
    let answer = found.map(|(object, rights)| {
        let call = Incoming {
            words,
            caller: Caller(dispatcher.process_id()),
            method: word.method(),
            processor: Processor::new(dispatcher.cpu()),
            rights,
            bytes: Some(&mut Bytes {
                input,
                output: &mut *output,
            }),
        };
        call.ask(object)
    });
    dispatcher.inside().leave();
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
