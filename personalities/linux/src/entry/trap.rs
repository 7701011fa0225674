//! What a trap of the program, or of the library on the program's behalf, means.

use core::sync::atomic::Ordering::Relaxed;

use kiln_object::dispatcher::{SOFT_INTERRUPT_VECTOR, TrapFrame};
use kiln_object::layout::{SYSTEM_END, SYSTEM_START};

use super::{VectorSave, vdso};
use crate::{program_memory, rewrite, signal};

const INVALID_INSTRUCTION: u64 = 6;
const PAGE_FAULT: u64 = 14;
const GENERAL_PROTECTION: u64 = 13;

/// Decides where the context in `frame` goes on.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
pub(super) extern "sysv64" fn handle(frame: &TrapFrame, vectors: &mut VectorSave) {
    let rip = frame.registers.rip.load(Relaxed);
    let vector = frame.vector.load(Relaxed);
    if vector == SOFT_INTERRUPT_VECTOR {
        signal::interrupted(frame, vectors);
        return;
    }
    if let Some(next) = elsewhere(vector, rip) {
        frame.registers.rip.store(next, Relaxed);
        return;
    }
    if (SYSTEM_START..SYSTEM_END).contains(&rip) && !vdso::range().contains(&rip) {
        // A fault of the library itself: nothing of it can be trusted any more.
        kiln_runtime::trap::end_process(frame);
    }
    signal::fault(frame, vectors);
}

/// Where a trap that the program must not see goes on.
fn elsewhere(vector: u64, rip: u64) -> Option<u64> {
    match vector {
        // An address that is not canonical raises a general protection fault.
        PAGE_FAULT | GENERAL_PROTECTION => program_memory::fixup(rip),
        INVALID_INSTRUCTION => rewrite::displaced(rip),
        _ => None,
    }
}
