//! Processes that call a pinned server and never collect the answers: others have room nevertheless.
//!
//! The servers `hoarder_one` and `hoarder_two` are this component; a thread of theirs makes the calls.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::interface;
use kiln_load_interface::{Load, LoadStub, load_methods};
use kiln_object::call::{CallWord, PENDING, ReturnWord};
use kiln_object::{Error, RawReference};
use kiln_runtime::thread::{self, Priority, Semaphore};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{Far, TryFar, bind_server, objects};

use crate::report;

/// How long one call waits in the server, in ns: longer than anybody looks for its answer.
const LONG: u64 = 1_000_000;

/// More than any process has room for.
const MANY: u64 = 64;

/// How long a hoarder may take, in ns.
const PATIENCE_NS: u64 = 5_000_000_000;

/// What a hoarder is asked.
#[interface(name = "kiln.test.hoarder")]
pub trait Hoarder {
    /// How many calls it made whose answers it left, which it does when it is asked first; zero until
    /// it has.
    #[method(1, right = READ)]
    fn hoarded(&self) -> Result<u64, Error>;

    /// Ends it.
    #[method(2, right = READ)]
    fn end(&self) -> Result<(), Error>;

    /// Calls the server `load` while it serves this: the processor that it is on, and what it was answered,
    /// as a status.
    #[method(3, right = READ)]
    fn through(&self) -> Result<(u64, u64), Error>;

    /// Calls the server `load` while it serves this, which waits for so many nanoseconds.
    #[method(4, right = READ)]
    fn rest_in_load(&self, time: u64) -> Result<(), Error>;
}

static BELL: Semaphore = Semaphore::new(0);
static HOARDED: AtomicU64 = AtomicU64::new(0);

struct Server;

impl Hoarder for Server {
    fn hoarded(&self) -> Result<u64, Error> {
        BELL.release();
        Ok(HOARDED.load(Ordering::Relaxed))
    }

    fn end(&self) -> Result<(), Error> {
        kiln_runtime::entry::exit(1)
    }

    fn through(&self) -> Result<(u64, u64), Error> {
        // Both are calls, and both may find no room.
        let load = bind_server::<dyn Load>("load");
        let answer = load.and_then(|load| LoadStub::new(load, Far).cpu());
        let status = answer.map_or_else(Error::code, |_| 0);
        Ok((u64::from(crate::team::here()), u64::from(status)))
    }

    fn rest_in_load(&self, time: u64) -> Result<(), Error> {
        LoadStub::new(bind_server::<dyn Load>("load")?, Far).rest(time)
    }
}

/// The life of a hoarder.
pub fn main() {
    let hoarding = thread::spawn(Priority::Normal, || {
        BELL.acquire();
        if let Ok(load) = bind_server::<dyn Load>("load") {
            let made = (0..MANY).take_while(|_| is_pending(load.raw()));
            HOARDED.store(made.count() as u64, Ordering::Relaxed);
        }
    });
    if let Err(error) = hoarding {
        kiln_runtime::log_line!("no thread that hoards: {error}");
    }
    objects::serve(Arc::new(HoarderDispatch(Server)));
}

/// Makes a call that waits in the server, and does not wait itself; false if it is not pending.
fn is_pending(load: RawReference) -> bool {
    let mut rax = CallWord::new(load_methods::REST, 0, 0).0;
    // SAFETY: the call carries no bytes; every register that may change is declared or saved.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inout("rax") rax,
            in("rdi") load.process.raw(),
            in("rsi") load.object.raw(),
            in("rdx") LONG,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
    let answer = ReturnWord(rax);
    answer.is_unfinished() && answer.status() == PENDING
}

/// Has both hoard all they can, ends them, has them do it again, and calls the server each time.
pub fn run(rounds: u64) {
    let load = report::good(bind_server::<dyn Load>("load"));
    let mut first = None;
    for _ in 0..rounds {
        for name in ["hoarder_one", "hoarder_two"] {
            let hoarder = HoarderStub::new(report::good(bind_server::<dyn Hoarder>(name)), Far);
            let limit = monotonic_ns() + PATIENCE_NS;
            let hoarded = loop {
                let hoarded = report::good(hoarder.hoarded());
                if hoarded != 0 || monotonic_ns() > limit {
                    break hoarded;
                }
                thread::sleep_until(monotonic_ns() + LONG);
            };
            report::check(
                (1..MANY).contains(&hoarded) && *first.get_or_insert(hoarded) == hoarded,
                format_args!("{hoarded} calls of {name}, {first:?} at first"),
            );
        }
        report::expect(LoadStub::new(load, TryFar).cpu(), Ok(1));
        for name in ["hoarder_one", "hoarder_two"] {
            let hoarder = HoarderStub::new(report::good(bind_server::<dyn Hoarder>(name)), Far);
            report::expect(hoarder.end(), Err(Error::ServerDied));
        }
    }
    report::expect(LoadStub::new(load, Far).cpu(), Ok(1));
}
