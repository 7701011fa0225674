//! The server that does what it is told.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_interface::file::FileTree;
use kiln_interface::kernel::{FileCache, Process as _};
use kiln_object::call::CALL_WORDS;
use kiln_object::{Caller, Error, ProcessId, Reference, Rights, Transport};
use kiln_runtime::{Far, bind_server, grant, objects, process, startup, thread, time};

use crate::failures::{self, Failure};
use crate::interface::{Faulty, FaultyDispatch, FaultyStub, Item, ItemDispatch};
use crate::pages;

/// The life of such a server.
pub fn main() {
    let is_called = |name: &str| startup().hosted[0].starts_with(name.as_bytes());
    match startup().process.incarnation() {
        2 if is_called("faulty_late") => failures::fail(Failure::Wait as u32),
        3 if is_called("faulty_late") => failures::fail(Failure::Loop as u32),
        2.. if is_called("faulty_stuck") => failures::fail(Failure::Wait as u32),
        _ => {}
    }
    for (name, other) in [PAIR, [PAIR[1], PAIR[0]]].map(<(_, _)>::from) {
        if is_called(name) {
            // The other may end meanwhile, and begin again.
            thread::sleep_until(time::monotonic_ns() + DELAY_NS);
            let bound = bind_server::<dyn Faulty>(other);
            let status = bound.map_or_else(Error::code, |_| 0);
            BOUND.store(u64::from(status), Relaxed);
        }
    }
    kiln_runtime::log_information!("it begins");
    kiln_runtime::log_warning!("it is going to fail");
    if is_called("faulty_wide") {
        work_everywhere();
    }
    objects::serve(Arc::new(FaultyDispatch(Server)));
    objects::on_death(|_| {
        DEATHS.fetch_add(1, Relaxed);
    });
}

/// Has a thread at work on every processor.
fn work_everywhere() {
    let cpus = startup().cpus as usize;
    // With fewer processors or threads than wanted it ends just so.
    let _ = thread::use_cpus(cpus);
    for _ in 0..cpus {
        let _ = thread::spawn(thread::Priority::Normal, || {
            loop {
                let start = time::monotonic_ns();
                while time::monotonic_ns() < start + WORK_NS {
                    core::hint::spin_loop();
                }
                thread::sleep_until(start + 10 * WORK_NS);
            }
        });
    }
}

/// For how long such a thread computes at a time, in ns.
const WORK_NS: u64 = 20_000;

/// Servers that bind to each other before they are ready.
pub const PAIR: [&str; 2] = ["faulty_left", "faulty_right"];

/// How long they wait before that, in ns.
const DELAY_NS: u64 = 30_000_000;

static BOUND: AtomicU64 = AtomicU64::new(u64::MAX);
static CALLS: AtomicU64 = AtomicU64::new(0);
static NAPS: AtomicU64 = AtomicU64::new(0);
static ITEMS: AtomicU64 = AtomicU64::new(0);
static DEATHS: AtomicU64 = AtomicU64::new(0);

struct Server;

impl Faulty for Server {
    fn count(&self) -> Result<u64, Error> {
        Ok(CALLS.fetch_add(1, Relaxed) + 1)
    }

    fn fail(&self, kind: u32) -> Result<(), Error> {
        failures::fail(kind);
        Err(Error::BadArgument)
    }

    fn make(&self, caller: Caller) -> Result<Reference<dyn Item>, Error> {
        Thing::export(caller.0)
    }

    fn items(&self) -> Result<u64, Error> {
        Ok(ITEMS.load(Relaxed))
    }

    fn try_call(
        &self,
        target: Reference<dyn Item>,
        method: u32,
        first: u64,
        second: u64,
    ) -> Result<(u64, u64), Error> {
        let method = u16::try_from(method).map_err(|_| Error::BadArgument)?;
        let mut words = [0; CALL_WORDS];
        words[..2].copy_from_slice(&[first, second]);
        match Far.call(target.raw(), method, words, &[], &mut []) {
            Ok(reply) => Ok((0, reply.words[0])),
            Err(error) => Ok((u64::from(error.code()), 0)),
        }
    }

