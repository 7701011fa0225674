//! A server that takes its messages or leaves them, tells others who may leave theirs, and calls one
//! that calls it back.
//!
//! This component's servers are all of them partners; which does what is said by the tests.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use kiln_interface::interface;
use kiln_interface::kernel::Process as _;
use kiln_object::{Caller, Error, Reference, Rights};
use kiln_runtime::thread::{self, Priority, Semaphore};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, SpinMutex, TryFar, bind_server, dispatcher, objects, process, startup};

use crate::report::{self, Order};

/// Senders that a partner tells apart.
pub const SENDERS: usize = 16;

/// Free memory that several processors may keep for themselves, in bytes.
pub const KEPT_FREE: u64 = 256 << 10;

/// How long anything may take that is waited for, in ns.
const PATIENCE_NS: u64 = 20_000_000_000;

/// What a partner is asked.
#[interface(name = "kiln.test.partner")]
pub trait Partner {
    /// Notes that `sender` has sent its message of that number, from 0.
    #[method(1, right = READ, oneway)]
    fn note(&self, sender: u64, number: u64) -> Result<(), Error>;

    /// How many messages came, of all senders since each began; `BadAnswer` if one's were out of order.
    #[method(2, right = READ)]
    fn noted(&self) -> Result<u64, Error>;

    /// Has it leave its messages where they are for so many nanoseconds, from a little later on.
    #[method(3, right = READ)]
    fn be_deaf(&self, time: u64) -> Result<(), Error>;

    /// 1 while it leaves its messages where they are, else 0.
    #[method(4, right = READ)]
    fn is_deaf(&self) -> Result<u64, Error>;

    /// Ends it.
    #[method(5, right = READ)]
    fn end(&self) -> Result<(), Error>;

    /// Has it listen to what the partner of that number in [`TELLERS`] tells.
    #[method(6, right = READ)]
    fn listen(&self, teller: u64) -> Result<(), Error>;

    /// Tells `listener` what [`Partner::tell_all`] says, for as long as the caller lives.
    #[method(7, right = READ)]
    fn subscribe(
        &self,
        listener: Reference<dyn Listener>,
        caller: Caller,
    ) -> Result<Reference<dyn Subscription>, Error>;

    /// Sends each listener as many messages, without waiting: how many were sent, and how many found no
    /// room.
    #[method(8, right = READ)]
    fn tell_all(&self, count: u64) -> Result<(u64, u64), Error>;

    /// How many subscriptions there are.
    #[method(9, right = READ)]
    fn subscriptions(&self) -> Result<u64, Error>;

    /// Waits in the call for so many nanoseconds, which it has no right to, then has the other partner of
    /// [`CIRCLE`] do the same in `rounds` calls, one within the other: the status of the innermost.
    #[method(10, right = READ)]
    fn around(&self, time: u64, rounds: u64) -> Result<u64, Error>;
}

/// Whom a partner tells.
#[interface(name = "kiln.test.listener")]
pub trait Listener {
    /// Something that is of no use to anybody.
    #[method(1, right = READ, oneway)]
    fn told(&self, number: u64) -> Result<(), Error>;
}

/// What a subscriber has: with it goes the subscription.
#[interface(name = "kiln.test.subscription")]
pub trait Subscription {
    /// How many there are.
    #[method(1, right = READ)]
    fn count(&self) -> Result<u64, Error>;
}

/// Partners that are listened to.
pub const TELLERS: [&str; 1] = ["hoarder_one"];

/// Partners that call each other.
pub const CIRCLE: [&str; 2] = ["circle_one", "circle_two"];

static NOTED: Order<SENDERS> = Order::new();
static BELL: Semaphore = Semaphore::new(0);
static DEAF_FOR: AtomicU64 = AtomicU64::new(0);
static DEAF: AtomicU64 = AtomicU64::new(0);
static LISTENERS: SpinMutex<Vec<Reference<dyn Listener>>> = SpinMutex::new(Vec::new());
static SUBSCRIPTIONS: AtomicU64 = AtomicU64::new(0);

struct Itself;

impl Partner for Itself {
    fn note(&self, sender: u64, number: u64) -> Result<(), Error> {
        NOTED.note(sender, number)
    }

    fn noted(&self) -> Result<u64, Error> {
        NOTED.noted()
    }

    fn be_deaf(&self, time: u64) -> Result<(), Error> {
        DEAF_FOR.store(time, SeqCst);
        BELL.release();
        Ok(())
    }

    fn is_deaf(&self) -> Result<u64, Error> {
        Ok(DEAF.load(SeqCst))
    }

    fn end(&self) -> Result<(), Error> {
        kiln_runtime::entry::exit(1)
    }

