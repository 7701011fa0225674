//! What generated stubs and dispatches are written against.
//!
//! A decorated trait becomes: the trait itself, a stub that implements it over a [`Transport`], and
//! a wrapper that implements [`Dispatch`] for anything that implements the trait. So the same
//! object serves near callers (through the trait) and far ones (through the wrapper), and the same
//! client code holds either.

use alloc::sync::Arc;
use core::any::Any;

use crate::call::{CALL_WORDS, MESSAGE_BYTES, RETURN_WORDS, ReturnWord};
use crate::describe::Description;
use crate::{Error, ProcessId, Processor, RawReference, Rights};

/// A decorated trait, seen from outside.
pub trait Interface {
    /// The interface's name, stable.
    const NAME: &'static str;
    /// Hash of name, method numbers, rights and signatures, as they are written.
    const TEXT: u64;
    /// The same with the insides of the types that travel: both ends must have the same.
    ///
    /// Of an interface that a reference among the arguments names, [`Interface::TEXT`] counts.
    const HASH: u64;
    /// Numbers of the methods that may be run twice where once was meant.
    const IDEMPOTENT: &'static [u16];
    /// The interface, for people to read.
    const DESCRIPTION: &'static Description;
}

/// Whether `method` of `I` may be run again by a caller that does not know whether it was run.
///
/// For the path of a call that failed: it searches.
#[must_use]
pub fn is_idempotent<I: Interface + ?Sized>(method: u16) -> bool {
    I::IDEMPOTENT.contains(&method)
}

/// Who calls, as the kernel says. A near caller passes its own identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Caller(pub ProcessId);

/// Carries calls from stubs; the runtime's makes protected procedure calls.
pub trait Transport {
    /// Calls `method` of `reference`. On success the first `Reply::output` bytes of `output` are
    /// the answer's; on `Elsewhere` the path to go on with is, up to a NUL.
    ///
    /// # Errors
    /// Whatever the transport or the callee answers.
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error>;

    /// As [`Transport::call`], where no bytes travel in either direction.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    fn call_words(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<[u64; RETURN_WORDS], Error> {
        self.call(reference, method, words, &[], &mut [])
            .map(|reply| reply.words)
    }

    /// Sends `method` of `reference` one way: nobody waits for it and no answer comes back. Messages
    /// from one sender to one process arrive in the order in which they were sent.
    ///
    /// A transport that has no queue delivers the message at once, as a call without bytes, and
    /// answers what that call answers.
    ///
    /// # Errors
    /// `ServerDied` if the process is gone, `Busy` if its queue is full: nothing was sent then. What
    /// happens at the receiver (a stale name, a missing right, a method that is not one-way, the method's
    /// own error) is not told.
    #[inline(always)]
    fn send(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        self.call_words(reference, method, words).map(drop)
    }
}

impl<T: Transport + ?Sized> Transport for &T {
    #[inline(always)]
    fn call_words(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<[u64; RETURN_WORDS], Error> {
        (**self).call_words(reference, method, words)
    }

    #[inline(always)]
    fn send(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        (**self).send(reference, method, words)
    }

    #[inline(always)]
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        (**self).call(reference, method, words, input, output)
    }
}

/// What a successful call brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Result words.
    pub words: [u64; RETURN_WORDS],
    /// Bytes written to the caller's output buffer.
    pub output: usize,
}

/// A call as the dispatch sees it: nothing in it is trusted but `caller` and the lengths.
///
/// The code at which calls enter makes it on the stack, field by field; so its layout counts.
#[derive(Debug)]
#[repr(C)]
pub struct Incoming<'a> {
    /// Argument words, of which the answer's take the place of the first [`RETURN_WORDS`].
    pub words: [u64; CALL_WORDS],
    /// Who calls, from the kernel.
    pub caller: Caller,
    /// The method number.
    pub method: u16,
    /// The processor that runs the call, which has its own counters.
    pub processor: Processor,
    /// Rights of the reference that was used.
    pub rights: Rights,
    /// The bytes; `None` if none travel, in or out.
    pub bytes: Option<&'a mut Bytes<'a>>,
}

/// The bytes of a call.
#[derive(Debug)]
pub struct Bytes<'a> {
    /// The bytes in: a private copy, at most [`MESSAGE_BYTES`].
    pub input: &'a [u8],
    /// Room for the bytes out: as long as the caller can take, at most [`MESSAGE_BYTES`].
    pub output: &'a mut [u8],
}

impl<'a> Incoming<'a> {
    /// The bytes in and the room for those out; taken once, the call has none afterwards.
    #[inline(always)]
    pub fn take_bytes(&mut self) -> (&'a [u8], &'a mut [u8]) {
        match self.bytes.take() {
            Some(bytes) => (bytes.input, &mut *bytes.output),
            None => (&[], &mut []),
        }
    }