    fn revoke_all(&self, owner: ProcessId) -> Result<(), Error> {
        objects::revoke_all(owner);
        Ok(())
    }

    fn make_for(&self, owner: ProcessId, count: u64) -> Result<u64, Error> {
        for made in 0..count {
            if Thing::export(owner).is_err() {
                return Ok(made);
            }
        }
        Ok(count)
    }

    fn deaths(&self) -> Result<u64, Error> {
        Ok(DEATHS.load(Relaxed))
    }

    fn fail_next(&self, kind: u32) -> Result<u64, Error> {
        Ok(match next()?.fail(kind) {
            Ok(()) => 0,
            Err(error) => u64::from(error.code()),
        })
    }

    fn secret(&self) -> Result<u64, Error> {
        Ok(42)
    }

    fn hold(&self, count: u64) -> Result<u64, Error> {
        let next = next()?;
        for got in 0..count {
            if next.make(Caller(startup().process)).is_err() {
                return Ok(got);
            }
        }
        Ok(count)
    }

    fn fail_round(&self, kind: u32) -> Result<u64, Error> {
        next()?.fail_next(kind)
    }

    fn naps(&self) -> Result<u64, Error> {
        Ok(NAPS.load(Relaxed))
    }

    fn bound_at_start(&self) -> Result<u64, Error> {
        Ok(BOUND.load(Relaxed))
    }

    fn nap(&self, milliseconds: u64) -> Result<(), Error> {
        NAPS.fetch_add(1, Relaxed);
        let end = time::monotonic_ns() + milliseconds * 1_000_000;
        while time::monotonic_ns() < end {
            process().wait(end)?;
        }
        Ok(())
    }

    fn file(&self, pages: u64, caller: Caller) -> Result<Reference<dyn FileCache>, Error> {
        pages::file(pages, caller.0)
    }

    fn files_in_vain(&self, kind: u32, caller: Caller) -> Result<(), Error> {
        while pages::file(pages::MOST, caller.0).is_ok() {}
        self.fail(kind)
    }

    fn hold_root(&self, count: u64) -> Result<u64, Error> {
        let root = bind_server::<dyn FileTree>("image_root")?;
        for got in 0..count {
            if grant(root, startup().process, Rights::LOOKUP).is_err() {
                return Ok(got);
            }
        }
        Ok(count)
    }

    fn touch_next(&self, offset: u64) -> Result<u32, Error> {
        let file = next()?.file(pages::MOST, Caller(startup().process))?;
        Ok(u32::from(pages::read(pages::map(file)?, offset)))
    }
}

/// The other server.
fn next() -> Result<FaultyStub<Far>, Error> {
    let bound = bind_server::<dyn Faulty>("faulty_second")
        .or_else(|_| bind_server::<dyn Faulty>("faulty_server"))?;
    Ok(FaultyStub::new(bound, Far))
}

struct Thing(AtomicU64);

impl Thing {
    fn export(owner: ProcessId) -> Result<Reference<dyn Item>, Error> {
        let number = ITEMS.fetch_add(1, Relaxed);
        let rights = Rights::READ | Rights::WRITE | Rights::GRANT;
        let thing = Thing(AtomicU64::new(number));
        objects::export_as(Arc::new(ItemDispatch(thing)), owner, rights)
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        ITEMS.fetch_sub(1, Relaxed);
    }
}

impl Item for Thing {
    fn number(&self) -> Result<u64, Error> {
        Ok(self.0.load(Relaxed))
    }

    fn renumber(&self, number: u64) -> Result<(), Error> {
        self.0.store(number, Relaxed);
        Ok(())
    }

    fn fail(&self, kind: u32) -> Result<(), Error> {
        failures::fail(kind);
        Err(Error::BadArgument)
    }
}
