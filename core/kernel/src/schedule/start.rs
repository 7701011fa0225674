//! How a processor begins to schedule, and how it is given activations.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_object::Error;

use super::cpu::{self, Message};
use super::run;
use crate::call::activation::{Activation, Entry};
use crate::call::{self, straight_line};
use crate::firmware::MAX_PROCESSORS;
use crate::process::{CPUS, Process};
use crate::processor::{self, PerCpu};
use crate::{interrupt, soft_interrupt, time};

/// Processors that schedule, as bits.
static SCHEDULING: AtomicU64 = AtomicU64::new(0);

/// Whether [`prepare`] is done: a bit that no processor has in [`SCHEDULING`] would not fit.
static PREPARED: AtomicU64 = AtomicU64::new(0);

const _: () = assert!(CPUS <= 64 && MAX_PROCESSORS <= CPUS);

/// Makes all processors of the machine known, so that activations can be given to them before they
/// run. Once, on the boot processor.
pub fn prepare() {
    let processors = crate::firmware::machine().processors().len().max(1);
    for number in 0..processors.min(CPUS) as u32 {
        cpu::create(number);
    }
    soft_interrupt::initialise();
    time::timer::on_expiry(run::expired);
    // What is to be done is done on the way out of every interrupt.
    interrupt::register(interrupt::table::WAKE, |_| {});
}

/// Processors that schedule, as bits of a mask.
pub(super) fn scheduling() -> u64 {
    SCHEDULING.load(Ordering::SeqCst)
}

/// Runs activations on the boot processor for good, and lets the others begin.
pub fn start() -> ! {
    crate::log::number("kiln:info:started in ", time::monotonic_ns() / 1000, " us");
    PREPARED.store(1, Ordering::SeqCst);
    for number in 1..CPUS as u32 {
        processor::wake(number);
    }
    schedule()
}

/// Runs activations on a processor that was just started, for good, once the boot processor is ready.
pub fn enter() -> ! {
    while PREPARED.load(Ordering::SeqCst) == 0 {
        processor::wait_for_interrupt();
    }
    schedule()
}

fn schedule() -> ! {
    call::initialise();
    // SAFETY: the entry treats everything as the user's, and starts on the user's stack and GS.
    unsafe { processor::syscall::initialise(straight_line::address()) };
    if let Some(here) = cpu::here() {
        here.show_running();
        SCHEDULING.fetch_or(1 << PerCpu::number(), Ordering::SeqCst);
    }
    run::leave()
}

/// Gives `process` an activation on processor `number`, which begins as `entry` says.
///
/// # Errors
/// `NotFound` if the machine has no such processor, `Exists` if the process has one there, `Busy` if
/// the processor takes no more messages now, and what making the dispatcher answers.
pub fn start_activation(process: &'static Process, number: u32, entry: Entry) -> Result<(), Error> {
    start_by(process, number, entry, Message::Start)
}

/// As [`start_activation`], before all others on that processor.
///
/// # Errors
/// As [`start_activation`].
pub fn start_activation_first(
    process: &'static Process,
    number: u32,
    entry: Entry,
) -> Result<(), Error> {
    start_by(process, number, entry, Message::StartFirst)
}

fn start_by(
    process: &'static Process,
    number: u32,
    entry: Entry,
    message: fn(&'static Activation) -> Message,
) -> Result<(), Error> {
    if cpu::cpu(number).is_none() {
        return Err(Error::NotFound);
    }
    process.claim_cpu(number)?;
    let started = process.dispatcher(number).and_then(|home| {
        let activation = Box::into_raw(Activation::new(home, entry));
        // SAFETY: it was just made, and is given back below only if nobody got it.
        let reference = unsafe { &*activation };
        // Before anything runs the boot processor fills its queue itself, in the same order.
        if let Some(here) = cpu::here()
            && PREPARED.load(Ordering::Relaxed) == 0
            && PerCpu::number() == number
        {
            here.queue().add(reference);
            return Ok(());
        }
        let sent = cpu::post(number, message(reference));
        sent.map_err(|_| {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(activation) });
            Error::Busy
        })
    });
    if started.is_err() {
        process.unclaim_cpu(number);
    }
    started
}
