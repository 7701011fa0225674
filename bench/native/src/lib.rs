//! Measures object calls and threads from inside an image, in place of a personality.
//!
//! The component is linked twice: as the program, which measures, and as a server that is called.
//! Prints a line `name instructions` for each figure on the console. Under QEMU's instruction
//! counter a difference of time stamps is a count of instructions, the same on each run; the least
//! of several rounds leaves out what happens once (page faults, first uses).
#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(dead_code, reason = "host builds have no entry")
)]
#![deny(unsafe_code)]

extern crate alloc;

mod calls;
mod faults;
mod near;
mod threads;

use alloc::format;

use kiln_interface::kernel::{Console as _, Log as _, Machine as _, Process as _};
use kiln_interface::name_space::{NameSpace, NameSpaceStub};
use kiln_object::startup::InitialObject;
use kiln_runtime::{Far, bind_server, console, machine, process, startup};

/// Calls in one measurement.
const CALLS: u64 = 64;

/// Measurements, of which the least counts.
const ROUNDS: usize = 16;

kiln_runtime::component!(main);

fn main() {
    if startup().object(InitialObject::Machine).is_none() {
        return calls::serve();
    }
    report("boot.native", counter());
    let names = match bind_server::<dyn NameSpace>("name_space") {
        Ok(reference) => NameSpaceStub::new(reference, Far),
        Err(error) => return fail(&format!("the name space server cannot be bound: {error}")),
    };
    report("call.null", least(|| names.version().is_ok()));
    match near::measure() {
        Ok(figure) => report("call.near", figure),
        Err(error) => return fail(&format!("an object here is not near: {error}")),
    }
    report("call.kernel", least(|| process().ready().is_ok()));
    calls::measure();
    threads::measure();
    faults::measure();
    report(trace_figure(), mark());
    let _ = machine().power_off(0);
}

/// What an event costs depends on whether this machine notes them.
fn trace_figure() -> &'static str {
    if kiln_runtime::trace::is_on() {
        "trace.on"
    } else {
        "trace.off"
    }
}

/// The instructions of an event of this process's own.
fn mark() -> u64 {
    let rounds = |mark: fn()| {
        let mut least = u64::MAX;
        for _ in 0..ROUNDS {
            let start = counter();
            for _ in 0..CALLS {
                mark();
            }
            least = least.min(counter() - start);
        }
        least
    };
    // Both are called in the same way, so what is left is the event.
    let nothing = rounds(|| {
        core::hint::black_box(());
    });
    let marking = rounds(|| {
        kiln_runtime::trace_mark!("bench", 1);
    });
    marking.saturating_sub(nothing).div_ceil(CALLS)
}

/// The time stamp counter, after everything before it.
fn counter() -> u64 {
    kiln_runtime::time::counter()
}

/// The least instructions of one of `CALLS` calls, rounded down.
fn least(call: impl Fn() -> bool) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let start = counter();
        for _ in 0..CALLS {
            if !call() {
                return 0;
            }
        }
        least = least.min((counter() - start) / CALLS);
    }
    least
}

fn report(name: &str, figure: u64) {
    let _ = console().write(format!("{name} {figure}\n").as_bytes());
}

fn fail(message: &str) {
    let _ = kiln_runtime::log().line(message.as_bytes());
    let _ = machine().power_off(1);
}
