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

use kiln_object::call::{FIRST_UNIVERSAL_METHOD, universal};
use kiln_object::primitives;
use kiln_object::startup::Startup;
use kiln_object::{
    Caller, Dispatch, Error, Incoming, ObjectName, Outgoing, ProcessId, Processor, RawReference,
    Reference, Reply, Rights,
};

use crate::{SpinMutex, dispatcher, startup};
pub(crate) use death::forget_the_dead;
pub use death::on_death;
#[cfg(not(kiln_kernel))]
pub(crate) use messages::arrived as messages_arrived;
use slot::{Counted, Presence};
pub use table::OBJECTS_PER_CLIENT;
use table::Table;

static OBJECTS: Objects = Objects::new(death::lives);

/// Lets the process's clients (the `clients` of its startup block) bind to `object`.
///
/// One object for each interface; a second with the same hash takes the place of the first for
/// those who bind from then on. Where several servers live in the process it is the one whose `main`
/// runs that serves; so a server says in its `main` what it serves.
pub fn serve(object: Arc<dyn Dispatch>) {
    death::watch();
    OBJECTS.serve(crate::home::starting(), object);
}

/// The object that this process, as its own client, calls `name`, and its rights there.
pub(crate) fn near(name: ObjectName, owner: ProcessId) -> Option<(Arc<dyn Dispatch>, Rights)> {
    let inside = OBJECTS.table.enter(name, owner, Counted)?;
    let contents = inside.contents();
    Some((contents.share_object(), contents.rights))
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
    death::look();
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

/// Finds the object that a call is for, which this process serves itself, and runs the call.
///
/// # Errors
/// What the object answers, or why the call does not get there.
pub(crate) fn dispatch(request: Request<'_>) -> Outgoing {
    OBJECTS.dispatch(startup, request, Counted)
}

/// The same on the stack of a call slot, for the call that the kernel entered it with.
///
/// # Errors
/// As [`dispatch`].
#[cfg_attr(not(any(kiln_freestanding, test)), allow(dead_code))]
#[inline(always)]
pub(crate) fn dispatch_served(request: Request<'_>) -> Outgoing {
    OBJECTS.dispatch(startup, request, served::here())
}

/// A call as the kernel hands it over, before its object is known.
pub(crate) use kiln_object::home::HomeCall as Request;

/// What can be bound to: the number of a server and the hash of an interface.
type Root = (u32, u64);

/// The object table and what is beside it.
struct Objects {
    table: Table,
    /// What each server serves.
    roots: SpinMutex<Vec<(Root, Arc<dyn Dispatch>)>>,
    /// What was answered to whom for which root, to answer the same again.
    bound: SpinMutex<BTreeMap<(ProcessId, Root), ObjectName>>,
    /// Whether a process lives.
    lives: fn(ProcessId) -> bool,
}

impl Objects {
    const fn new(lives: fn(ProcessId) -> bool) -> Self {
        Self {
            table: Table::new(),
            roots: SpinMutex::new(Vec::new()),
            bound: SpinMutex::new(BTreeMap::new()),
            lives,
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

    fn forget(&self, owner: ProcessId) {
        self.bound.lock().retain(|(client, _), _| *client != owner);
        self.table.remove_owner(owner);
    }

    #[inline(always)]
    fn dispatch(
        &self,
        startup: impl Fn() -> &'static Startup,
        request: Request<'_>,
        presence: impl Presence,
    ) -> Outgoing {
        let Some(inside) = self.table.enter(request.name, request.caller, presence) else {
            return self.bootstrap(
                startup(),
                request.caller,
                request.name,
                request.method,
                request.words[0],
            );
        };
        let contents = inside.contents();
        if request.method >= FIRST_UNIVERSAL_METHOD {
            return self.universal(&inside, request);
        }
        // Built where it is passed from, since moving it would cost more than finding the object.
        contents.object().dispatch(Incoming {
            caller: Caller(request.caller),
            processor: Processor::new(dispatcher::cpu()),
            rights: contents.rights,
            method: request.method,
            words: request.words,
            input: request.input,
            output: request.output,
        })
    }

    #[cold]
    #[inline(never)]
    fn bootstrap(
        &self,
        startup: &Startup,
        client: ProcessId,
        name: ObjectName,
        method: u16,
        hash: u64,
    ) -> Outgoing {
        let server = name.bootstrap_server().ok_or(Error::BadReference)?;
        if server > 0 && startup.hosted().nth(server as usize).is_none() {
            return Err(Error::BadReference.into());
        }
        if method != universal::BIND {
            return Err(Error::BadMethod.into());
        }
        let rights = startup.client(client, server).ok_or(Error::Denied)?;
        let rights = Rights::from_bits_retain(rights as u32);
        Ok(name_reply(self.bind(client, rights, (server, hash))?))
    }

    fn bind(&self, client: ProcessId, rights: Rights, wanted: Root) -> Result<ObjectName, Error> {
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
        request: Request<'_>,
    ) -> Outgoing {
        let contents = inside.contents();
        let (caller, words) = (request.caller, request.words);
        match request.method {
            universal::RELEASE => {
                if inside.close() {
                    Ok(Reply::default())
                } else {
                    Err(Error::BadReference.into())
                }
            }
            universal::GRANT => {
                if !contents.rights.contains(Rights::GRANT) {
                    return Err(Error::Denied.into());
                }
                let [process, rights, ..] = *words;
                let rights = u32::try_from(rights).map_err(|_| Error::BadArgument)?;
                let owner = ProcessId::from_raw(process);
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
                    return Err(Error::ServerDied.into());
                }
                Ok(name_reply(name))
            }
            universal::TAKE_BACK => {
                let [process, name, ..] = *words;
                let (owner, name) = (ProcessId::from_raw(process), ObjectName::from_raw(name));
                match self.table.enter(name, owner, Counted) {
                    Some(given) if given.contents().payer == caller && given.close() => {
                        Ok(Reply::default())
                    }
                    _ => Err(Error::BadReference.into()),
                }
            }
            universal::ACCEPT => {
                let [giver, hash, ..] = *words;
                if contents.payer != ProcessId::from_raw(giver) {
                    return Err(Error::Denied.into());
                }
                if contents.object().interface_hash() != hash {
                    return Err(Error::WrongInterface.into());
                }
                Ok(word_reply(u64::from(contents.rights.bits())))
            }
            universal::COUNTS => {
                if !contents.rights.contains(Rights::CONTROL) {
                    return Err(Error::Denied.into());
                }
                let output = contents.object().counts(request.output);
                Ok(Reply {
                    output,
                    ..Reply::default()
                })
            }
            _ => Err(Error::BadMethod.into()),
        }
    }
}

fn name_reply(name: ObjectName) -> Reply {
    word_reply(name.raw())
}

fn word_reply(word: u64) -> Reply {
    let mut reply = Reply::default();
    reply.words[0] = word;
    reply
}
