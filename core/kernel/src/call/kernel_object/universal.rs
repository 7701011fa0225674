//! The methods that all objects of the kernel have.

use kiln_object::call::{CallWord, universal};
use kiln_object::{Error, ObjectName, ProcessId, Reply, Rights};

use super::{Exchange, copy_answer};
use crate::call::entry::CallFrame;
use crate::process::{self, Dispatcher, Process};

/// A method that all objects have, of an object of `caller`.
pub(super) fn universal_method(
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
        universal::HELD => {
            caller.objects.lookup(name)?;
            Ok(u64::from(caller.share.held()))
        }
        _ => Err(Error::BadMethod),
    }
}
