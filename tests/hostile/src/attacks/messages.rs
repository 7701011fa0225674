//! One-way messages: who sent them is the kernel's word, and a ring takes no more than it holds.

use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_interface::interface;
use kiln_object::call::CallWord;
use kiln_object::message_ring::MESSAGES;
use kiln_object::{Caller, Error, ObjectName, ProcessId, RawReference, Rights, Transport};
use kiln_runtime::thread::yield_now;
use kiln_runtime::{Far, SpinMutex, TryFar, objects, startup};

use super::{MARK, own, server};
use crate::registers::Registers;
use crate::report::{attack, expect};

/// Notes what arrives.
#[interface(name = "hostile.messages")]
trait Messages {
    /// A word.
    #[method(1, right = WRITE, oneway)]
    fn note(&self, caller: Caller, word: u64) -> Result<(), Error>;

    /// A word, with a right that the reference does not carry.
    #[method(2, right = CONTROL, oneway)]
    fn steal(&self, caller: Caller, word: u64) -> Result<(), Error>;
}

static ARRIVED: SpinMutex<Vec<(ProcessId, u64)>> = SpinMutex::new(Vec::new());

struct Notes;

impl Messages for Notes {
    fn note(&self, caller: Caller, word: u64) -> Result<(), Error> {
        ARRIVED.lock().push((caller.0, word));
        Ok(())
    }

    fn steal(&self, caller: Caller, word: u64) -> Result<(), Error> {
        self.note(caller, !word)
    }
}

pub fn all() {
    let this = startup().process;
    let Ok(reference) = objects::export(Arc::new(MessagesDispatch(Notes)), this, Rights::WRITE)
    else {
        crate::report::failed(format_args!("there is no room for an object"));
    };
    attack("messages that are not for the sender");
    let send = |object, method, word| {
        let reference = RawReference {
            process: this,
            object,
        };
        TryFar.send(reference, method, [word, 2, 3, 4, 5, 6])
    };
    let stale = ObjectName::new(reference.object.slot(), reference.object.generation() + 1);
    expect(send(reference.object, 2, 100), Ok(()));
    expect(send(stale, 1, 101), Ok(()));
    expect(send(ObjectName::from_raw(u64::MAX), 1, 102), Ok(()));
    expect(send(reference.object, 9, 103), Ok(()));
    expect(send(reference.object, 1, 104), Ok(()));
    attack("more messages than a ring holds");
    let mut sent: Vec<_> = [104].into();
    let mut word = 200;
    let refused = loop {
        match send(reference.object, 1, word) {
            Ok(()) => sent.push(word),
            Err(error) => break error,
        }
        word += 1;
    };
    expect(refused, Error::Busy);
    let taken = ARRIVED.lock().len();
    if taken == 0 {
        expect(sent.len() + 4, MESSAGES);
    } else {
        // A slice ended meanwhile, and what had been sent until then was taken out.
        expect((1..=MESSAGES).contains(&(sent.len() - taken)), true);
    }
    while ARRIVED.lock().len() < sent.len() {
        yield_now();
    }
    let arrived = core::mem::take(&mut *ARRIVED.lock());
    expect(arrived, sent.into_iter().map(|word| (this, word)).collect());
    expect(send(reference.object, 1, 105), Ok(()));
    while ARRIVED.lock().is_empty() {
        yield_now();
    }
    attack("messages to nobody");
    for (process, error) in [
        (ProcessId::NONE, Error::ServerDied),
        (ProcessId::new(1, 77), Error::ServerDied),
        (ProcessId::new(1023, 1), Error::ServerDied),
        (ProcessId::from_raw(u64::MAX), Error::ServerDied),
        (ProcessId::KERNEL, Error::Unsupported),
    ] {
        let object = own(kiln_object::startup::InitialObject::Process).object;
        expect(
            Far.send(RawReference { process, object }, 1, [0; 6]),
            Err(error),
        );
    }
    attack("registers of a message");
    let word = CallWord::one_way(0xfff0);
    let target = server(0);
    let mut registers = Registers::call(target.process, target.object, word, MARK);
    let before = registers;
    registers.cross();
    expect(registers.unexpected(&before), None);
    expect(registers.rax, 0);
    expect(
        (registers.rdx, registers.r8, registers.r9, registers.r10),
        (0, 0, 0, 0),
    );
}
