//! Getting references, giving them on, giving them back.

use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::{
    Error, Interface, ObjectName, ProcessId, RawReference, Reference, Rights, Transport,
};

use crate::{Far, startup};

/// A reference for this process to the object of interface `I` that `process` serves. Asking again
/// answers the same reference.
///
/// # Errors
/// `WrongInterface` if it serves none, or one with another hash; `Denied` if this process is not
/// among its clients.
pub fn bind<I: Interface + ?Sized>(process: ProcessId) -> Result<Reference<I>, Error> {
    let bootstrap = RawReference {
        process,
        object: ObjectName::BOOTSTRAP,
    };
    let object = ask(bootstrap, universal::BIND, [I::HASH, 0])?;
    Ok(Reference::new(RawReference { process, object }))
}

/// As [`bind`], of the server that the image's manifest calls `name`.
///
/// # Errors
/// `NotFound` if this process may not bind to a server of that name; else as [`bind`].
pub fn bind_server<I: Interface + ?Sized>(name: &str) -> Result<Reference<I>, Error> {
    bind(startup().server(name).ok_or(Error::NotFound)?)
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

/// Gives the reference back; it and its copies name nothing afterwards.
///
/// # Errors
/// `BadReference` if it named nothing already.
pub fn release<I: ?Sized>(reference: Reference<I>) -> Result<(), Error> {
    ask(reference.raw(), universal::RELEASE, [0, 0]).map(|_| ())
}

fn ask(
    reference: RawReference,
    method: u16,
    [first, second]: [u64; 2],
) -> Result<ObjectName, Error> {
    let mut words = [0; CALL_WORDS];
    words[0] = first;
    words[1] = second;
    let reply = Far.call(reference, method, words, &[], &mut [])?;
    Ok(ObjectName::from_raw(reply.words[0]))
}
