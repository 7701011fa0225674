//! Calls with bytes, and one-way messages: to another process, which is this component once more.
//!
//! A burst of messages goes to an object of the component itself: so the receiver has its turn when the
//! sender gives way, and not before.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_interface::interface;
use kiln_object::{Error, Rights};
use kiln_runtime::thread::{sleep_until, yield_now};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, bind_server, objects, startup};

use crate::{ROUNDS, counter, fail, least, report};

/// Messages that are sent before the receiver has its turn: fewer than a ring holds.
const BURST: u64 = 16;

/// How long the other process is left alone, in ns.
const REST_NS: u64 = 1_000_000;

static NOTED: AtomicU64 = AtomicU64::new(0);

/// Takes and gives bytes and does nothing with them.
#[interface(name = "bench.bytes")]
trait Bytes {
    /// As many bytes out as there is room for.
    #[method(1, right = READ)]
    fn exchange(&self, input: &[u8], output: &mut [u8]) -> Result<usize, Error>;

    /// Bytes in alone.
    #[method(2, right = READ)]
    fn take(&self, input: &[u8]) -> Result<(), Error>;

    /// Counts.
    #[method(3, right = READ, oneway)]
    fn note(&self, value: u64) -> Result<(), Error>;

    /// What was counted.
    #[method(4, right = READ)]
    fn noted(&self) -> Result<u64, Error>;
}

struct Nothing;

impl Bytes for Nothing {
    fn exchange(&self, _input: &[u8], output: &mut [u8]) -> Result<usize, Error> {
        Ok(output.len())
    }

    fn take(&self, _input: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn note(&self, value: u64) -> Result<(), Error> {
        NOTED.fetch_add(value, Relaxed);
        Ok(())
    }

    fn noted(&self) -> Result<u64, Error> {
        Ok(NOTED.load(Relaxed))
    }
}

/// The life of the other process.
pub(crate) fn serve() {
    objects::serve(Arc::new(BytesDispatch(Nothing)));
}

/// Measures and reports.
pub(crate) fn measure() {
    let other = match bind_server::<dyn Bytes>("bench_server") {
        Ok(reference) => BytesStub::new(reference, Far),
        Err(_) => return fail("the other process cannot be bound"),
    };
    let (short, page) = ([7; 64], [7; 4096]);
    report(
        "call.64",
        least(|| other.exchange(&short, &mut [0; 64]) == Ok(64)),
    );
    report("call.4k", least(|| other.take(&page).is_ok()));
    match to_an_idle_process(&other) {
        Ok(figure) => report("call.oneway.idle", figure),
        Err(_) => return fail("a message to another process cannot be sent"),
    }
    let object = Arc::new(BytesDispatch(Nothing));
    let stub = match objects::export_as::<dyn Bytes>(object, startup().process, Rights::READ) {
        Ok(reference) => BytesStub::new(reference, Far),
        Err(_) => return fail("there is no room for an object"),
    };
    let mut sent = 0;
    let mut figure = u64::MAX;
    for _ in 0..ROUNDS {
        let start = counter();
        for _ in 0..BURST {
            if stub.note(1).is_err() {
                return fail("a message cannot be sent");
            }
        }
        figure = figure.min((counter() - start) / BURST);
        sent += BURST;
        while NOTED.load(Relaxed) != sent {
            yield_now();
        }
    }
    report("call.oneway", figure);
}

/// The least for a message to a process that waits for one, until the sender goes on.
fn to_an_idle_process(other: &BytesStub<Far>) -> Result<u64, Error> {
    let mut figure = u64::MAX;
    let before = other.noted()?;
    for sent in 1..=ROUNDS as u64 {
        let start = counter();
        let noted = other.note(1);
        figure = figure.min(counter() - start);
        noted?;
        // The other process needs the processor, to take the message and to wait again.
        while other.noted()? != before + sent {
            sleep_until(monotonic_ns() + REST_NS);
        }
        sleep_until(monotonic_ns() + REST_NS);
    }
    Ok(figure)
}
