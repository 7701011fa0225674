//! Crafted attacks: each with the answer that it must get.

mod buffers;
mod crossing;
mod ends;
mod exhaustion;
mod instructions;
mod memory;
mod messages;
mod names;
mod paging;

use kiln_interface::file::FileTree;
use kiln_interface::kernel::{AddressSpace as _, MapFlags, Random as _};
use kiln_interface::name_space::{NameSpace, NameSpaceStub};
use kiln_object::call::{CALL_WORDS, CallWord};
use kiln_object::startup::InitialObject;
use kiln_object::{Error, Interface, ObjectName, ProcessId, RawReference, Reference};
use kiln_runtime::thread::{self, Priority};
use kiln_runtime::{Far, bind_server, configuration, random, startup};

use crate::memory::{ARENA, READ_WRITE};
use crate::registers::Registers;
use crate::report::{attack, ensure, expect, failed};
use crate::server::Command;

/// The mark of the program's registers.
pub const MARK: u64 = 0xa77a_0000_a77a_0001;

/// The attacks by what they are about; the command line's word `only=NAME` chooses.
const GROUPS: [(&str, fn()); 9] = [
    ("messages", messages::all),
    ("names", names::all),
    ("buffers", buffers::all),
    ("crossing", crossing::all),
    ("memory", memory::all),
    ("paging", paging::all),
    ("instructions", instructions::all),
    ("ends", ends::all),
    ("exhaustion", exhaustion::all),
];

/// All attacks that leave enough servers for the random calls.
pub fn all() {
    // Calls to itself, as deep as they go, so that their stacks are there: they are vital, too.
    expect(
        command(itself(), Command::Nest, [0; CALL_WORDS]),
        Ok([7, 0, 0, 0]),
    );
    stacks_for_messages();
    crate::memory::remember();
    for (name, group) in GROUPS {
        if crate::wanted(name) {
            group();
        }
    }
    attack("after all attacks");
    still_well();
}

/// Has the runtime make the threads that it sees to messages with, and keep them: their stacks are vital.
fn stacks_for_messages() {
    const THREADS: usize = 4;
    let threads = [(); THREADS].map(|()| thread::spawn(Priority::Normal, || ()));
    for thread in threads.into_iter().flatten() {
        thread.join();
    }
}

/// What comes after the random calls, since servers end by it.
pub fn last(seed: u64) {
    ends::last(seed);
    attack("after the last attacks");
    still_well();
}

/// A call of an object by its parts, for answers that no stub would let through.
pub fn call(
    reference: RawReference,
    method: u16,
    words: [u64; CALL_WORDS],
    input: (u64, u16),
    output: (u64, u16),
) -> Registers {
    let word = CallWord::new(method, input.1, output.1);
    let mut registers = Registers::call(reference.process, reference.object, word, MARK);
    registers.set_words(words);
    registers.r14 = input.0;
    registers.r15 = output.0;
    let before = registers;
    registers.cross();
    if let Some(name) = registers.unexpected(&before) {
        failed(format_args!(
            "after a call {name} is not as it must be: {registers:x?}"
        ));
    }
    registers
}

/// As [`call`], without bytes; the status as an error.
pub fn status(reference: RawReference, method: u16, words: [u64; CALL_WORDS]) -> Option<Error> {
    Error::from_code(
        call(reference, method, words, (0, 0), (0, 0))
            .answer()
            .status(),
    )
}

/// An object that the kernel gave the program.
pub fn own(object: InitialObject) -> RawReference {
    startup().object(object)
}

/// The name of an object of the kernel for this process.
pub fn kernel(object: ObjectName) -> RawReference {
    RawReference {
        process: ProcessId::KERNEL,
        object,
    }
}

/// The misbehaving server of that number.
pub fn server(number: u32) -> RawReference {
    let servers = configuration()
        .values("server")
        .filter(|name| *name == b"hostile_server")
        .count() as u32;
    if number >= servers {
        failed(format_args!("there is no server {number}"));
    }
    // The kernel makes the servers in order and the program last.
    let place = startup().process.index() - servers + number;
    RawReference {
        process: ProcessId::new(place, 1),
        object: ObjectName::BOOTSTRAP,
    }
}

/// This process, as the server that it also is.
pub fn itself() -> RawReference {
    RawReference {
        process: startup().process,
        object: ObjectName::BOOTSTRAP,
    }
}

/// Has a server do something.
pub fn command(
    server: RawReference,
    command: Command,
    words: [u64; CALL_WORDS],
) -> Result<[u64; 4], Error> {
    let registers = call(server, command as u16, words, (0, 0), (0, 0));
    match Error::from_code(registers.answer().status()) {
        None => Ok(registers.results()),
        Some(error) => Err(error),
    }
}

/// A server's object by its name in the manifest.
pub fn bound<I: Interface + ?Sized>(name: &str) -> Reference<I> {
    match bind_server::<I>(name) {
        Ok(reference) => reference,
        Err(error) => failed(format_args!("{name} cannot be bound: {error}")),
    }
}

/// The kernel and the servers answer as they should, and fresh memory is empty.
pub fn still_well() {
    use kiln_interface::file::FileTreeStub;
    let names = NameSpaceStub::new(bound::<dyn NameSpace>("name_space"), Far);
    ensure(
        names.version().is_ok_and(|version| version > 0),
        "the name space does not answer",
    );
    for name in ["image_root", "memory_fs"] {
        if startup().server(name).is_none() {
            continue;
        }
        let tree = FileTreeStub::new(bound::<dyn FileTree>(name), Far);
        let mut answer = [0; 128];
        ensure(
            tree.attributes(b"", true, &mut answer).is_ok(),
            "a file system does not answer",
        );
    }
    let mut bytes = [0; 64];
    expect(random().fill(&mut bytes), Ok(64));
    ensure(bytes != [0; 64], "random numbers are zeroes");
    let length = 4 * 4096;
    let address = match crate::memory::map(ARENA, length, READ_WRITE, MapFlags::POPULATE) {
        Ok(address) => address,
        Err(error) => failed(format_args!("nothing can be mapped: {error}")),
    };
    for offset in (0..length).step_by(8) {
        let word = (address + offset) as *mut u64;
        // SAFETY: the range was just mapped.
        unsafe {
            ensure(word.read() == 0, "fresh memory is not empty");
            word.write(!offset);
        }
    }
    expect(kiln_runtime::address_space().unmap(address, length), Ok(()));
}
