//! Every processor calls a server and the kernel, and they wake each other.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_interface::name_space::{NameSpace, NameSpaceStub};
use kiln_object::Error;
use kiln_runtime::{Far, bind_server, process};

use crate::{report, team};

static ROUNDS: AtomicU64 = AtomicU64::new(0);
/// Whose turn it is to wake the next.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Runs it.
pub fn run(rounds: u64) {
    ROUNDS.store(rounds, Ordering::SeqCst);
    refusals();
    team::start(part);
    report::expect(
        process().start_dispatcher(0, 0x1000, 0x2000, 0),
        Err(Error::Exists),
    );
    call(rounds);
    for round in 1..=rounds {
        if team::processors() == 1 {
            report::expect(process().wake(0), Ok(()));
            team::wait_for_wake();
            continue;
        }
        TURN.fetch_add(1, Ordering::SeqCst);
        report::expect(process().wake(1), Ok(()));
        while TURN.load(Ordering::SeqCst) < round * u64::from(team::processors()) {
            team::wait_for_wake();
        }
    }
    team::wait_for_all();
}

fn refusals() {
    let start = |cpu, entry, stack| process().start_dispatcher(cpu, entry, stack, 0);
    report::expect(start(64, 0x1000, 0x2000), Err(Error::NotFound));
    report::expect(
        start(team::processors(), 0x1000, 0x2000),
        Err(Error::NotFound),
    );
    report::expect(start(u32::MAX, 0x1000, 0x2000), Err(Error::NotFound));
    report::expect(start(0, 1 << 47, 0x2000), Err(Error::BadArgument));
    report::expect(start(0, 0x1000, u64::MAX), Err(Error::BadArgument));
    report::expect(process().wake(team::processors()), Err(Error::NotFound));
    report::expect(process().wake(64), Err(Error::NotFound));
}

fn call(rounds: u64) {
    let names = match bind_server::<dyn NameSpace>("name_space") {
        Ok(reference) => NameSpaceStub::new(reference, Far),
        Err(error) => report::failed(format_args!("the name space cannot be bound: {error}")),
    };
    for _ in 0..rounds {
        report::expect(names.version().is_ok(), true);
        report::expect(process().processor_time().is_ok(), true);
    }
}

extern "sysv64" fn part(cpu: u64) -> ! {
    report::expect(u64::from(team::here()), cpu);
    let rounds = ROUNDS.load(Ordering::SeqCst);
    call(rounds);
    let next = (team::here() + 1) % team::processors();
    let all = u64::from(team::processors());
    for round in 0..rounds {
        // The first turn of a round is the first processor's, and so on.
        while TURN.load(Ordering::SeqCst) < round * all + cpu {
            team::wait_for_wake();
        }
        TURN.fetch_add(1, Ordering::SeqCst);
        report::expect(process().wake(next), Ok(()));
    }
    team::done()
}
