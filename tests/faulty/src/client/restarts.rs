//! Servers that are started again: by whose name, how often, and what is left of the old one.

use kiln_object::{Error, RawReference, Reference};
use kiln_runtime::{Far, bind_server, startup, thread, time};

use super::report::{expect, failed, good, line, number};
use super::{error, me, process_of, server};
use crate::failures::Failure;
use crate::interface::{Faulty, Item as _, ItemStub};

/// The startup block says who serves a name now; its version says that something has changed.
pub fn by_name() {
    let version = || {
        startup()
            .version
            .load(core::sync::atomic::Ordering::Acquire)
    };
    let before = (version(), process_of("faulty_server"));
    let old = server("faulty_server");
    expect(error(old.fail(Failure::Exit as u32)), Error::ServerDied);
    expect(version() > before.0, true);
    expect(
        startup().successor(before.1),
        Some(process_of("faulty_server")),
    );
    // What was bound by name goes on, for the old holder as for a new one.
    expect(old.count(), Ok(1));
    expect(server("faulty_server").count(), Ok(2));
    expect(old.count(), Ok(3));
}

/// A server that died while nobody called it: what may be tried again is, the rest is told once.
pub fn tried_again() {
    let first = server("faulty_server");
    let second = server("faulty_second");
    let kill = || {
        // The other one's call ends it, so that this process has not been told.
        expect(
            second.fail_next(Failure::Exit as u32),
            Ok(u64::from(Error::ServerDied.code())),
        );
    };
    expect(first.items(), Ok(0));
    kill();
    expect(first.items(), Ok(0));
    expect(first.count(), Ok(1));
    kill();
    expect(first.count(), Err(Error::ServerDied));
    expect(first.count(), Ok(1));
    // Again, for a reference that is two incarnations old, and for one that stays ended.
    kill();
    kill();
    expect(first.items(), Ok(0));
    expect(first.count(), Ok(1));
    let never = server("faulty_never");
    expect(never.items(), Ok(0));
    expect(never.fail(Failure::Exit as u32), Err(Error::ServerDied));
    for _ in 0..3 {
        expect(never.items(), Err(Error::ServerDied));
    }
}

/// Two threads are in a server when it dies, on two processors: what must not be done twice is not, though
/// the other thread may have found the new server before.
pub fn by_two_threads() {
    if startup().cpus < 2 {
        return;
    }
    expect(thread::use_cpus(2), Ok(2));
    let mut met = 0;
    for _ in 0..100 {
        let inside = server("faulty_server");
        let before = good(inside.naps());
        let other = thread::spawn(thread::Priority::Normal, move || inside.nap(NAP));
        let Ok(other) = other else {
            failed(format_args!("there is no thread: {:?}", other.err()));
        };
        let server = server("faulty_server");
        let end = time::monotonic_ns() + 20_000_000_000;
        while server.naps() == Ok(before) {
            expect(time::monotonic_ns() < end, true);
            core::hint::spin_loop();
        }
        // If the other thread ran on the other processor, its call is in progress.
        expect(server.fail(Failure::Exit as u32), Err(Error::ServerDied));
        let napped = other.join();
        expect(server.naps(), Ok(0));
        met += u32::from(napped == Err(Error::ServerDied));
        if met == 10 {
            return;
        }
    }
    failed(format_args!(
        "the server died under two calls {met} times only"
    ));
}

/// How long the other thread is in the server, in ms: less than the image allows.
const NAP: u64 = 200;

/// Thousand restarts cost nothing in the end.
pub fn leaks() {
    restart_often("faulty_server", 1000);
}

/// So do those of a server that is at work on all processors when it ends.
pub fn leaks_of_many_processors() {
    restart_often("faulty_wide", number("rounds").unwrap_or(200));
}

fn restart_often(name: &str, rounds: u64) {
    let round = |failure: Failure| {
        let died = server(name).fail(failure as u32);
        expect(died, Err(Error::ServerDied));
    };
    // What is made once and kept.
    for failure in [Failure::Divide, Failure::Exit, Failure::Overflow] {
        round(failure);
    }
    let free = || {
        let information = kiln_runtime::kernel_information();
        information
            .memory_free
            .load(core::sync::atomic::Ordering::Relaxed)
    };
    let before = free();
    for number in 0..rounds {
        round(if number % 2 == 0 {
            Failure::Exit
        } else {
            Failure::Instruction
        });
    }
    line(format_args!("  free before {before}, after {}", free()));
    let slack = if startup().cpus == 1 { LEAST } else { MOST };
    expect(free() + slack >= before, true);
}

/// What a table in the kernel may have grown by.
const LEAST: u64 = 16 << 10;

/// The same with several processors, which keep some free pages each.
const MOST: u64 = 512 << 10;

/// A reference from the old server is none to the new one, even if the new one made the same.
pub fn stale_references() {
    let old = ItemStub::new(good(server("faulty_server").make(me())), Far);
    expect(old.number(), Ok(0));
    expect(error(old.fail(Failure::Divide as u32)), Error::ServerDied);
    expect(old.number(), Err(Error::ServerDied));
    let new = ItemStub::new(good(server("faulty_server").make(me())), Far);
    // The same slot and generation, in another incarnation.
    expect(new.reference().raw().object, old.reference().raw().object);
    expect(new.number(), Ok(0));
    expect(old.number(), Err(Error::ServerDied));
    expect(old.renumber(7), Err(Error::ServerDied));
    expect(new.number(), Ok(0));
    // Incarnations that are not there yet, and those of nobody.
    let process = process_of("faulty_server");
    for guess in [
        kiln_object::ProcessId::new(process.index(), process.incarnation() + 1),
        kiln_object::ProcessId::new(process.index(), 0),
        kiln_object::ProcessId::new(process.index(), u32::MAX),
    ] {
        let guessed = RawReference {
            process: guess,
            ..new.reference().raw()
        };
        let guessed = ItemStub::new(Reference::new(guessed), Far);
        expect(guessed.number(), Err(Error::ServerDied));
    }
}

/// The policy allows two restarts: the third end is the last.
pub fn rate_limit() {
    for _ in 0..3 {
        expect(
            error(server("faulty_limited").fail(Failure::Panic as u32)),
            Error::ServerDied,
        );
    }
    expect(
        bind_server::<dyn Faulty>("faulty_limited").err(),
        Some(Error::ServerDied),
    );
}

/// Without a policy there is no restart.
pub fn never() {
    expect(
        bind_server::<dyn Faulty>("faulty_never").err(),
        Some(Error::ServerDied),
    );
}
