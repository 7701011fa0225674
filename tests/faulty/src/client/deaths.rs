//! Clients that die: what they held at servers, and what cannot be given to them any more.

use kiln_object::{Error, ProcessId, Rights};
use kiln_runtime::{Far, grant, release};

use super::report::{expect, good};
use super::{me, process_of, rest, server};
use crate::failures::Failure;
use crate::interface::{Faulty as _, Item as _, ItemStub};

/// The server forgets the references of a client that has ended, and drops what only it held.
pub fn of_a_client() {
    let (client, holder) = (server("faulty_server"), server("faulty_second"));
    let kept = ItemStub::new(good(holder.make(me())), Far);
    let told = good(holder.deaths());
    expect(client.hold(300), Ok(300));
    expect(holder.items(), Ok(301));
    expect(client.fail(Failure::Divide as u32), Err(Error::ServerDied));
    rest();
    expect(holder.items(), Ok(1));
    expect(holder.deaths(), Ok(told + 1));
    expect(kept.number().is_ok(), true);
    expect(release(kept.reference()), Ok(()));
    expect(holder.items(), Ok(0));
}

/// It dies while the server works for it: the server answers nobody, and goes on.
pub fn in_a_call() {
    let (client, holder) = (server("faulty_server"), server("faulty_second"));
    let process = process_of("faulty_second");
    // More often than calls can be in progress there.
    for _ in 0..40 {
        expect(client.hold(5), Ok(5));
        let died = client.fail_round(Failure::Exit as u32);
        expect(died, Err(Error::ServerDied));
    }
    rest();
    expect(holder.items(), Ok(0));
    expect(process_of("faulty_second"), process);
    expect(holder.count().is_ok(), true);
}

/// A reference for a process that has died, or never was, is refused and keeps nothing alive.
pub fn gifts() {
    let holder = server("faulty_second");
    let dead = process_of("faulty_server");
    expect(
        server("faulty_server").fail(Failure::Exit as u32),
        Err(Error::ServerDied),
    );
    let item = good(holder.make(me()));
    for nobody in [
        dead,
        ProcessId::NONE,
        ProcessId::new(999, 1),
        ProcessId::new(u32::MAX, u32::MAX),
    ] {
        let given = grant(item, nobody, Rights::READ);
        expect(given.err(), Some(Error::ServerDied));
    }
    // To one that lives, and dies then.
    let living = process_of("faulty_server");
    expect(grant(item, living, Rights::READ).is_ok(), true);
    expect(release(item), Ok(()));
    expect(holder.items(), Ok(1));
    expect(
        server("faulty_server").fail(Failure::Exit as u32),
        Err(Error::ServerDied),
    );
    rest();
    expect(holder.items(), Ok(0));
}

/// What one life of a client holds: nearly all that a client may, got in calls that are far from their limit.
const CALLS: u64 = 28;
const IN_ONE_CALL: u64 = 500;

/// So many lives hold more than a server has names for.
const LIVES: u64 = 6;

/// The server has the memory and the names back, before it is full of the dead.
pub fn of_a_file_server_s_clients() {
    for _ in 0..LIVES {
        let client = server("faulty_holder");
        for _ in 0..CALLS {
            expect(client.hold_root(IN_ONE_CALL), Ok(IN_ONE_CALL));
        }
        expect(client.fail(Failure::Exit as u32), Err(Error::ServerDied));
        rest();
    }
    expect(server("faulty_holder").hold_root(1), Ok(1));
}
