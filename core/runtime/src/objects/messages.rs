//! One-way messages that came for objects of this process.
//!
//! A thread takes them out of a dispatcher's ring for as long as there are some, and calls the objects
//! with the sender's identity as the kernel says it: owner and rights are checked as for a call, and
//! only methods that are declared one-way are run, for what the object answers is nobody's. Messages of one ring are seen to one after the other.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_object::dispatcher::soft_interrupt::MESSAGE;
use kiln_object::layout::message_ring;
use kiln_object::message_ring::{MESSAGES, Message, MessageRing};
use kiln_object::{Caller, Incoming, ObjectName, ProcessId, Processor, Rights};

use crate::dispatcher;
use crate::thread::{self, Priority};

/// CPUs whose dispatcher's ring is being emptied, as bits.
static EMPTYING: AtomicU64 = AtomicU64::new(0);

/// The kernel has said that there are messages for the dispatcher on `cpu`; soft interrupts are off.
#[cold]
pub(crate) fn arrived(cpu: u32) {
    let bit = 1 << cpu;
    if EMPTYING.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
        return;
    }
    if thread::spawn(Priority::Normal, move || empty(cpu)).is_err() {
        // There is no memory for a thread: they stay where they are, and are asked about again.
        EMPTYING.fetch_and(!bit, Ordering::SeqCst);
        dispatcher::page()
            .pending
            .fetch_or(MESSAGE, Ordering::Relaxed);
    }
}

fn empty(cpu: u32) {
    // SAFETY: the kernel maps the ring before it says for the first time that there is a message, and
    // the page stays; all of it is atomics.
    let ring = unsafe { &*(message_ring(cpu) as *const MessageRing) };
    let bit = 1 << cpu;
    let mut taken = 0_usize;
    loop {
        while let Some(message) = ring.receive() {
            taken += 1;
            if taken.is_multiple_of(MESSAGES / 2) {
                tell_of_room(ring, cpu);
            }
            deliver(&message);
        }
        tell_of_room(ring, cpu);
        EMPTYING.fetch_and(!bit, Ordering::SeqCst);
        // Who said meanwhile that there are more has left them to this thread.
        if !ring.has_message() || EMPTYING.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            return;
        }
    }
}

/// Has the kernel tell those who wait for room in the ring, if there are any.
fn tell_of_room(ring: &MessageRing, cpu: u32) {
    if ring.take_want() {
        // The dispatcher is there, as it got messages.
        let _ = crate::process().made_room(cpu);
    }
}

fn deliver(message: &Message) {
    // The sender has gone on long ago.
    let _ = super::deliver(
        &mut Incoming {
            words: message.words,
            caller: Caller(ProcessId::from_raw(message.caller)),
            method: message.method,
            processor: Processor::new(dispatcher::cpu()),
            rights: Rights::empty(),
            bytes: None,
        },
        ObjectName::from_raw(message.object),
    );
}
