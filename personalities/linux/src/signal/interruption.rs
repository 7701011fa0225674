//! Soft interrupts: typed input and the timer, whatever the program is doing.
//!
//! The kernel stops the program at any instruction, but never the library: that looks itself when a
//! call ends. So nothing here is entered twice, and no lock is held by what was interrupted.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use kiln_object::dispatcher::TrapFrame;
use kiln_object::dispatcher::soft_interrupt::{CONSOLE, TIMER};

use super::frame::Context;
use super::{deliver, is_deliverable};
use crate::entry::VectorSave;
use crate::{LINUX, time};

/// Whether the kernel has told of input or of the timer.
#[must_use]
#[inline(always)]
pub fn is_told() -> bool {
    kiln_runtime::dispatcher::page().pending.load(Relaxed) & (CONSOLE | TIMER) != 0
}

/// Takes in what was typed and lets timers expire: signals wait for delivery afterwards.
#[cold]
pub fn attend() {
    let told = kiln_runtime::dispatcher::page()
        .pending
        .fetch_and(!(CONSOLE | TIMER), AcqRel);
    if told & CONSOLE != 0 {
        LINUX.terminal.receive();
    }
    time::expire();
    if told & TIMER != 0 {
        // Had the kernel been early, nobody would tell again.
        time::arm();
    }
}

/// The program was stopped while it computed: it goes on in a handler, or as if nothing had been.
pub fn interrupted(trap: &TrapFrame, vectors: &VectorSave) {
    attend();
    if !is_deliverable() {
        return;
    }
    let mut context = Context::of_trap(trap);
    // Handlers see the number and error of the last fault; this is none.
    context.trap = 0;
    if deliver(&mut context, vectors, |_, _| {}) {
        context.store_to_trap(trap);
    }
}
