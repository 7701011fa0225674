//! Writes rubbish into the ring of events that this process has of its own, which a reader of the machine's
//! memory looks at, and tries to get at more than that ring.

use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection};
use kiln_interface::name_space::{NameSpace, NameSpaceStub};
use kiln_object::layout::{PAGE_BYTES, trace_ring};
use kiln_object::trace::USER_RING_BYTES;
use kiln_runtime::{Far, address_space, bind_server, dispatcher};

use crate::report;

/// Positions that the ring has never had.
const POSITIONS: [u64; 6] = [0, 1, 1 << 31, u32::MAX as u64 + 1, u64::MAX / 2, u64::MAX];

/// Makes `calls` calls, and spoils the ring before each; it stays spoiled.
pub fn run(calls: u64) {
    let trace = &dispatcher::page().trace;
    // Or this tests nothing: the image runs without a reader.
    report::expect(trace.groups.load(Relaxed) != 0, true);
    let own = trace_ring(crate::team::here());
    report::expect(trace.slots.load(Relaxed), own);
    keep_off(own);
    let names = NameSpaceStub::new(
        report::good(bind_server::<dyn NameSpace>("name_space")),
        Far,
    );
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for call in 0..calls {
        for place in (0..USER_RING_BYTES).step_by(8) {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            // Every fourth word has a number in its lower half that fits to the place, or nearly.
            let head = word & !0xffff_ffff | (place / 32 + 1);
            let value = if place % 32 == 8 && !word.is_multiple_of(5) {
                head
            } else {
                word
            };
            // SAFETY: the ring is mapped there for this process to write to, and only a reader of the
            // machine's memory makes anything of it.
            unsafe {
                core::ptr::with_exposed_provenance_mut::<u64>((own + place) as usize)
                    .write_volatile(value)
            };
        }
        let position = POSITIONS[(call % POSITIONS.len() as u64) as usize];
        trace.position.store(position, Relaxed);
        kiln_runtime::trace_mark!("rubbish", call);
        report::expect(names.version().is_ok(), true);
    }
}

/// What is not this process's, or is kept for the reader, cannot be had.
fn keep_off(own: u64) {
    let space = address_space();
    let read_write = (Protection::READ | Protection::WRITE).bits();
    report::expect(space.unmap(own, PAGE_BYTES).is_err(), true);
    let replace = MapFlags::REPLACE.bits();
    let replaced = space.map_anonymous(own, PAGE_BYTES, read_write, replace);
    report::expect(replaced.is_err(), true);
    // Where another processor's ring would be there is nothing, and the ring that is there is this process's
    // alone: nobody's events are in it but its own, of which there are none yet.
    let (range, _) = report::good(space.region(own));
    report::expect((range.0, range.1 <= own + USER_RING_BYTES), (own, true));
    for place in (0..USER_RING_BYTES).step_by(32) {
        // SAFETY: as in `run`.
        let head = unsafe {
            core::ptr::with_exposed_provenance::<u64>((own + place + 8) as usize).read_volatile()
        };
        let kind = kiln_object::trace::Event::from_words([0, head, 0, 0]).kind;
        report::expect(head == 0 || OWN.contains(&kind), true);
    }
}

/// Kinds of events that a process notes itself.
const OWN: [u8; 4] = {
    use kiln_object::trace::Kind;
    [
        Kind::Mark as u8,
        Kind::Begin as u8,
        Kind::End as u8,
        Kind::Object as u8,
    ]
};
