//! The objects that this process serves, and who may call them.
//!
//! A name is good for one process, its owner: a call by anybody else is answered as if there were
//! nothing. What a client holds here is bounded, so that none can take the table from the others.

mod death;
#[cfg(not(kiln_kernel))]
mod messages;
mod served;
mod slot;
mod table;

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_object::call::{CALL_WORDS, FIRST_UNIVERSAL_METHOD, universal};
use kiln_object::near::Found;
use kiln_object::primitives;
use kiln_object::startup::Startup;
use kiln_object::{
    Answer, Bytes, Caller, Dispatch, Error, Incoming, ObjectName, ProcessId, Processor,
    RawReference, Reference, Reply, Rights,
};

use crate::{SpinMutex, dispatcher, startup};
pub(crate) use death::forget_the_dead;
pub use death::on_death;
#[cfg(not(kiln_kernel))]
pub(crate) use messages::arrived as messages_arrived;
use slot::{Counted, Presence};
pub use table::OBJECTS_PER_CLIENT;
use table::Table;

static OBJECTS: Objects = Objects::new(death::lives, death::look);

/// Lets the process's clients (the `clients` of its startup block) bind to `object`.
///
/// One object for each interface; a second with the same hash takes the place of the first for
/// those who bind from then on. Where several servers live in the process it is the one whose `main`
/// runs that serves; so a server says in its `main` what it serves.
pub fn serve(object: Arc<dyn Dispatch>) {
    death::watch();
    OBJECTS.serve(crate::home::starting(), object);
}

/// The object that this process, as its own client, calls `name`, its rights there, and until when.
pub(crate) fn near(name: ObjectName, owner: ProcessId) -> Option<Found> {
    OBJECTS.near(name, owner)
}

/// A reference for `owner` to `object`, with `rights`. The owner gives it back with `RELEASE`; the
/// object is dropped with the last reference and the last call in it.
///
/// # Errors
/// `Exhausted` if `owner` holds [`OBJECTS_PER_CLIENT`] references already.
pub fn export(
    object: Arc<dyn Dispatch>,
    owner: ProcessId,
    rights: Rights,
) -> Result<RawReference, Error> {
    (OBJECTS.look)();
    let object = OBJECTS.table.insert(object, owner, rights, owner)?;
    Ok(RawReference {
        process: startup().process,
        object,
    })
}

/// As [`export`], with the interface that the object answers to.
///
/// # Errors
/// `WrongInterface` if `object` does not answer to `I`; else as [`export`].
pub fn export_as<I: kiln_object::Interface + ?Sized>(
    object: Arc<dyn Dispatch>,
    owner: ProcessId,
    rights: Rights,
) -> Result<Reference<I>, Error> {
    if object.interface_hash() != I::HASH {
        return Err(Error::WrongInterface);
    }
    export(object, owner, rights).map(Reference::new)
}

/// Takes the reference `name` from `owner`.
///
/// # Errors
/// `BadReference` if it is not a reference of that owner.
pub fn revoke(name: ObjectName, owner: ProcessId) -> Result<(), Error> {
    match OBJECTS.table.enter(name, owner, Counted) {
        Some(inside) if inside.close() => Ok(()),
        _ => Err(Error::BadReference),
    }
}

/// Takes all references from `owner`, as when the process is gone.
pub fn revoke_all(owner: ProcessId) {
    OBJECTS.forget(owner);
}

/// Finds the object that a call is for, which this process serves itself, and runs the call, whose rights
/// are not known before.
#[inline]
pub(crate) fn dispatch(call: &mut Incoming<'_>, name: ObjectName) -> Answer {
    OBJECTS.dispatch(startup, call, name, Counted)
}

/// Finds the object that a one-way message is for, and runs the message if its method is one-way.
pub(crate) fn deliver(call: &mut Incoming<'_>, name: ObjectName) -> Answer {
    OBJECTS.deliver(call, name)
}

/// As [`dispatch`] on the stack of a call slot, for the call that the kernel entered it with.
#[cfg_attr(not(any(kiln_freestanding, test)), allow(dead_code))]
#[inline(always)]
pub(crate) fn dispatch_served(call: &mut Incoming<'_>, name: ObjectName) -> Answer {
    OBJECTS.dispatch(startup, call, name, served::here())
}

