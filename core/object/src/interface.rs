//! What generated stubs and dispatches are written against.
//!
//! A decorated trait becomes: the trait itself, a stub that implements it over a [`Transport`], and
//! a wrapper that implements [`Dispatch`] for anything that implements the trait. So the same
//! object serves near callers (through the trait) and far ones (through the wrapper), and the same
//! client code holds either.

use alloc::sync::Arc;
use core::any::Any;

use crate::call::{CALL_WORDS, MESSAGE_BYTES, RETURN_WORDS};
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

    /// Sends `method` of `reference` one way: nobody waits for it and no answer comes back. Messages
    /// from one sender to one process arrive in the order in which they were sent.
    ///
    /// A transport that has no queue delivers the message at once, as a call without bytes, and
    /// answers what that call answers.
    ///
    /// # Errors
    /// `ServerDied` if the process is gone, `Busy` if its queue is full: nothing was sent then. What
    /// happens at the receiver (a stale name, a missing right, the method's own error) is not told.
    #[inline(always)]
    fn send(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        self.call(reference, method, words, &[], &mut []).map(drop)
    }
}

impl<T: Transport + ?Sized> Transport for &T {
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
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Who calls, from the kernel.
    pub caller: Caller,
    /// The processor that runs the call, which has its own counters.
    pub processor: Processor,
    /// Rights of the reference that was used.
    pub rights: Rights,
    /// The method number.
    pub method: u16,
    /// Argument words.
    pub words: &'a [u64; CALL_WORDS],
    /// The bytes in: a private copy, at most [`MESSAGE_BYTES`].
    pub input: &'a [u8],
    /// Room for the bytes out: as long as the caller can take, at most [`MESSAGE_BYTES`].
    pub output: &'a mut [u8],
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

/// What the dispatch answers.
pub type Outgoing = Result<Reply, Failure>;

/// An object that takes calls; implemented by generated wrappers.
pub trait Dispatch: Send + Sync {
    /// The hash of the interface it answers to.
    fn interface_hash(&self) -> u64;

    /// Checks rights and arguments, then runs the method.
    ///
    /// # Errors
    /// What the method answers, or why it was not run.
    fn dispatch(&self, incoming: Incoming<'_>) -> Outgoing;

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
    fn dispatch(&self, incoming: Incoming<'_>) -> Outgoing {
        (**self).dispatch(incoming)
    }

    fn counts(&self, output: &mut [u8]) -> usize {
        (**self).counts(output)
    }
}

const _: () = assert!(MESSAGE_BYTES <= u16::MAX as usize);
