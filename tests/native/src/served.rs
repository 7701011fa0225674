//! A server whose calls hand work to its threads: a served call wakes them and never waits.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use kiln_interface::interface;
use kiln_interface::kernel::{FileCache, PagedFile as _, Process as _};
use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::{
    Caller, Error, Interface as _, ObjectName, RawReference, Reference, Rights, Transport as _,
};
use kiln_runtime::thread::{self, Channel, Priority, Semaphore};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, TryFar, bind_server, objects, startup};

use crate::pager;
use crate::report::{Order, check, failed};
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

    /// A file of which each page comes `delay` ns after it was asked for: see [`pager`].
    #[method(4, right = READ)]
    fn file(
        &self,
        pages: u64,
        delay: u64,
        caller: Caller,
    ) -> Result<(Reference<dyn FileCache>, u64), Error>;

    /// Which call of the pager this is, from 1.
    #[method(5, right = READ)]
    fn fills(&self) -> Result<u64, Error>;

    /// Bytes of the file with that key, as its pager reads them.
    #[method(6, right = READ)]
    fn read(&self, key: u64, offset: u64, bytes: &mut [u8]) -> Result<usize, Error>;

    /// Makes it shorter or longer.
    #[method(7, right = READ)]
    fn set_length(&self, key: u64, length: u64) -> Result<(), Error>;

    /// Ends the server a little later.
    #[method(8, right = READ)]
    fn end(&self) -> Result<(), Error>;

    /// Answers the bytes, each one more.
    #[method(9, right = READ)]
    fn echo(&self, bytes: &[u8], answer: &mut [u8]) -> Result<usize, Error>;

    /// Notes that `sender` has sent its message of that number, from 0.
    #[method(10, right = READ, oneway)]
    fn note(&self, sender: u64, number: u64) -> Result<(), Error>;

    /// How many messages came, all of a sender in their order; `BadAnswer` if not.
    #[method(11, right = READ)]
    fn noted(&self) -> Result<u64, Error>;
}

/// Threads that send messages.
const SENDERS: u64 = 4;

/// Their messages.
static NOTED: Order<{ SENDERS as usize }> = Order::new();

static WORK: Channel<u64> = Channel::new(16);
static SUM: AtomicU64 = AtomicU64::new(0);
static WOKEN: AtomicU64 = AtomicU64::new(0);
static BELL: Semaphore = Semaphore::new(0);
static BELL_OF_THE_END: Semaphore = Semaphore::new(0);

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

    fn file(
        &self,
        pages: u64,
        delay: u64,
        caller: Caller,
    ) -> Result<(Reference<dyn FileCache>, u64), Error> {
        pager::file(pages, delay, caller)
    }

    fn fills(&self) -> Result<u64, Error> {
        Ok(pager::fills())
    }

    fn read(&self, key: u64, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        pager::with(key, |file| file.read(offset, bytes))
    }

    fn set_length(&self, key: u64, length: u64) -> Result<(), Error> {
        pager::with(key, |file| file.set_length(length))
    }

    fn end(&self) -> Result<(), Error> {
        BELL_OF_THE_END.release();
        Ok(())
    }

    fn echo(&self, bytes: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        let length = bytes.len().min(answer.len());
        for (to, from) in answer.iter_mut().zip(bytes) {
            *to = from.wrapping_add(1);
        }
        Ok(length)
    }

    fn note(&self, sender: u64, number: u64) -> Result<(), Error> {
        NOTED.note(sender, number)
    }

    fn noted(&self) -> Result<u64, Error> {
        NOTED.noted()
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
    let _ = thread::spawn(Priority::High, || {
        BELL_OF_THE_END.acquire();
        thread::sleep_until(monotonic_ns() + 20_000_000);
        let _ = kiln_runtime::process().exit(1);
    });
    pager::start();
    objects::serve(Arc::new(WorkerDispatch(Server)));
}

