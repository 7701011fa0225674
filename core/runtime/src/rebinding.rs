//! Servers that were started again: what was bound by name goes on with the new one.
//!
//! A reference that was got by binding through [`Lasting`](crate::Lasting) stays good for its holder when the server dies and is started
//! again. It names an object of the dead process for ever; but whoever calls it is told so by the
//! kernel, and comes here. The first call after a death binds again and is answered with the error,
//! unless its method may be tried again: then it is. Later calls go to the new object. What else the
//! server had given out is gone.
//!
//! No call is made twice that must not be: one that had begun when its server died is made again only if
//! the method is idempotent, and never if it took too long, whoever has bound again meanwhile. One that
//! came too late to begin is another matter: nobody has seen anything of it.

use alloc::vec::Vec;

use kiln_object::call::CALL_WORDS;
use kiln_object::{Error, ObjectName, ProcessId, RawReference, Reply, Transport};

use crate::binding::bind_once;
use crate::transport::Failure;
use crate::{Far, SpinMutex, startup};

#[cfg(test)]
mod tests;

/// As [`Far`], for what was bound by name through it: it goes on with a server that was started in the
/// place of one that died, for a few instructions more a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lasting;

impl Transport for Lasting {
    #[inline(always)]
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        match Far.attempt(reference, method, words, input, output) {
            Ok(reply) => Ok(reply),
            Err(failure) => match failure.into() {
                Error::ServerDied | Error::TimedOut => {
                    died(failure, reference, method, &words, input, output)
                }
                error => Err(error),
            },
        }
    }

    #[inline(always)]
    fn send(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        match Far.send(reference, method, words) {
            Err(Error::ServerDied) => died_of_message(reference, method, &words),
            answer => answer,
        }
    }
}

/// How many servers in a row may die of one call.
const ATTEMPTS: usize = 3;

/// How much is noted. There are few servers and interfaces; more comes of binding anew after deaths.
const MOST: usize = 64;

/// Something bound.
#[derive(Clone, Copy)]
struct Bound {
    /// What the holder calls it.
    reference: RawReference,
    /// What it is now.
    current: RawReference,
    /// Where it was bound.
    bootstrap: ObjectName,
    /// Which interface.
    hash: u64,
    /// Methods that may be tried again.
    idempotent: &'static [u16],
}

/// All that was bound.
static BOUND: SpinMutex<Vec<Bound>> = SpinMutex::new(Vec::new());

/// How servers are called and bound to; a test has its own.
trait Carrier {
    /// See [`Far::attempt`].
    fn attempt(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Failure>;

    /// The process that has the place of `process` now, if this one may bind to it.
    fn successor(&self, process: ProcessId) -> Option<ProcessId>;

    /// See [`bind_once`].
    fn bind(&self, bootstrap: RawReference, hash: u64) -> Result<RawReference, Error>;
}

impl Carrier for Far {
    fn attempt(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Failure> {
        Far::attempt(self, reference, method, words, input, output)
    }

    fn successor(&self, process: ProcessId) -> Option<ProcessId> {
        startup().successor(process)
    }

    fn bind(&self, bootstrap: RawReference, hash: u64) -> Result<RawReference, Error> {
        bind_once(bootstrap, hash)
    }
}

/// Notes that `reference` was got by binding.
pub fn note(reference: RawReference, bootstrap: ObjectName, hash: u64, idempotent: &'static [u16]) {
    let bound = Bound {
        reference,
        current: reference,
        bootstrap,
        hash,
        idempotent,
    };
    let mut all = BOUND.lock();
    match all.iter_mut().find(|other| other.reference == reference) {
        Some(known) => *known = bound,
        None => {
            if all.len() == MOST {
                forget_one(&mut all);
            }
            all.push(bound);
        }
    }
}

/// Makes room: the longest unused is not known, so the oldest that was bound before a death goes.
fn forget_one(all: &mut Vec<Bound>) {
    let is_old = |bound: &Bound| {
        startup().successor(bound.reference.process) != Some(bound.reference.process)
    };
    let place = all.iter().position(is_old).unwrap_or(0);
    all.remove(place);
}

/// What becomes of a call that failed since the server died or was ended.
///
/// # Errors
/// Why it failed, if the call cannot be made again; else what it answers.
#[cold]
#[inline(never)]
pub fn died(
    failure: Failure,
    reference: RawReference,
    method: u16,
    words: &[u64; CALL_WORDS],
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Error> {
    died_by(&Far, failure, reference, method, words, input, output)
}

fn died_by(
    carrier: &impl Carrier,
    failure: Failure,
    reference: RawReference,
    method: u16,
    words: &[u64; CALL_WORDS],
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Error> {
    let mut called = reference;
    let mut failure = failure;
    for _ in 0..ATTEMPTS {
        let error = Error::from(failure);
        let Some(bound) = find(reference) else {
            return Err(error);
        };
        let may_be_repeated = error == Error::ServerDied && bound.idempotent.contains(&method);
        called = if bound.current == called {
            // It died since it was bound last: somebody has to be told that what it knew is gone.
            match bind_again(carrier, bound) {
                Some(current) if may_be_repeated => current,
                _ => return Err(error),
            }
        } else if may_be_repeated || failure.is_not_begun() {
            // Another call was told.
            bound.current
        } else {
            return Err(error);
        };
        match carrier.attempt(called, method, *words, input, output) {
            Ok(reply) => return Ok(reply),
            Err(again) => match again.into() {
                Error::ServerDied | Error::TimedOut => failure = again,
                error => return Err(error),
            },
        }
    }
    Err(failure.into())
}

/// What becomes of a message that nobody got, as its server has died: it goes to the new one.
///
/// # Errors
/// `ServerDied` if there is none; else what sending answers.
#[cold]
#[inline(never)]
pub fn died_of_message(
    reference: RawReference,
    method: u16,
    words: &[u64; CALL_WORDS],
) -> Result<(), Error> {
    let bound = find(reference).ok_or(Error::ServerDied)?;
    let mut current = bound.current;
    if current == reference || startup().successor(current.process) != Some(current.process) {
        current = bind_again(&Far, bound).ok_or(Error::ServerDied)?;
    }
    Far.send(current, method, *words)
}

fn find(reference: RawReference) -> Option<Bound> {
    let all = BOUND.lock();
    all.iter()
        .find(|bound| bound.reference == reference)
        .copied()
}

/// Binds to the server that was started in the place of the dead one, if there is one.
fn bind_again(carrier: &impl Carrier, bound: Bound) -> Option<RawReference> {
    let process = carrier.successor(bound.current.process)?;
    if process == bound.current.process {
        return None;
    }
    let bootstrap = RawReference {
        process,
        object: bound.bootstrap,
    };
    let current = carrier.bind(bootstrap, bound.hash).ok()?;
    let mut all = BOUND.lock();
    let known = all
        .iter_mut()
        .find(|other| other.reference == bound.reference)?;
    known.current = current;
    Some(current)
}