    fn listen(&self, teller: u64) -> Result<(), Error> {
        let name = TELLERS.get(teller as usize).ok_or(Error::BadArgument)?;
        let teller = bind_server::<dyn Partner>(name)?;
        let itself = Arc::new(ListenerDispatch(Ear));
        let listener = objects::export_as(itself, teller.raw().process, Rights::READ)?;
        // It is kept until this process ends.
        let me = Caller(startup().process);
        PartnerStub::new(teller, Far).subscribe(listener, me)?;
        Ok(())
    }

    fn subscribe(
        &self,
        listener: Reference<dyn Listener>,
        caller: Caller,
    ) -> Result<Reference<dyn Subscription>, Error> {
        let subscription = Arc::new(SubscriptionDispatch(Subscribed(listener)));
        SUBSCRIPTIONS.fetch_add(1, SeqCst);
        let given = objects::export_as(subscription, caller.0, Rights::READ)?;
        LISTENERS.lock().push(listener);
        Ok(given)
    }

    fn tell_all(&self, count: u64) -> Result<(u64, u64), Error> {
        let (mut sent, mut refused) = (0, 0);
        for listener in LISTENERS.lock().iter() {
            let listener = ListenerStub::new(*listener, TryFar);
            for number in 0..count {
                match listener.told(number) {
                    Ok(()) => sent += 1,
                    Err(Error::Busy) => refused += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((sent, refused))
    }

    fn subscriptions(&self) -> Result<u64, Error> {
        Ok(SUBSCRIPTIONS.load(SeqCst))
    }

    fn around(&self, time: u64, rounds: u64) -> Result<u64, Error> {
        let end = monotonic_ns().saturating_add(time);
        while monotonic_ns() < end {
            process().wait(end)?;
        }
        if rounds == 0 {
            return Ok(0);
        }
        let is_first = startup().hosted[0].starts_with(CIRCLE[0].as_bytes());
        let other = bind_server::<dyn Partner>(CIRCLE[usize::from(is_first)]);
        let answer = other.and_then(|other| PartnerStub::new(other, Far).around(time, rounds - 1));
        Ok(answer.unwrap_or_else(|error| u64::from(error.code())))
    }
}

struct Ear;

impl Listener for Ear {
    fn told(&self, _number: u64) -> Result<(), Error> {
        Ok(())
    }
}

struct Subscribed(Reference<dyn Listener>);

impl Subscription for Subscribed {
    fn count(&self) -> Result<u64, Error> {
        Ok(SUBSCRIPTIONS.load(SeqCst))
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        LISTENERS
            .lock()
            .retain(|listener| listener.raw() != self.0.raw());
        SUBSCRIPTIONS.fetch_sub(1, SeqCst);
    }
}

/// Begins to be one.
pub fn serve() {
    let ears = thread::spawn(Priority::High, || {
        loop {
            BELL.acquire();
            // What is pending is put aside meanwhile, and no thread runs.
            dispatcher::disable();
            DEAF.store(1, SeqCst);
            let end = monotonic_ns().saturating_add(DEAF_FOR.load(SeqCst));
            let pending = &dispatcher::page().pending;
            let mut aside = 0;
            while monotonic_ns() < end {
                aside |= pending.swap(0, SeqCst);
                let _ = process().wait(end);
            }
            pending.fetch_or(aside, SeqCst);
            DEAF.store(0, SeqCst);
            dispatcher::enable();
        }
    });
    if let Err(error) = ears {
        kiln_runtime::log_line!("no thread that is deaf: {error}");
    }
    objects::serve(Arc::new(PartnerDispatch(Itself)));
}

/// A partner, as it is now.
#[track_caller]
pub fn bound(name: &str) -> Reference<dyn Partner> {
    report::good(bind_server::<dyn Partner>(name))
}

/// Has a partner be deaf for so many nanoseconds, and waits until it is.
pub fn deafen(partner: Reference<dyn Partner>, time: u64) {
    let partner = PartnerStub::new(partner, Far);
    report::expect(partner.be_deaf(time), Ok(()));
    wait_until(|| partner.is_deaf() == Ok(1), "it is not deaf");
}

/// Waits until something holds, which is said if it does not in time.
pub fn wait_until(holds: impl Fn() -> bool, otherwise: &str) {
    let end = monotonic_ns() + PATIENCE_NS;
    while !holds() {
        report::check(monotonic_ns() < end, format_args!("{otherwise}"));
        thread::sleep_until(monotonic_ns() + 100_000);
    }
}

/// Memory that nobody has, in bytes.
pub fn free_memory() -> u64 {
    kiln_runtime::kernel_information().memory_free.load(SeqCst)
}
