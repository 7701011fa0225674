//! A server that takes time on purpose: for tests of who gets how much of a processor.
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(kiln_freestanding),
    allow(dead_code, reason = "host builds have no entry")
)]

extern crate alloc;

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_load_interface::Load;
use kiln_object::Error;
use kiln_runtime::{SpinMutex, dispatcher, thread, time};

static BUSY: AtomicU64 = AtomicU64::new(0);

/// The thread that computes on the server's own time.
static WORKER: SpinMutex<Option<thread::ThreadRef>> = SpinMutex::new(None);

/// The server.
#[derive(Debug, Default)]
pub struct LoadServer;

impl Load for LoadServer {
    fn cpu(&self) -> Result<u64, Error> {
        Ok(u64::from(dispatcher::page().cpu.load(Ordering::Relaxed)))
    }

    fn be_busy(&self, busy: u64) -> Result<(), Error> {
        BUSY.store(busy, Ordering::SeqCst);
        if let Some(worker) = &*WORKER.lock() {
            worker.unblock();
        }
        Ok(())
    }

    fn take(&self, time: u64) -> Result<(), Error> {
        let end = time::monotonic_ns().saturating_add(time);
        while time::monotonic_ns() < end {
            core::hint::spin_loop();
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), Error> {
        loop {
            kiln_runtime::process().wait(u64::MAX)?;
            dispatcher::page().pending.store(0, Ordering::Relaxed);
        }
    }

    fn rest(&self, time: u64) -> Result<(), Error> {
        let end = time::monotonic_ns().saturating_add(time);
        while time::monotonic_ns() < end {
            kiln_runtime::process().wait(end)?;
        }
        Ok(())
    }

    fn echo(&self, input: &[u8], output: &mut [u8]) -> Result<usize, Error> {
        let place = output.get_mut(..input.len()).ok_or(Error::TooLarge)?;
        place.copy_from_slice(input);
        Ok(input.len())
    }
}

fn work() {
    *WORKER.lock() = Some(thread::current());
    loop {
        while BUSY.load(Ordering::SeqCst) != 0 {
            core::hint::spin_loop();
        }
        thread::block();
    }
}

#[cfg(kiln_freestanding)]
kiln_runtime::server!("load", main);

#[cfg(kiln_freestanding)]
fn main() {
    use alloc::sync::Arc;
    use kiln_load_interface::LoadDispatch;

    kiln_runtime::objects::serve(Arc::new(LoadDispatch(LoadServer)));
    if let Err(error) = thread::spawn(thread::Priority::Low, work) {
        kiln_runtime::log_line!("no thread for the server's own work: {error}");
    }
}
