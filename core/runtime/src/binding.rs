//! Getting references, giving them on, giving them back.
//!
//! What lives in this address space is asked without the kernel, and as an [`Object`] called without
//! it. The rights are those of the reference in both cases.

use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::near::{Found, Life};
use kiln_object::{
    Binder, Error, Handed, Interface, ObjectName, ProcessId, RawReference, Reference, Reply,
    Rights, Transport,
};

use crate::{Far, Lasting, entry, objects, rebinding, startup};

/// An object of interface `I`, near or far. If it was bound by name, it is that of the server which lives
/// now.
pub type Object<I> = kiln_object::Object<I, Lasting>;

impl Binder for Far {
    #[inline(always)]
    fn this_process(&self) -> ProcessId {
        startup().process
    }

    #[inline]
    fn near(&self, reference: RawReference) -> Option<Found> {
        let this = startup().process;
        (reference.process == this)
            .then(|| objects::near(reference.object, this))
            .flatten()
    }

    #[inline(always)]
    fn lasts(&self, life: Life) -> bool {
        lasts(life)
    }

    fn server(&self, name: &str) -> Result<RawReference, Error> {
        startup().server(name).ok_or(Error::NotFound)
    }

    fn bind(
        &self,
        bootstrap: RawReference,
        hash: u64,
        idempotent: &'static [u16],
    ) -> Result<RawReference, Error> {
        let _ = idempotent;
        bind_now(bootstrap, hash)
    }

    fn release(&self, reference: RawReference) -> Result<(), Error> {
        ask(reference, universal::RELEASE, [0, 0]).map(|_| ())
    }
}

impl Binder for Lasting {
    #[inline(always)]
    fn this_process(&self) -> ProcessId {
        Far.this_process()
    }

    #[inline]
    fn near(&self, reference: RawReference) -> Option<Found> {
        Far.near(reference)
    }

    #[inline(always)]
    fn lasts(&self, life: Life) -> bool {
        lasts(life)
    }

    fn server(&self, name: &str) -> Result<RawReference, Error> {
        Far.server(name)
    }

    fn bind(
        &self,
        bootstrap: RawReference,
        hash: u64,
        idempotent: &'static [u16],
    ) -> Result<RawReference, Error> {
        let reference = bind_now(bootstrap, hash)?;
        rebinding::note(reference, bootstrap.object, hash, idempotent);
        Ok(reference)
    }

    fn release(&self, reference: RawReference) -> Result<(), Error> {
        Far.release(reference)
    }
}

/// As [`Life::lasts`], in one instruction and a branch: of an atomic load and what is done with it the
/// compiler makes two, and this is asked at each near call.
#[cfg(kiln_freestanding)]
#[inline(always)]
fn lasts(life: Life) -> bool {
    let (word, alive) = life.parts();
    // SAFETY: it reads the word, as the processor reads all aligned words at once, and goes to one of two
    // places; neither registers nor memory change.
    unsafe {
        core::arch::asm!(
            "cmp qword ptr [{word}], {alive}",
            "jne {gone}",
            word = in(reg) word.as_ptr(),
            alive = in(reg) alive,
            gone = label { return false },
            options(nostack, readonly),
        );
    }
    true
}

#[cfg(not(kiln_freestanding))]
fn lasts(life: Life) -> bool {
    life.lasts()
}

/// Binds to the server with this bootstrap object, or to its successor: the caller may have learned of
/// it before it was started again. A server that is not ready itself does not try that one.
fn bind_now(bootstrap: RawReference, hash: u64) -> Result<RawReference, Error> {
    match bind_once(bootstrap, hash) {
        // Two servers that wait for each other's start would end each other's for ever.
        Err(Error::ServerDied) if !entry::is_starting() => {
            let now = startup().successor(bootstrap.process);
            let process = now
                .filter(|now| (1..now.incarnation()).contains(&bootstrap.process.incarnation()))
                .ok_or(Error::ServerDied)?;
            let object = bootstrap.object;
            bind_once(RawReference { process, object }, hash)
        }
        bound => bound,
    }
}

/// A reference for this process to the object of interface `I` that the server with this bootstrap
/// object serves. Asking again answers the same reference.
///
/// # Errors
/// `WrongInterface` if it serves none, or one with another hash; `Denied` if this process is not
/// among its clients.
///
/// A stub over [`Far`] made of it is told of the server's death for good; one over [`Lasting`] goes on.
pub fn bind<I: Interface + ?Sized>(bootstrap: RawReference) -> Result<Reference<I>, Error> {
    Lasting
        .bind(bootstrap, I::HASH, I::IDEMPOTENT)
        .map(Reference::new)
}

/// As [`bind`], of the server that the image's manifest calls `name`.
///
/// # Errors
/// `NotFound` if this process may not bind to a server of that name; else as [`bind`].
pub fn bind_server<I: Interface + ?Sized>(name: &str) -> Result<Reference<I>, Error> {
    bind(Far.server(name)?)
}

/// A reference for `process` to the same object, with those of its rights that are in `rights`.
///
/// # Errors
/// `Denied` without the right `GRANT`.
pub fn grant<I: ?Sized>(
    reference: Reference<I>,
    process: ProcessId,
    rights: Rights,
) -> Result<Reference<I>, Error> {
    let words = [process.raw(), u64::from(rights.bits())];
    let object = ask(reference.raw(), universal::GRANT, words)?;
    Ok(Reference::new(RawReference {
        process: reference.raw().process,
        object,
    }))
}

/// Gives the reference back; it and its copies name nothing afterwards. A near object made of it refuses
/// calls, too; it keeps what it held in memory.
///
/// # Errors
/// `BadReference` if it named nothing already.
pub fn release<I: ?Sized>(reference: Reference<I>) -> Result<(), Error> {
    Far.release(reference.raw())
}

/// The reference that a caller handed over, now this process's own, and its rights.
///
/// # Errors
/// `Denied` if the caller did not give it, `WrongInterface` if it is of another interface,
/// `BadReference` if it names nothing.
pub fn accept<I: Interface + ?Sized>(handed: Handed<I>) -> Result<(Reference<I>, Rights), Error> {
    handed.accept(&Wherever, startup().process)
}

/// Takes back from `process` what [`grant`] answered for it. `own` is any reference that this process
/// has to an object of the same server.
///
/// # Errors
/// `BadReference` if the server gave it for somebody else, or it is gone already.
pub fn take_back<I: ?Sized, J: ?Sized>(
    own: Reference<I>,
    process: ProcessId,
    given: Reference<J>,
) -> Result<(), Error> {
    let words = [process.raw(), given.raw().object.raw()];
    ask(own.raw(), universal::TAKE_BACK, words).map(|_| ())
}

/// Binds without a note of it.
pub(crate) fn bind_once(bootstrap: RawReference, hash: u64) -> Result<RawReference, Error> {
    let object = ask(bootstrap, universal::BIND, [hash, 0])?;
    Ok(RawReference {
        process: bootstrap.process,
        object,
    })
}

/// Asks for a universal method.
fn ask(
    reference: RawReference,
    method: u16,
    [first, second]: [u64; 2],
) -> Result<ObjectName, Error> {
    let mut words = [0; CALL_WORDS];
    words[0] = first;
    words[1] = second;
    let reply = Wherever.call(reference, method, words, &[], &mut [])?;
    Ok(ObjectName::from_raw(reply.words[0]))
}

/// Calls what lives in this process without the kernel.
struct Wherever;

impl Transport for Wherever {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        let this = startup().process;
        if reference.process != this {
            return Far.call(reference, method, words, input, output);
        }
        objects::call(this, reference.object, method, words, input, output)
    }
}
