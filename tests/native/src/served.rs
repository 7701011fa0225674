//! A server whose calls hand work to its threads: a served call wakes them and never waits.

use alloc::sync::Arc;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use kiln_interface::interface;
use kiln_object::Error;
use kiln_runtime::thread::{self, Channel, Priority, Semaphore};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, bind_server, objects};

use crate::report::{check, failed};
use crate::scheduling::start;

/// What the server is asked.
#[interface(name = "kiln.test.worker")]
pub trait Worker {
    /// Has a thread of the server add `number`; `WouldBlock` if too much is to be done.
    #[method(1, right = READ)]
    fn add(&self, number: u64) -> Result<(), Error>;

    /// What the threads have added up to.
    #[method(2, right = READ)]
    fn sum(&self) -> Result<u64, Error>;

    /// Wakes the thread that only counts how often it is woken; answers how often it was.
    #[method(3, right = READ)]
    fn wake(&self) -> Result<u64, Error>;
}

static WORK: Channel<u64> = Channel::new(16);
static SUM: AtomicU64 = AtomicU64::new(0);
static WOKEN: AtomicU64 = AtomicU64::new(0);
static BELL: Semaphore = Semaphore::new(0);

struct Server;

impl Worker for Server {
    fn add(&self, number: u64) -> Result<(), Error> {
        WORK.try_send(number).map_err(|_| Error::WouldBlock)
    }

    fn sum(&self) -> Result<u64, Error> {
        Ok(SUM.load(SeqCst))
    }

    fn wake(&self) -> Result<u64, Error> {
        BELL.release();
        Ok(WOKEN.load(SeqCst))
    }
}

/// The life of the server.
pub fn main() {
    for _ in 0..2 {
        let _ = thread::spawn(Priority::Normal, || {
            while let Ok(number) = WORK.receive() {
                SUM.fetch_add(number, SeqCst);
            }
        });
    }
    let _ = thread::spawn(Priority::High, || {
        loop {
            BELL.acquire();
            WOKEN.fetch_add(1, SeqCst);
        }
    });
    objects::serve(Arc::new(WorkerDispatch(Server)));
}

/// Asks the server from several threads, and waits until its threads have done everything.
pub fn asked() {
    const THREADS: u64 = 3;
    const NUMBERS: u64 = 300;
    let stub = match bind_server::<dyn Worker>("native_server") {
        Ok(reference) => WorkerStub::new(reference, Far),
        Err(error) => failed(format_args!("no server: {error}")),
    };
    let stub = Arc::new(stub);
    let (Ok(before), Ok(woken)) = (stub.sum(), stub.wake()) else {
        failed(format_args!("the server does not answer"));
    };
    let threads: [_; THREADS as usize] = core::array::from_fn(|_| {
        let stub = stub.clone();
        start(Priority::Normal, move || {
            for number in 1..=NUMBERS {
                while let Err(error) = stub.add(number) {
                    check(error == Error::WouldBlock, format_args!("{error}"));
                    // The server's threads need a processor as well.
                    thread::sleep_until(monotonic_ns() + 100_000);
                }
            }
        })
    });
    for thread in threads {
        thread.join();
    }
    let expected = before + THREADS * NUMBERS * (NUMBERS + 1) / 2;
    let limit = monotonic_ns() + 20_000_000_000;
    let is_done = || stub.sum() == Ok(expected) && stub.wake().is_ok_and(|now| now > woken);
    while !is_done() {
        check(
            monotonic_ns() < limit,
            format_args!("{:?} of {expected}", stub.sum()),
        );
        thread::sleep_until(monotonic_ns() + 1_000_000);
    }
}
