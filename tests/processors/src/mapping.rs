//! One processor changes mappings while the others read through them.
//!
//! What was taken away must never be seen again, on any processor, once the request has come back:
//! not the page, not the right to write it, not another page that was given the same memory.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection};
use kiln_object::layout::PAGE_BYTES;
use kiln_runtime::address_space;

use crate::{report, team, touch};

/// Where the page lies that comes and goes, and where others get their memory.
const PLACE: u64 = 0x20_0000_0000;
const ELSEWHERE: u64 = 0x30_0000_0000;

/// Pages of the place.
const PAGES: u64 = 40;

/// What a page elsewhere holds.
const FOREIGN: u64 = 0xf0f0_f0f0_f0f0_f0f0;

/// Four times the round, and what of the below holds.
static STATE: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

/// The place holds the round's number, or nothing, or may not be written.
const CHANGING: u64 = 0;
const MAPPED: u64 = 1;
const GONE: u64 = 2;
const READ_ONLY: u64 = 3;

const READ_WRITE: u32 = Protection::READ.union(Protection::WRITE).bits();

/// Runs it.
pub fn run(rounds: u64) {
    touch::prepare();
    team::start(part);
    let space = address_space();
    let exact = MapFlags::EXACT.bits();
    let replace = MapFlags::REPLACE.bits();
    for round in 1..=rounds {
        let set = |what| STATE.store(round << 2 | what, Ordering::SeqCst);
        set(CHANGING);
        report::expect(
            space.map_anonymous(PLACE, PAGES * PAGE_BYTES, READ_WRITE, exact),
            Ok(PLACE),
        );
        fill(PLACE, round);
        set(MAPPED);
        pause(round);
        set(CHANGING);
        let read = Protection::READ.bits();
        report::expect(space.protect(PLACE, PAGES * PAGE_BYTES, read), Ok(()));
        set(READ_ONLY);
        pause(round);
        set(CHANGING);
        match round % 4 {
            0 => report::expect(space.unmap(PLACE, PAGES * PAGE_BYTES), Ok(())),
            1 => {
                report::expect(
                    space.relocate(PLACE, PAGES * PAGE_BYTES, ELSEWHERE, PAGES * PAGE_BYTES),
                    Ok(ELSEWHERE),
                );
                report::expect(touch::read(ELSEWHERE), Some(round));
                report::expect(space.unmap(ELSEWHERE, PAGES * PAGE_BYTES), Ok(()));
            }
            2 => {
                // Pages in place of those that are there: nobody may see the old ones.
                report::expect(
                    space.map_anonymous(PLACE, PAGES * PAGE_BYTES, READ_WRITE, replace),
                    Ok(PLACE),
                );
                fill(PLACE, round + rounds);
                STATE.store((round + rounds) << 2 | MAPPED, Ordering::SeqCst);
                pause(round);
                set(CHANGING);
                report::expect(space.unmap(PLACE, PAGES * PAGE_BYTES), Ok(()));
            }
            _ => {
                report::expect(space.discard(PLACE, PAGES * PAGE_BYTES), Ok(()));
                report::expect(touch::read(PLACE), Some(0));
                report::expect(space.unmap(PLACE, PAGES * PAGE_BYTES), Ok(()));
            }
        }
        set(GONE);
        // The memory is used again at once, by this process elsewhere.
        report::expect(
            space.map_anonymous(ELSEWHERE, PAGES * PAGE_BYTES, READ_WRITE, exact),
            Ok(ELSEWHERE),
        );
        fill(ELSEWHERE, FOREIGN);
        pause(round);
        report::expect(space.unmap(ELSEWHERE, PAGES * PAGE_BYTES), Ok(()));
    }
    STOP.store(true, Ordering::SeqCst);
    team::wait_for_all();
}

fn fill(place: u64, value: u64) {
    for page in 0..PAGES {
        report::expect(touch::write(place + page * PAGE_BYTES, value), true);
    }
}

/// Gives the others time to look.
fn pause(round: u64) {
    for _ in 0..round % 64 * 4 {
        core::hint::spin_loop();
    }
}

extern "sysv64" fn part(cpu: u64) -> ! {
    let mut page = cpu;
    let own = ELSEWHERE + (cpu << 32);
    while !STOP.load(Ordering::SeqCst) {
        page = (page + 1) % PAGES;
        // Where one thread of the host plays all processors it is the next one's turn.
        core::hint::spin_loop();
        look(PLACE + page * PAGE_BYTES);
        if page == 0 {
            // Faults and requests of their own, at the same time.
            let flags = MapFlags::EXACT.bits();
            let space = address_space();
            report::expect(
                space.map_anonymous(own, 3 * PAGE_BYTES, READ_WRITE, flags),
                Ok(own),
            );
            report::expect(touch::read(own), Some(0));
            report::expect(touch::write(own + PAGE_BYTES, FOREIGN), true);
            report::expect(space.unmap(own, 3 * PAGE_BYTES), Ok(()));
            report::expect(touch::read(own + PAGE_BYTES), None);
        }
    }
    team::done()
}

/// Looks at a page; what is seen counts if nothing was changed meanwhile.
fn look(address: u64) {
    let before = STATE.load(Ordering::SeqCst);
    let (round, what) = (before >> 2, before & 3);
    let seen = touch::read(address);
    let wrote = what == READ_ONLY && touch::write(address + 8, FOREIGN);
    if STATE.load(Ordering::SeqCst) != before {
        return;
    }
    let wanted = match what {
        MAPPED | READ_ONLY => Some(round),
        GONE => None,
        _ => return,
    };
    if seen != wanted || wrote {
        report::failed(format_args!(
            "processor {}: {seen:x?} instead of {wanted:x?} at {address:#x}, written {wrote}",
            team::here()
        ));
    }
}