/// What can be bound to: the number of a server and the hash of an interface.
type Root = (u32, u64);

/// Calls an object of this process in the name of `caller`, without the kernel.
///
/// # Errors
/// What the object answers, or why the call does not get there.
pub(crate) fn call(
    caller: ProcessId,
    name: ObjectName,
    method: u16,
    words: [u64; CALL_WORDS],
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Error> {
    let mut call = Incoming {
        words,
        caller: Caller(caller),
        method,
        processor: Processor::new(dispatcher::cpu()),
        rights: Rights::empty(),
        bytes: Some(&mut Bytes { input, output }),
    };
    let answer = dispatch(&mut call, name);
    answer.outcome(&call).map_err(|failure| failure.error)
}

/// The object table and what is beside it.
struct Objects {
    table: Table,
    /// What each server serves.
    roots: SpinMutex<Vec<(Root, Arc<dyn Dispatch>)>>,
    /// What was answered to whom for which root, to answer the same again.
    bound: SpinMutex<BTreeMap<(ProcessId, Root), ObjectName>>,
    /// Whether a process lives.
    lives: fn(ProcessId) -> bool,
    /// Forgets clients that have ended, where nothing else does: before there is more to be forgotten.
    look: fn(),
}

impl Objects {
    const fn new(lives: fn(ProcessId) -> bool, look: fn()) -> Self {
        Self {
            table: Table::new(),
            roots: SpinMutex::new(Vec::new()),
            bound: SpinMutex::new(BTreeMap::new()),
            lives,
            look,
        }
    }

    fn serve(&self, server: u32, object: Arc<dyn Dispatch>) {
        let name = (server, object.interface_hash());
        let mut roots = self.roots.lock();
        let replaced = match roots.iter_mut().find(|root| root.0 == name) {
            Some(root) => Some(core::mem::replace(&mut root.1, object)),
            None => {
                roots.push((name, object));
                None
            }
        };
        // What it runs when it goes must not find the lock taken.
        drop(roots);
        drop(replaced);
    }

    fn near(&'static self, name: ObjectName, owner: ProcessId) -> Option<Found> {
        let inside = self.table.enter(name, owner, Counted)?;
        let contents = inside.contents();
        Some(Found {
            object: contents.share_object(),
            rights: contents.rights,
            life: self.table.life(name)?,
        })
    }

    fn forget(&self, owner: ProcessId) {
        self.bound.lock().retain(|(client, _), _| *client != owner);
        self.table.remove_owner(owner);
    }

    #[inline(always)]
    fn dispatch(
        &self,
        startup: impl Fn() -> &'static Startup,
        call: &mut Incoming<'_>,
        name: ObjectName,
        presence: impl Presence,
    ) -> Answer {
        let Some(inside) = self.table.enter(name, call.caller.0, presence) else {
            return self.bootstrap(startup(), call, name);
        };
        if call.method >= FIRST_UNIVERSAL_METHOD {
            return self.universal(&inside, call);
        }
        let contents = inside.contents();
        call.rights = contents.rights;
        contents.object().dispatch(call)
    }

    /// A message brings no answer. So what is called for its answer is refused, above all the methods that
    /// make references: nobody would know of those, and the sender would pay for them for good.
    fn deliver(&self, call: &mut Incoming<'_>, name: ObjectName) -> Answer {
        let Some(inside) = self.table.enter(name, call.caller.0, Counted) else {
            return call.refuse(Error::BadReference);
        };
        if call.method >= FIRST_UNIVERSAL_METHOD {
            return call.refuse(Error::BadMethod);
        }
        let contents = inside.contents();
        call.rights = contents.rights;
        contents.object().deliver(call)
    }

    #[cold]
    #[inline(never)]
    fn bootstrap(&self, startup: &Startup, call: &mut Incoming<'_>, name: ObjectName) -> Answer {
        let bound = self.bind_by(startup, call, name);
        answer_word(call, bound.map(ObjectName::raw))
    }

    fn bind_by(
        &self,
        startup: &Startup,
        call: &Incoming<'_>,
        name: ObjectName,
    ) -> Result<ObjectName, Error> {
        let (client, [hash, ..]) = (call.caller.0, call.words);
        let server = name.bootstrap_server().ok_or(Error::BadReference)?;
        if server > 0 && startup.hosted().nth(server as usize).is_none() {
            return Err(Error::BadReference);
        }
        if call.method != universal::BIND {
            return Err(Error::BadMethod);
        }
        let rights = startup.client(client, server).ok_or(Error::Denied)?;
        let rights = Rights::from_bits_retain(rights as u32);
        self.bind(client, rights, (server, hash))
    }

    fn bind(&self, client: ProcessId, rights: Rights, wanted: Root) -> Result<ObjectName, Error> {
        (self.look)();
        let root = self
            .roots
            .lock()
            .iter()
            .find(|root| root.0 == wanted)
            .map(|root| root.1.clone())
            .ok_or(Error::WrongInterface)?;
        let mut bound = self.bound.lock();
        if let Some(name) = bound.get(&(client, wanted))
            && self.table.is_live(*name)
        {
            return Ok(*name);
        }
        let name = self.table.insert(root, client, rights, client)?;
        bound.insert((client, wanted), name);
        Ok(name)
    }

    #[cold]
    #[inline(never)]
    fn universal(
        &self,
        inside: &slot::Inside<'_, impl Presence>,
        call: &mut Incoming<'_>,
    ) -> Answer {
        if call.method != universal::COUNTS {
            let answer = self.universal_word(inside, call);
            return answer_word(call, answer);
        }
        let contents = inside.contents();
        if !contents.rights.contains(Rights::CONTROL) {
            return call.refuse(Error::Denied);
        }
        let (_, output) = call.take_bytes();
        Answer::done(contents.object().counts(output))
    }

    fn universal_word(
        &self,
        inside: &slot::Inside<'_, impl Presence>,
        call: &Incoming<'_>,
    ) -> Result<u64, Error> {
        let contents = inside.contents();
        let (caller, [first, second, ..]) = (call.caller.0, call.words);
        match call.method {
            universal::RELEASE => {
                if inside.close() {
                    Ok(0)
                } else {
                    Err(Error::BadReference)
                }
            }
            universal::GRANT => {
                if !contents.rights.contains(Rights::GRANT) {
                    return Err(Error::Denied);
                }
                let rights = u32::try_from(second).map_err(|_| Error::BadArgument)?;
                let owner = ProcessId::from_raw(first);
                (self.look)();
                // The giver pays: nobody's share can be used up by what others give him.
                let name = self.table.insert(
                    contents.share_object(),
                    owner,
                    contents.rights & Rights::from_bits_retain(rights),
                    caller,
                )?;
                // Asked afterwards: whoever ends later is forgotten, with what he has got.
                if !(self.lives)(owner) {
                    if let Some(inside) = self.table.enter(name, owner, Counted) {
                        inside.close();
                    }
                    return Err(Error::ServerDied);
                }
                Ok(name.raw())
            }
            universal::TAKE_BACK => {
                let (owner, name) = (ProcessId::from_raw(first), ObjectName::from_raw(second));
                match self.table.enter(name, owner, Counted) {
                    Some(given) if given.contents().payer == caller && given.close() => Ok(0),
                    _ => Err(Error::BadReference),
                }
            }
            universal::ACCEPT => {
                if contents.payer != ProcessId::from_raw(first) {
                    return Err(Error::Denied);
                }
                if contents.object().interface_hash() != second {
                    return Err(Error::WrongInterface);
                }
                Ok(u64::from(contents.rights.bits()))
            }
            universal::HELD => Ok(u64::from(self.table.share(caller))),
            _ => Err(Error::BadMethod),
        }
    }
}

/// Answers a word and no bytes.
fn answer_word(call: &mut Incoming<'_>, word: Result<u64, Error>) -> Answer {
    match word {
        Ok(word) => {
            call.words = [word, 0, 0, 0, 0, 0];
            Answer::done(0)
        }
        Err(error) => call.refuse(error),
    }
}
