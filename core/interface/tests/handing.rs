//! References handed over: who gets what, and what a liar gets.

use std::sync::{Arc, Mutex, MutexGuard};

use kiln_interface::interface;
use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::{
    Bytes, Caller, Dispatch, Error, Handed, Incoming, Interface, ObjectName, ProcessId, Processor,
    RawReference, Reference, Reply, Rights, Transport,
};

#[interface(name = "test.listener")]
trait Listener {
    #[method(1, right = WRITE)]
    fn hear(&self, word: u64) -> Result<u64, Error>;
}

#[interface(name = "test.teller")]
trait Teller {
    /// Tells the listener a word at once.
    #[method(1, right = READ)]
    fn tell(&self, #[hand(WRITE)] listener: Handed<dyn Listener>, word: u64) -> Result<u64, Error>;
}

const CLIENT: ProcessId = ProcessId::new(3, 1);
const TELLER: ProcessId = ProcessId::new(4, 1);
const LISTENER: ProcessId = ProcessId::new(5, 1);

/// An object in the one table that stands for all processes.
#[derive(Clone)]
struct Slot {
    object: Arc<dyn Dispatch>,
    process: ProcessId,
    owner: ProcessId,
    payer: ProcessId,
    rights: Rights,
}

/// Carries calls of a process, with the universal methods as the runtime has them.
#[derive(Clone)]
struct World {
    table: Arc<Mutex<Vec<Option<Slot>>>>,
    process: ProcessId,
}

impl World {
    fn table(&self) -> MutexGuard<'_, Vec<Option<Slot>>> {
        self.table.lock().expect("no test panicked")
    }

    fn put(&self, slot: Slot) -> RawReference {
        let mut table = self.table();
        table.push(Some(slot.clone()));
        RawReference {
            process: slot.process,
            object: ObjectName::new(table.len() as u32 - 1, 1),
        }
    }

    fn slot(&self, name: ObjectName, owner: ProcessId) -> Result<Slot, Error> {
        let table = self.table();
        let slot = table.get(name.slot() as usize).cloned().flatten();
        slot.filter(|slot| slot.owner == owner)
            .ok_or(Error::BadReference)
    }

    /// References to listeners that this process has.
    fn held(&self) -> usize {
        let table = self.table();
        table
            .iter()
            .flatten()
            .filter(|slot| slot.owner == self.process && slot.process == LISTENER)
            .count()
    }
}

impl Transport for World {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        let slot = self.slot(reference.object, self.process)?;
        let word = |word| {
            Ok(Reply {
                words: [word, 0, 0, 0],
                output: 0,
            })
        };
        match method {
            universal::GRANT if !slot.rights.contains(Rights::GRANT) => Err(Error::Denied),
            universal::GRANT => {
                let given = self.put(Slot {
                    owner: ProcessId::from_raw(words[0]),
                    payer: self.process,
                    rights: slot.rights & Rights::from_bits_retain(words[1] as u32),
                    ..slot
                });
                word(given.object.raw())
            }
            universal::TAKE_BACK => {
                let name = ObjectName::from_raw(words[1]);
                let given = self.slot(name, ProcessId::from_raw(words[0]))?;
                assert_eq!(given.payer, self.process);
                self.table()[name.slot() as usize] = None;
                word(0)
            }
            universal::ACCEPT if slot.payer.raw() != words[0] => Err(Error::Denied),
            universal::ACCEPT if slot.object.interface_hash() != words[1] => {
                Err(Error::WrongInterface)
            }
            universal::ACCEPT => word(slot.rights.bits().into()),
            _ => Incoming {
                words,
                caller: Caller(self.process),
                method,
                processor: Processor::default(),
                rights: slot.rights,
                bytes: Some(&mut Bytes { input, output }),
            }
            .ask(&*slot.object)
            .map_err(|failure| failure.error),
        }
    }
}

struct Ear(Mutex<Vec<u64>>);

impl Listener for Ear {
    fn hear(&self, word: u64) -> Result<u64, Error> {
        let mut heard = self.0.lock().expect("no test panicked");
        heard.push(word);
        Ok(heard.len() as u64)
    }
}

struct Mouth(World);