    /// Refuses bytes in.
    ///
    /// # Errors
    /// `BadArgument` if there are some.
    #[inline(always)]
    pub fn expect_no_input(&self) -> Result<(), Error> {
        match &self.bytes {
            Some(bytes) if !bytes.input.is_empty() => Err(Error::BadArgument),
            _ => Ok(()),
        }
    }

    /// Answers nothing but why it failed, and what of the bytes out belongs to that.
    #[cold]
    pub fn refuse(&mut self, failure: impl Into<Failure>) -> Answer {
        self.words = [0; CALL_WORDS];
        let Failure { error, output } = failure.into();
        Answer::new(error.code(), output)
    }

    /// The answer's words, once there is one.
    #[inline(always)]
    #[must_use]
    pub fn reply_words(&self) -> [u64; RETURN_WORDS] {
        let [first, second, third, fourth, ..] = self.words;
        [first, second, third, fourth]
    }

    /// Has `object` answer it.
    ///
    /// # Errors
    /// What it answers.
    pub fn ask(mut self, object: &(impl Dispatch + ?Sized)) -> Outgoing {
        let answer = object.dispatch(&mut self);
        answer.outcome(&self)
    }
}

/// Why a call failed, and how many bytes travel nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// Bytes at the front of the output buffer that belong to the answer: the path to go on with of
    /// [`Error::Elsewhere`], else none.
    pub output: usize,
}

impl From<Error> for Failure {
    #[inline(always)]
    fn from(error: Error) -> Self {
        Self { error, output: 0 }
    }
}

/// What the dispatch answers besides the words, in a register: a status and how many bytes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[repr(transparent)]
pub struct Answer(u64);

impl Answer {
    /// It succeeded and `output` bytes go out; at most [`MESSAGE_BYTES`].
    #[inline(always)]
    pub const fn done(output: usize) -> Self {
        Self::new(0, output)
    }

    #[inline(always)]
    const fn new(status: u16, output: usize) -> Self {
        Self(ReturnWord::answer(status, output as u16))
    }

    /// As [`ReturnWord::answer`] has it.
    #[inline(always)]
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Zero, or the code of an [`Error`].
    #[inline(always)]
    #[must_use]
    pub const fn status(self) -> u16 {
        ReturnWord(self.0).status()
    }

    /// How many bytes go out.
    #[inline(always)]
    #[must_use]
    pub const fn output(self) -> usize {
        ReturnWord(self.0).output()
    }

    /// The same with the words of `call`, which it answers.
    ///
    /// # Errors
    /// The failure that it is.
    pub fn outcome(self, call: &Incoming<'_>) -> Outgoing {
        let output = self.output();
        match Error::from_code(self.status()) {
            None => Ok(Reply {
                words: call.reply_words(),
                output,
            }),
            Some(error) => Err(Failure { error, output }),
        }
    }
}

/// An [`Answer`] with its words, for those who can wait for it.
pub type Outgoing = Result<Reply, Failure>;

/// An object that takes calls; implemented by generated wrappers.
pub trait Dispatch: Send + Sync {
    /// The hash of the interface it answers to.
    fn interface_hash(&self) -> u64;

    /// Checks rights and arguments, then runs the method; its words take the place of the arguments'.
    fn dispatch(&self, call: &mut Incoming<'_>) -> Answer;

    /// As [`Dispatch::dispatch`], for what was sent one way: it runs methods that are declared one-way and
    /// refuses all others with `BadMethod`, since nobody takes what they would answer. Who wants to know
    /// whether a one-way method was run may call it: `dispatch` runs it like any other.
    fn deliver(&self, call: &mut Incoming<'_>) -> Answer {
        call.refuse(Error::BadMethod)
    }

    /// Puts the object itself into `place`, an `Option<Box<I::Near>>` of its interface `I`, for callers
    /// in its address space. What is not generated leaves `place` alone and is called by dispatch.
    fn near(self: Arc<Self>, place: &mut dyn Any) {
        let _ = place;
    }

    /// Writes what was counted of each method of the interface, in this process, to `output`, as
    /// [`MethodCount`](crate::count::MethodCount); answers how many bytes.
    fn counts(&self, output: &mut [u8]) -> usize {
        let _ = output;
        0
    }
}

impl<D: Dispatch + ?Sized> Dispatch for &D {
    #[inline(always)]
    fn interface_hash(&self) -> u64 {
        (**self).interface_hash()
    }

    #[inline(always)]
    fn dispatch(&self, call: &mut Incoming<'_>) -> Answer {
        (**self).dispatch(call)
    }

    fn deliver(&self, call: &mut Incoming<'_>) -> Answer {
        (**self).deliver(call)
    }

    fn counts(&self, output: &mut [u8]) -> usize {
        (**self).counts(output)
    }
}

const _: () = assert!(MESSAGE_BYTES <= u16::MAX as usize);
