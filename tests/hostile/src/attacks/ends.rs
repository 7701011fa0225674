//! Servers that end: in a call, below another, before they are asked, while others hold their memory.

use kiln_interface::kernel::{AddressSpace as _, AddressSpaceStub, MapFlags, Process as _};
use kiln_interface::kernel::{ProcessStub, Protection};
use kiln_object::{Error, ObjectName, RawReference, Reference};
use kiln_runtime::{Far, process, release, startup, time};

use super::{command, kernel, server, still_well};
use crate::memory::ARENA;
use crate::report::{attack, ensure, expect};
use crate::server::Command;

// Which server ends in which attack; server 0 lives.
const EXITS: u32 = 1;
const TRAPS: u32 = 2;
const PENDING: u32 = 3;
const MIDDLE: u32 = 4;
const LATER: u32 = 5;
const OVERFLOWS: u32 = 6;
const UNMAPS: u32 = 7;
const LATER_BELOW: u32 = 8;
const STORMS: core::ops::Range<u32> = 9..12;

const NOTHING: [u64; 6] = [0; 6];

pub fn all() {
    in_a_call();
    with_its_objects_given_away();
    claiming_to_be_woken();
    below_another();
    while_others_wait_in_it();
}

/// A dead server answers every call so.
fn is_dead(number: u32) {
    for _ in 0..10 {
        expect(
            command(server(number), Command::Show, NOTHING),
            Err(Error::ServerDied),
        );
    }
    // Whatever was its own must not run again, nor be run on.
    for _ in 0..5 {
        let _ = process().wait(time::monotonic_ns() + 100_000);
    }
    still_well();
}

fn in_a_call() {
    for (number, name, how) in [
        (TRAPS, "a server that traps in a call", Command::Trap),
        (
            OVERFLOWS,
            "a server whose stack overflows in a call",
            Command::Overflow,
        ),
        (
            UNMAPS,
            "a server that unmaps itself in a call",
            Command::Unmap,
        ),
    ] {
        attack(name);
        expect(
            command(server(number), how, NOTHING),
            Err(Error::ServerDied),
        );
        is_dead(number);
    }
}

fn with_its_objects_given_away() {
    attack("objects of a process that has ended");
    let me = startup().process.raw();
    let given = command(server(EXITS), Command::Give, [me, 0, 0, 0, 0, 0]);
    let Ok([memory, itself, caller, _]) = given else {
        return expect(given.err(), None);
    };
    expect(caller, me);
    let memory = AddressSpaceStub::new(Reference::new(kernel(ObjectName::from_raw(memory))), Far);
    let itself = ProcessStub::new(Reference::new(kernel(ObjectName::from_raw(itself))), Far);
    let bits = Protection::READ.bits() | Protection::WRITE.bits();
    // What a process does to itself nobody else does to it, nor to himself by its object.
    expect(itself.exit(1), Err(Error::Denied));
    expect(itself.wait(0), Err(Error::Denied));
    expect(itself.set_thread_pointer(0), Err(Error::Denied));
    // While it lives its memory can be changed by whoever was given it.
    for _ in 0..3 {
        expect(
            memory.map_anonymous(ARENA, 1 << 16, bits, MapFlags::REPLACE.bits() | 8),
            Ok(ARENA),
        );
    }
    expect(
        command(server(EXITS), Command::Fill, [ARENA, 1 << 16, 0, 0, 0, 0]),
        Ok([0; 4]),
    );
    expect(
        command(server(EXITS), Command::Exit, NOTHING),
        Err(Error::ServerDied),
    );
    for flags in [MapFlags::REPLACE, MapFlags::EXACT, MapFlags::empty()] {
        for populate in [0, MapFlags::POPULATE.bits()] {
            expect(
                memory.map_anonymous(ARENA, 1 << 16, bits, flags.bits() | populate),
                Err(Error::ServerDied),
            );
        }
    }
    ensure(
        memory.region(0).is_err(),
        "the memory of the dead is mapped",
    );
    // Whether these say so does not matter; that they touch nothing does.
    let _ = memory.unmap(ARENA, 1 << 16);
    let _ = memory.discard(ARENA, 1 << 30);
    let _ = memory.protect(ARENA, 1 << 16, 1);
    let _ = memory.relocate(ARENA, 1 << 16, 0, 1 << 16);
    let _ = memory.patch(ARENA, &[1; 16]);
    // It must not rise again.
    let _ = itself.ready();
    let _ = itself.set_entries(0x1000, 0x1000, 0x1000);
    expect(itself.exit(1), Err(Error::Denied));
    expect(release(memory.reference()), Ok(()));
    expect(release(itself.reference()), Ok(()));
    is_dead(EXITS);
}

fn claiming_to_be_woken() {
    attack("a server that ends with a soft interrupt pending");
    expect(
        command(server(PENDING), Command::EndPending, NOTHING),
        Err(Error::ServerDied),
    );
    is_dead(PENDING);
}

/// Words to have a server call another.
fn through(next: RawReference, method: Command, words: [u64; 3]) -> [u64; 6] {
    [
        next.process.raw(),
        next.object.raw(),
        method as u64,
        words[0],
        words[1],
        words[2],
    ]
}

fn below_another() {
    attack("a server that ends below another that it called");
    // The program calls the middle one, that calls server 0, that has the middle one end: server 0
    // is answered, and then has nobody to answer to.
    let died = u64::from(Error::ServerDied.code());
    let middle = server(MIDDLE);
    let inner = through(middle, Command::Exit, [0; 3]);
    // `Call` carries three words: process, object and method of the innermost.
    let outer = through(server(0), Command::Call, [inner[0], inner[1], inner[2]]);
    expect(
        command(middle, Command::Call, outer),
        Err(Error::ServerDied),
    );
    is_dead(MIDDLE);
    // The same with one that lives in the middle: it is told.
    let told = command(
        server(0),
        Command::Call,
        through(middle, Command::Show, [0; 3]),
    );
    expect(told.map(|answer| answer[0]), Ok(died));
}

fn while_others_wait_in_it() {
    attack("a server that ends while a call waits in it");
    let soon = |ns| time::monotonic_ns() + ns;
    expect(
        command(
            server(LATER),
            Command::EndLater,
            [soon(2_000_000), 0, 0, 0, 0, 0],
        ),
        Ok([0; 4]),
    );
    let long = 10_000_000_000;
    let before = time::monotonic_ns();
    expect(
        command(server(LATER), Command::Wait, [long, 0, 0, 0, 0, 0]),
        Err(Error::ServerDied),
    );
    ensure(
        time::monotonic_ns() - before < long,
        "the end of a server does not end a wait in it",
    );
    is_dead(LATER);

    attack("a server that ends while its call waits in another");
    expect(
        command(
            server(LATER_BELOW),
            Command::EndLater,
            [soon(2_000_000), 0, 0, 0, 0, 0],
        ),
        Ok([0; 4]),
    );
    // It waits in server 0 for longer than its caller lives.
    let words = through(server(0), Command::Wait, [20_000_000, 0, 0]);
    expect(
        command(server(LATER_BELOW), Command::Call, words),
        Err(Error::ServerDied),
    );
    is_dead(LATER_BELOW);
    expect(command(server(0), Command::Show, NOTHING), Ok([0; 4]));
}

/// Servers that attack without restraint until they end, each in a call of the program's.
pub fn last(seed: u64) {
    for number in STORMS {
        attack("a server that attacks without restraint");
        let words = [seed ^ u64::from(number), 200_000, 0, 0, 0, 0];
        // It ends or comes back; what matters is what is left.
        let _ = command(server(number), Command::Storm, words);
        still_well();
    }
}