/// The server, as it is now.
pub fn bound() -> WorkerStub<Far> {
    match bind_server::<dyn Worker>("native_server") {
        Ok(reference) => WorkerStub::new(reference, Far),
        Err(error) => failed(format_args!("no server: {error}")),
    }
}

/// Asks the server from several threads, and waits until its threads have done everything.
pub fn asked() {
    const THREADS: u64 = 3;
    const NUMBERS: u64 = 300;
    let stub = Arc::new(bound());
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

/// Sends a server more messages than its ring holds, from several threads: whoever finds no room waits,
/// unless it asked not to.
pub fn sent() {
    const MESSAGES: u64 = 1000;
    let reference = match bind_server::<dyn Worker>("native_server") {
        Ok(reference) => reference,
        Err(error) => failed(format_args!("no server: {error}")),
    };
    let asking = WorkerStub::new(reference, Far);
    let threads: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let sending = WorkerStub::new(reference, Far);
            start(Priority::Normal, move || {
                (0..MESSAGES).all(|number| sending.note(sender, number).is_ok())
            })
        })
        .collect();
    for thread in threads {
        check(thread.join(), format_args!("a message was not sent"));
    }
    while asking.noted() != Ok(SENDERS * MESSAGES) {
        check(asking.noted().is_ok(), format_args!("out of order"));
        // The server's thread needs a processor as well.
        thread::sleep_until(monotonic_ns() + 100_000);
    }
    // It is no sender that is counted.
    let trying = WorkerStub::new(reference, TryFar);
    let found = (0..100_000).find_map(|number| trying.note(u64::MAX, number).err());
    check(
        found == Some(Error::Busy),
        format_args!("{found:?} of a ring that was to be full"),
    );
}

/// Sends a server what is to be called, for it makes references or has an answer: nothing comes of it.
pub fn sent_in_vain() {
    let reference = match bind_server::<dyn Worker>("native_server") {
        Ok(reference) => reference,
        Err(error) => failed(format_args!("no server: {error}")),
    };
    let stub = WorkerStub::new(reference, Far);
    let held = || Far.call_words(reference.raw(), universal::HELD, [0; CALL_WORDS]);
    let counted = || (stub.noted(), stub.sum(), held());
    let before = counted();
    check(
        matches!(before, (Ok(_), Ok(_), Ok(_))),
        format_args!("{before:?}"),
    );
    let all = u64::from(Rights::ALL.bits());
    let send = |object, method, first| {
        let process = reference.raw().process;
        let sent = Far.send(
            RawReference { process, object },
            method,
            [first, all, 0, 0, 0, 0],
        );
        check(
            sent == Ok(()),
            format_args!("a message to {method:#x}: {sent:?}"),
        );
    };
    let object = reference.raw().object;
    send(ObjectName::BOOTSTRAP, universal::BIND, <dyn Worker>::HASH);
    for method in universal::BIND..=universal::HELD {
        send(object, method, startup().process.raw());
    }
    send(object, worker_methods::ADD, 1);
    send(object, worker_methods::FILE, 1);
    send(object, worker_methods::END, 0);
    // Messages of one sender come in order, so this is the last.
    check(
        stub.note(SENDERS - 1, 0) == Ok(()),
        format_args!("a message was not sent"),
    );
    let limit = monotonic_ns() + 20_000_000_000;
    while stub.noted() == before.0 {
        check(
            monotonic_ns() < limit,
            format_args!("a message has not come"),
        );
        thread::sleep_until(monotonic_ns() + 100_000);
    }
    let after = counted();
    check(
        (after.1, after.2) == (before.1, before.2),
        format_args!("{before:?} before and {after:?} after"),
    );
    // And who calls what could be sent, knows that it was run.
    let called = Far.call_words(
        reference.raw(),
        worker_methods::NOTE,
        [SENDERS - 1, 1, 0, 0, 0, 0],
    );
    check(
        called.is_ok() && stub.noted() != after.0,
        format_args!("{called:?}"),
    );
}
