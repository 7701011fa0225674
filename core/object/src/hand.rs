//! References that are handed over with a call.
//!
//! A name is good for its owner only, so whoever hands a reference over has a new one made for the
//! callee (`GRANT`), with no more rights than the method declares; it is taken back if the call
//! fails. The callee cannot take the words on trust: they may name an object that it got elsewhere
//! and that the caller has no right to. So what arrives is a *claim*, and it becomes a reference
//! when the process that serves the object confirms that the caller gave it (`ACCEPT`).

use core::fmt;

use crate::call::{CALL_WORDS, universal};
use crate::{
    Caller, Error, Interface, ObjectName, ProcessId, RawReference, Reference, Rights, Transport,
};

/// A reference that a caller hands over. As an argument that arrived it proves nothing yet.
pub struct Handed<I: ?Sized> {
    reference: Reference<I>,
    giver: Option<Caller>,
}

impl<I: ?Sized> Handed<I> {
    /// To be handed over: a reference of the caller's own, with the right `GRANT`.
    #[must_use]
    pub const fn new(reference: Reference<I>) -> Self {
        Self {
            reference,
            giver: None,
        }
    }

    /// As it arrived from `giver`; the dispatch calls this.
    #[must_use]
    pub const fn arrived(reference: Reference<I>, giver: Caller) -> Self {
        Self {
            reference,
            giver: Some(giver),
        }
    }

    /// Who gave it; `None` if it did not come from another process.
    #[must_use]
    pub const fn giver(&self) -> Option<Caller> {
        self.giver
    }

    /// What it is said to be.
    #[must_use]
    pub const fn claimed(&self) -> Reference<I> {
        self.reference
    }
}

impl<I: Interface + ?Sized> Handed<I> {
    /// The reference, now the callee's own to be given back, and its rights.
    ///
    /// From a caller in the same process it is a new one, made for `process`, the one that asks.
    ///
    /// # Errors
    /// `Denied` if the caller did not give it, `WrongInterface` if it is of another interface,
    /// `BadReference` if it names nothing.
    pub fn accept(
        &self,
        transport: &impl Transport,
        process: ProcessId,
    ) -> Result<(Reference<I>, Rights), Error> {
        let raw = self.reference.raw();
        let (name, giver) = match self.giver {
            Some(giver) => (raw, giver.0),
            None => (grant(transport, raw, process, Rights::ALL)?, process),
        };
        let words = ask(transport, name, universal::ACCEPT, [giver.raw(), I::HASH])?;
        let rights = u32::try_from(words).map_err(|_| Error::BadAnswer)?;
        Ok((Reference::new(name), Rights::from_bits_retain(rights)))
    }
}

impl<I: ?Sized> From<Reference<I>> for Handed<I> {
    fn from(reference: Reference<I>) -> Self {
        Self::new(reference)
    }
}

impl<I: ?Sized> Clone for Handed<I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: ?Sized> Copy for Handed<I> {}

impl<I: ?Sized> PartialEq for Handed<I> {
    fn eq(&self, other: &Self) -> bool {
        (self.reference, self.giver) == (other.reference, other.giver)
    }
}

impl<I: ?Sized> fmt::Debug for Handed<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} from {:?}", self.reference, self.giver)
    }
}

/// A reference made for the callee of a call that is under way: taken back when dropped.
#[derive(Debug)]
pub struct Gift<'a, T: Transport, I: ?Sized> {
    transport: &'a T,
    own: Reference<I>,
    given: Reference<I>,
    to: ProcessId,
}

impl<'a, T: Transport, I: ?Sized> Gift<'a, T, I> {
    /// A reference for `to` to what `own` names, with those of its rights that are in `rights`.
    ///
    /// # Errors
    /// `Denied` without the right `GRANT`; else what the serving process answers.
    #[inline(never)]
    pub fn give(
        transport: &'a T,
        own: Reference<I>,
        to: ProcessId,
        rights: Rights,
    ) -> Result<Self, Error> {
        let given = Reference::new(grant(transport, own.raw(), to, rights)?);
        Ok(Self {
            transport,
            own,
            given,
            to,
        })
    }

    /// What the callee gets.
    #[must_use]
    pub fn reference(&self) -> Reference<I> {
        self.given
    }

    /// The call succeeded: it is the callee's for good.
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

impl<T: Transport, I: ?Sized> Drop for Gift<'_, T, I> {
    fn drop(&mut self) {
        let words = [self.to.raw(), self.given.raw().object.raw()];
        // If it is gone already, with the callee or its server, there is nothing to take back.
        let _ = ask(self.transport, self.own.raw(), universal::TAKE_BACK, words);
    }
}

fn grant(
    transport: &impl Transport,
    own: RawReference,
    to: ProcessId,
    rights: Rights,
) -> Result<RawReference, Error> {
    let words = [to.raw(), u64::from(rights.bits())];
    let name = ask(transport, own, universal::GRANT, words)?;
    Ok(RawReference {
        process: own.process,
        object: ObjectName::from_raw(name),
    })
}

fn ask(
    transport: &impl Transport,
    reference: RawReference,
    method: u16,
    [first, second]: [u64; 2],
) -> Result<u64, Error> {
    let mut words = [0; CALL_WORDS];
    words[0] = first;
    words[1] = second;
    let reply = transport.call(reference, method, words, &[], &mut [])?;
    Ok(reply.words[0])
}
