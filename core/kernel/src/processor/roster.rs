//! Which processors run, and how to reach them; the only part of a processor that others see.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::firmware::MAX_PROCESSORS;
use crate::interrupt::local_apic::{self, Message};

/// APIC identifiers by processor number, plus one; 0 for a processor that does not run.
static IDENTIFIERS: [AtomicU32; MAX_PROCESSORS] = [const { AtomicU32::new(0) }; MAX_PROCESSORS];
static ONLINE: AtomicU32 = AtomicU32::new(0);

/// Enters the running processor, whose local APIC is on.
pub(super) fn enter(number: u32) {
    if let Some(place) = IDENTIFIERS.get(number as usize) {
        place.store(local_apic::identifier().wrapping_add(1), Ordering::Release);
        ONLINE.fetch_add(1, Ordering::Release);
    }
}

/// Number of processors that run the kernel.
pub fn online() -> u32 {
    ONLINE.load(Ordering::Acquire)
}

/// The APIC identifier of a processor, if it runs.
pub fn identifier(number: u32) -> Option<u32> {
    let place = IDENTIFIERS.get(usize::try_from(number).ok()?)?;
    place.load(Ordering::Acquire).checked_sub(1)
}

/// Whether the processor with this APIC identifier runs.
pub(super) fn is_online(identifier: u32) -> bool {
    let sought = identifier.wrapping_add(1);
    IDENTIFIERS
        .iter()
        .any(|place| place.load(Ordering::Acquire) == sought)
}

/// Raises `vector` on processor `number`; nothing happens if it does not run.
pub fn send(number: u32, vector: u8) {
    if let Some(identifier) = identifier(number) {
        local_apic::send(identifier, Message::Vector(vector));
    }
}

/// Wakes processor `number` from waiting for an interrupt.
pub fn wake(number: u32) {
    send(number, crate::interrupt::table::WAKE);
}

/// Sends a non-maskable interrupt to every other processor that runs.
pub(crate) fn interrupt_others(own_number: u32) {
    for number in (0..)
        .take(MAX_PROCESSORS)
        .filter(|number| *number != own_number)
    {
        if let Some(identifier) = identifier(number) {
            local_apic::send(identifier, Message::NonMaskable);
        }
    }
}