impl Teller for Mouth {
    fn tell(&self, listener: Handed<dyn Listener>, word: u64) -> Result<u64, Error> {
        let (reference, rights) = listener.accept(&self.0, TELLER)?;
        assert_eq!(rights, Rights::WRITE, "no more than the interface says");
        if word == 0 {
            return Err(Error::BadArgument);
        }
        ListenerStub::new(reference, &self.0).hear(word)
    }
}

/// A client's world, its teller and its listener.
fn world(rights: Rights) -> (World, Reference<dyn Teller>, Reference<dyn Listener>) {
    let client = World {
        table: Arc::default(),
        process: CLIENT,
    };
    let teller = World {
        process: TELLER,
        ..client.clone()
    };
    let teller = client.put(Slot {
        object: Arc::new(TellerDispatch(Mouth(teller))),
        process: TELLER,
        owner: CLIENT,
        payer: CLIENT,
        rights: Rights::READ,
    });
    let listener = client.put(Slot {
        object: Arc::new(ListenerDispatch(Ear(Mutex::default()))),
        process: LISTENER,
        owner: CLIENT,
        payer: CLIENT,
        rights,
    });
    (client, Reference::new(teller), Reference::new(listener))
}

fn teller(world: &World) -> World {
    World {
        process: TELLER,
        ..world.clone()
    }
}

#[test]
fn the_callee_gets_a_reference_of_its_own_with_fewer_rights() {
    let (world, teller_reference, listener) = world(Rights::ALL);
    let stub = TellerStub::new(teller_reference, &world);
    assert_eq!(stub.tell(listener.into(), 7), Ok(1));
    assert_eq!(teller(&world).held(), 1);
    assert_eq!(world.held(), 1, "the caller keeps its own");
}

#[test]
fn what_was_handed_over_with_a_call_that_failed_is_taken_back() {
    let (world, teller_reference, listener) = world(Rights::ALL);
    let stub = TellerStub::new(teller_reference, &world);
    assert_eq!(stub.tell(listener.into(), 0), Err(Error::BadArgument));
    assert_eq!(teller(&world).held(), 0);
    assert_eq!(stub.tell(listener.into(), 7), Ok(1));
}

#[test]
fn what_may_not_be_given_is_not_and_nothing_is_called() {
    let (world, teller_reference, listener) = world(Rights::WRITE);
    let stub = TellerStub::new(teller_reference, &world);
    assert_eq!(stub.tell(listener.into(), 7), Err(Error::Denied));
    assert_eq!(teller(&world).held(), 0);
}

#[test]
fn a_reference_that_the_callee_has_from_elsewhere_is_not_the_callers_to_use() {
    let (world, teller_reference, listener) = world(Rights::ALL);
    let own = world.slot(listener.raw().object, CLIENT).expect("it is");
    // The callee's own, which the caller guessed the name of.
    let callees = world.put(Slot {
        owner: TELLER,
        payer: TELLER,
        ..own.clone()
    });
    // Of another interface, given by the caller.
    let other = world.slot(teller_reference.raw().object, CLIENT);
    let other = world.put(Slot {
        owner: TELLER,
        ..other.expect("it is")
    });
    // Its own: good for it, not for the callee.
    let mine = listener.raw();
    for (raw, error) in [
        (callees, Error::Denied),
        (other, Error::WrongInterface),
        (mine, Error::BadReference),
        (RawReference::NONE, Error::BadReference),
    ] {
        let words = [raw.process.raw(), raw.object.raw(), 7, 0, 0, 0];
        let answer = world.call(
            teller_reference.raw(),
            teller_methods::TELL,
            words,
            &[],
            &mut [],
        );
        assert_eq!(answer, Err(error), "{raw:?}");
    }
}

#[test]
fn a_caller_in_the_same_process_hands_over_the_same_way() {
    let (world, _, listener) = world(Rights::ALL);
    let handed = Handed::new(listener);
    let (reference, rights) = handed.accept(&world, CLIENT).expect("it may be given");
    assert_ne!(reference, listener, "giving it back leaves the caller's");
    assert_eq!(rights, Rights::ALL);
    assert_eq!(handed.giver(), None);
}

#[test]
fn the_hash_covers_the_interface_of_what_is_handed_over() {
    assert_ne!(
        <dyn Teller as Interface>::HASH,
        <dyn Teller as Interface>::TEXT
    );
}
