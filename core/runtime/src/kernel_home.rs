//! The runtime of servers that live in the kernel: the same library over other foundations.
//!
//! There is no address space of one's own and no thread: calls run on the kernel's stack with
//! interrupts off, so nothing here may wait. Only objects of the kernel and of this home can be
//! called.

use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

use kiln_object::call::{CALL_WORDS, MESSAGE_BYTES};
use kiln_object::home::{Given, KernelHome};
use kiln_object::startup::{KernelInformation, Startup};
use kiln_object::{Answer, Error, Incoming, ObjectName, ProcessId, RawReference, Reply, Transport};

use crate::transport::Failure;
use crate::{Far, home, objects};

/// Where the kernel finds this runtime, if the last link kept it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "kiln_kernel_homes")]
static KILN_KERNEL_HOME: KernelHome = KernelHome {
    start,
    serve,
    deliver,
};

/// What the kernel gave; null until it started this home.
static GIVEN: AtomicPtr<Given> = AtomicPtr::new(core::ptr::null_mut());

fn start(given: &'static Given) {
    GIVEN.store(core::ptr::from_ref(given).cast_mut(), Release);
    home::start_all();
}

extern "sysv64" fn serve(call: &mut Incoming<'_>, name: ObjectName) -> Answer {
    objects::dispatch(call, name)
}

extern "sysv64" fn deliver(call: &mut Incoming<'_>, name: ObjectName) -> Answer {
    objects::deliver(call, name)
}

#[inline]
fn given() -> &'static Given {
    // SAFETY: null, or what `start` was given for good.
    match unsafe { GIVEN.load(Acquire).as_ref() } {
        Some(given) => given,
        None => panic!("the home in the kernel was not started"),
    }
}

#[inline]
pub fn startup() -> &'static Startup {
    given().startup
}

pub fn processor() -> u32 {
    (given().processor)()
}

/// What whoever waits for a lock does meanwhile: interrupts are off, and others may wait for this processor.
pub fn relax() {
    (given().relax)();
    core::hint::spin_loop();
}

/// Where interfaces of objects are noted, if that is asked for.
#[inline]
pub fn note_object() -> Option<fn(ObjectName, u64)> {
    given().note_object
}

pub fn configuration() -> &'static [u8] {
    given().configuration
}

#[inline]
pub fn kernel_information() -> &'static KernelInformation {
    given().information
}

pub fn mapped() -> &'static [u8] {
    given().root
}

impl Far {
    /// As the other runtime's: nothing that is called here ends before the machine.
    pub(crate) fn attempt(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Failure> {
        self.call(reference, method, words, input, output)
            .map_err(Failure::from)
    }
}

impl Transport for Far {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        if input.len() > MESSAGE_BYTES || output.len() > MESSAGE_BYTES {
            return Err(Error::TooLarge);
        }
        let this = startup().process;
        if reference.process == ProcessId::KERNEL {
            return (given().call)(reference, method, &words, input, output);
        }
        if reference.process != this {
            // The kernel waits for no process: see what may call what in the manifest's rules.
            return Err(Error::Unsupported);
        }
        let room = output.len();
        let reply = objects::call(this, reference.object, method, words, input, output)?;
        if reply.output > room {
            return Err(Error::BadAnswer);
        }
        Ok(reply)
    }

    fn send(
        &self,
        _reference: RawReference,
        _method: u16,
        _words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}
