//! The process's dispatchers on the other processors, started by the test itself.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::{AddressSpace as _, MapFlags, Process as _, Protection};
use kiln_object::dispatcher::soft_interrupt::WAKE;
use kiln_runtime::{address_space, dispatcher, process, startup};

use crate::report;

/// Bytes of stack for each.
const STACK_BYTES: u64 = 64 << 10;

/// How many have done their part.
static DONE: AtomicU64 = AtomicU64::new(0);

/// Processors of the machine.
pub fn processors() -> u32 {
    startup().cpus as u32
}

/// The processor that runs this.
pub fn here() -> u32 {
    dispatcher::page().cpu.load(Ordering::Relaxed)
}

/// Starts `part` on every other processor; it is told which one.
pub fn start(part: extern "sysv64" fn(u64) -> !) {
    DONE.store(0, Ordering::Relaxed);
    for cpu in 1..processors() {
        let protection = (Protection::READ | Protection::WRITE).bits();
        let flags = MapFlags::empty().bits();
        match address_space().map_anonymous(0, STACK_BYTES, protection, flags) {
            // As after a call: the return address would lie there.
            Ok(stack) => report::expect(
                process().start_dispatcher(
                    cpu,
                    part as *const () as u64,
                    stack + STACK_BYTES - 8,
                    u64::from(cpu),
                ),
                Ok(()),
            ),
            Err(error) => report::failed(format_args!("no stack: {error}")),
        }
    }
}

/// Says that this processor's part is done, and waits for the machine's end.
pub fn done() -> ! {
    DONE.fetch_add(1, Ordering::SeqCst);
    let _ = process().wake(0);
    loop {
        let _ = process().wait(u64::MAX);
        dispatcher::page().pending.store(0, Ordering::SeqCst);
    }
}

/// Waits until all others are done.
pub fn wait_for_all() {
    while DONE.load(Ordering::SeqCst) < u64::from(processors() - 1) {
        wait_for_wake();
    }
}

/// Waits until another processor has woken this one.
pub fn wait_for_wake() {
    let pending = &dispatcher::page().pending;
    while pending.fetch_and(!WAKE, Ordering::SeqCst) & WAKE == 0 {
        let _ = process().wait(u64::MAX);
    }
}
