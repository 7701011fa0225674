//! What can be done with references to the kernel's own objects besides calling them.

use alloc::sync::Arc;

use kiln_interface::interface;
use kiln_interface::kernel::{Process, process_methods};
use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::count::MethodCount;
use kiln_object::{
    Caller, Error, Handed, Interface, ProcessId, RawReference, Reference, Rights, Transport,
};
use kiln_runtime::{Far, Object, accept, grant, objects, process, release, startup, take_back};
use zerocopy::FromBytes;

use crate::report::check;

/// Given with fewer rights, taken by whom it was given to, and taken back by who gave it.
pub fn handed() {
    let myself = startup().process;
    let own: Reference<dyn Process> = process().reference();
    let given = grant(own, myself, Rights::READ | Rights::LOOKUP);
    let Ok(given) = given else {
        return check(false, format_args!("a grant answered {given:?}"));
    };
    let by = |giver| accept(Handed::<dyn Process>::arrived(given, Caller(giver)));
    let expected = Ok((given, Rights::READ | Rights::LOOKUP));
    check(by(myself) == expected, format_args!("{:?}", by(myself)));
    for giver in [ProcessId::KERNEL, ProcessId::NONE] {
        let answer = by(giver);
        check(answer == Err(Error::Denied), format_args!("{answer:?}"));
    }
    let other = accept(Handed::<dyn kiln_interface::kernel::Log>::arrived(
        Reference::new(given.raw()),
        Caller(myself),
    ));
    let wrong = other.map(|_| ());
    check(
        wrong == Err(Error::WrongInterface),
        format_args!("{wrong:?}"),
    );

    let stranger = take_back(own, ProcessId::KERNEL, given);
    check(
        stranger == Err(Error::BadReference),
        format_args!("{stranger:?}"),
    );
    let taken = take_back(own, myself, given);
    check(taken == Ok(()), format_args!("{taken:?}"));
    for answer in [take_back(own, myself, given), release(given)] {
        check(
            answer == Err(Error::BadReference),
            format_args!("{answer:?}"),
        );
    }
}

/// Counted by method, and told to who may control the object.
pub fn counted() {
    let own = process().reference();
    let before = calls(own.raw(), process_methods::PROCESSOR_TIME);
    for _ in 0..3 {
        let _ = kiln_interface::kernel::Process::processor_time(&process());
    }
    let after = calls(own.raw(), process_methods::PROCESSOR_TIME);
    // Other processes count in the same place.
    let more = matches!((before, after), (Ok(before), Ok(after)) if after >= before + 3);
    check(more, format_args!("{before:?} and then {after:?}"));
    let Ok(reader) = grant(own, startup().process, Rights::READ) else {
        return check(false, format_args!("no grant"));
    };
    let refused = calls(reader.raw(), process_methods::PROCESSOR_TIME);
    check(refused == Err(Error::Denied), format_args!("{refused:?}"));
    check(
        release(reader) == Ok(()),
        format_args!("it is not given back"),
    );
}

/// How often a method was called, as the object's process counts.
fn calls(object: RawReference, method: u16) -> Result<u64, Error> {
    let mut room = [0u64; 64];
    let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut room[..]);
    let reply = Far.call(object, universal::COUNTS, [0; CALL_WORDS], &[], bytes)?;
    let counts = bytes.get(..reply.output).unwrap_or_default();
    let counts = <[MethodCount]>::ref_from_bytes(counts).map_err(|_| Error::BadAnswer)?;
    let known = <dyn Process as Interface>::DESCRIPTION.methods.len();
    let found = counts
        .iter()
        .find(|count| count.method == u64::from(method));
    match found {
        Some(count) if counts.len() == known => Ok(count.calls),
        _ => Err(Error::BadAnswer),
    }
}

/// Something of this process's own.
#[interface(name = "kiln.test.near")]
trait Number {
    #[method(1, right = READ)]
    fn number(&self) -> Result<u64, Error>;

    #[method(2, right = WRITE)]
    fn renumber(&self) -> Result<(), Error>;
}

/// A way to end a reference.
type End = fn(Reference<dyn Number>) -> Result<(), Error>;

struct Seven;

impl Number for Seven {
    fn number(&self) -> Result<u64, Error> {
        Ok(7)
    }

    fn renumber(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// An object that is near and the same one through the kernel: a reference that was given back, or taken
/// back, is good for neither.
pub fn near() {
    let ends: [End; 4] = [
        |reference| release(reference),
        |reference| {
            Far.call_words(reference.raw(), universal::RELEASE, [0; CALL_WORDS])
                .map(|_| ())
        },
        |reference| objects::revoke(reference.raw().object, startup().process),
        |reference| take_back(reference, startup().process, reference),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let object = Arc::new(NumberDispatch(Seven));
        let exported = objects::export_as::<dyn Number>(object, startup().process, Rights::READ);
        let Ok(reference) = exported else {
            return check(false, format_args!("{exported:?}"));
        };
        let near: Object<dyn Number> = Object::from(reference);
        check(near.is_near(), format_args!("{near:?} is not near"));
        let far = NumberStub::new(reference, Far);
        let seen = |expected: (Result<u64, Error>, Result<(), Error>)| {
            for answers in [
                (near.number(), near.renumber()),
                (far.number(), far.renumber()),
            ] {
                check(
                    answers == expected,
                    format_args!("{number}: {answers:?} instead of {expected:?}"),
                );
            }
        };
        seen((Ok(7), Err(Error::Denied)));
        let ended = end(reference);
        check(ended == Ok(()), format_args!("{number}: {ended:?}"));
        seen((Err(Error::BadReference), Err(Error::BadReference)));
    }
}
