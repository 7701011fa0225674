//! Ways in: from rewritten call sites, by the kernel's reflection, by traps.
//!
//! At both system call entries `rax` is the number, `rdi rsi rdx r10 r8 r9` the arguments; `rcx`
//! (at a rewritten site) or the dispatcher page (by reflection) says where to return. The program's
//! stack is never touched: below its pointer may be live data, or nothing at all. Everything but
//! `rax`, `rcx` and `r11` is as it was when the program goes on, every vector register included.

pub mod direct;
#[cfg(kiln_freestanding)]
mod gate;
pub mod start;
pub mod trap;
pub mod vdso;
#[cfg(test)]
mod vdso_tests;
pub mod vectors;

use core::sync::atomic::{AtomicBool, Ordering};

use crate::call::{Call, SavedRegisters};
use crate::errno::Answer;
use crate::{rewrite, signal, strace, table};

#[cfg(kiln_freestanding)]
pub use gate::{called, resume_with_state};
pub use vectors::VectorSave;

/// Free word of the dispatcher page with the top of the library's stack.
pub const STACK_WORD: usize = kiln_runtime::dispatcher::PERSONALITY_WORDS;

/// Free word in which the entry keeps the program's stack pointer for a moment.
pub const PROGRAM_STACK_WORD: usize = STACK_WORD + 1;

/// Whether system calls are written to the log.
pub static TRACING: AtomicBool = AtomicBool::new(false);

/// Whether they are, or are noted as events.
static OBSERVED: AtomicBool = AtomicBool::new(false);

/// Runs a system call that is written to the log, or noted as a span of time.
#[cold]
fn observed(call: &Call<'_>) -> Answer {
    let name = strace::call_name(call.number).unwrap_or("system call");
    let _span = kiln_runtime::trace_span!(name, call.number);
    if TRACING.load(Ordering::Relaxed) {
        strace::run(call)
    } else {
        table::run(call)
    }
}

/// Runs the system call that the registers describe; answers what `rax` becomes.
///
/// `reflected` is not zero if the call came by reflection from a site that is not settled.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
extern "sysv64" fn system_call(
    registers: &SavedRegisters,
    vectors: &mut VectorSave,
    reflected: u64,
) -> u64 {
    if reflected != 0 {
        let next = rewrite::met(registers.rip.get(), registers.rax.get());
        registers.rip.set(next);
    }
    let call = Call::new(registers);
    let answer = if OBSERVED.load(Ordering::Relaxed) {
        observed(&call)
    } else {
        table::run(&call)
    };
    let rax = answer.unwrap_or_else(|errno| errno.register());
    if signal::is_told() {
        signal::attend();
    }
    if signal::is_deliverable() {
        signal::deliver_after_call(registers, vectors, rax);
    }
    rax
}
