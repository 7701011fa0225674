//! A transport that calls a dispatch in the same address space: for tests, and as the model of one.
//!
//! It does what the kernel does: lengths are checked, the callee never sees the caller's buffers,
//! and of its own buffer only the bytes that it answered travel back.

use crate::call::{CALL_WORDS, MESSAGE_BYTES};
use crate::{
    Answer, Bytes, Caller, Dispatch, Error, Incoming, RawReference, Reply, Rights, Transport,
};

/// Calls `dispatch` whatever the reference says.
#[derive(Clone, Copy, Debug)]
pub struct Loopback<D> {
    /// What is called.
    pub dispatch: D,
    /// Who the calls come from.
    pub caller: Caller,
    /// The rights they come with.
    pub rights: Rights,
}

/// What the callee sees starts at a page.
#[repr(align(4096))]
struct Page([u8; MESSAGE_BYTES]);

impl<D: Dispatch> Transport for Loopback<D> {
    fn call(
        &self,
        _reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        self.carry(D::dispatch, method, words, input, output)
    }

    fn send(
        &self,
        _reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        self.carry(D::deliver, method, words, &[], &mut [])
            .map(drop)
    }
}

impl<D: Dispatch> Loopback<D> {
    fn carry(
        &self,
        entry: fn(&D, &mut Incoming<'_>) -> Answer,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        let (mut bytes_in, mut bytes_out) = (Page([0; MESSAGE_BYTES]), Page([0xa5; MESSAGE_BYTES]));
        let bytes_in = bytes_in.0.get_mut(..input.len()).ok_or(Error::TooLarge)?;
        bytes_in.copy_from_slice(input);
        let bytes_out = bytes_out.0.get_mut(..output.len()).ok_or(Error::TooLarge)?;
        let mut bytes = Bytes {
            input: bytes_in,
            output: &mut *bytes_out,
        };
        let mut call = Incoming {
            words,
            caller: self.caller,
            method,
            processor: crate::Processor::default(),
            rights: self.rights,
            bytes: Some(&mut bytes),
        };
        let answer = entry(&self.dispatch, &mut call).outcome(&call);
        let length = match &answer {
            Ok(reply) => reply.output,
            Err(failure) => failure.output,
        };
        output
            .get_mut(..length)
            .ok_or(Error::BadAnswer)?
            .copy_from_slice(bytes_out.get(..length).ok_or(Error::BadAnswer)?);
        answer.map_err(|failure| failure.error)
    }
}
