//! Calls with bytes, and one-way messages: to an object of this component itself, which it calls as it
//! would another process's. The kernel makes no difference.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_interface::interface;
use kiln_object::{Error, Rights};
use kiln_runtime::thread::yield_now;
use kiln_runtime::{Far, objects, startup};

use crate::{ROUNDS, counter, fail, least, report};

/// Messages that are sent before the receiver has its turn: fewer than a ring holds.
const BURST: u64 = 16;

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
}

/// Measures and reports.
pub(crate) fn measure() {
    let object = Arc::new(BytesDispatch(Nothing));
    let stub = match objects::export_as::<dyn Bytes>(object, startup().process, Rights::READ) {
        Ok(reference) => BytesStub::new(reference, Far),
        Err(_) => return fail("there is no room for an object"),
    };
    let (short, page) = ([7; 64], [7; 4096]);
    report(
        "call.64",
        least(|| stub.exchange(&short, &mut [0; 64]) == Ok(64)),
    );
    report("call.4k", least(|| stub.take(&page).is_ok()));
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
