//! Servers that are started again: by whose name, how often, and what is left of the old one.

use kiln_object::{Error, ObjectName, RawReference};
use kiln_runtime::{Far, bind, bind_server, startup};

use super::report::{expect, good};
use super::{error, process_of, server};
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
    expect(old.count(), Err(Error::ServerDied));
    expect(server("faulty_server").count(), Ok(1));
    expect(server("faulty_server").count(), Ok(2));
}

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
        let bootstrap = RawReference {
            process: guess,
            object: ObjectName::BOOTSTRAP,
        };
        expect(bind::<dyn Faulty>(bootstrap).err(), Some(Error::ServerDied));
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
    expect(server("faulty_never").count(), Ok(1));
    expect(
        error(server("faulty_never").fail(Failure::Exit as u32)),
        Error::ServerDied,
    );
    expect(
        bind_server::<dyn Faulty>("faulty_never").err(),
        Some(Error::ServerDied),
    );
}

fn me() -> kiln_object::Caller {
    kiln_object::Caller(startup().process)
}
