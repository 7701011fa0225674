//! Servers that live in the kernel: a home without an address space.
//!
//! The last link puts them beside the kernel if the manifest says so; the kernel knows them by one
//! record and calls them by it. To everybody else they are a process like any other: one identity,
//! references that look the same, the same checks. What differs is what a mistake costs. A call runs
//! on the kernel's stack, with interrupts off, for as long as it takes, and a panic ends the machine.

mod call;
mod heap;
mod mistake;
pub(crate) mod straight_line;

use alloc::boxed::Box;
use core::ptr::{from_ref, null_mut};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use kiln_object::ObjectName;
use kiln_object::home::{Given, KernelHome};
use kiln_object::startup::Startup;

use crate::process::Process;
use crate::trace;

pub(crate) use call::{call, call_kernel, tell};
#[cfg(feature = "self-test")]
pub(crate) use heap::Serving;
#[cfg(kiln_freestanding)]
pub(crate) use heap::{HEAP, owns, serving};
pub(crate) use mistake::{blame, say_depth};

/// Name of the home in the image's configuration.
pub const NAME: &str = "kernel_home";

/// The process that the servers here are to others; null before they are started.
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// Their startup block; null before they are started.
static STARTUP: AtomicPtr<Startup> = AtomicPtr::new(null_mut());

/// The servers' runtime; null before they are started.
static HOME: AtomicPtr<KernelHome> = AtomicPtr::new(null_mut());

#[cfg(kiln_freestanding)]
core::arch::global_asm!(
    r#"
    .section .rodata.kiln_kernel_home_range, "a", @progbits
    .balign 8
    .weak __start_kiln_kernel_homes
    .weak __stop_kiln_kernel_homes
    .globl kiln_kernel_home_range
kiln_kernel_home_range:
    .quad __start_kiln_kernel_homes
    .quad __stop_kiln_kernel_homes
    "#
);

/// The servers' runtime, if the image has it.
fn linked() -> Option<&'static KernelHome> {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static kiln_kernel_home_range: [*const u8; 2];
        }
        // SAFETY: the linker delimits the records of that section, of which there is one at most, or
        // leaves both ends null: the symbols are weak, so that an image without such a home links.
        unsafe {
            let [start, stop] = kiln_kernel_home_range;
            if stop as usize - start as usize == size_of::<KernelHome>() {
                return start.cast::<KernelHome>().as_ref();
            }
        }
    }
    None
}

/// Starts the servers, as `process`; false if the image has none.
///
/// # Panics
/// If a server does: then the machine has what it cannot do without no more.
pub(crate) fn start(process: &'static Process, given: Given) -> bool {
    let Some(home) = linked() else { return false };
    PROCESS.store(from_ref(process).cast_mut(), Release);
    HOME.store(from_ref(home).cast_mut(), Release);
    STARTUP.store(from_ref(given.startup).cast_mut(), Release);
    let _serving = heap::Serving::begin(true);
    (home.start)(Box::leak(Box::new(given)));
    process.mark_ready();
    true
}

/// The process that the servers here are, if there are any.
fn process() -> Option<&'static Process> {
    // SAFETY: null, or a process, which is never freed.
    unsafe { PROCESS.load(Acquire).as_ref() }
}

/// Notes the interface of an object that the servers here hand out.
pub(crate) fn note_object(name: ObjectName, interface: u64) {
    if let Some(process) = process() {
        trace::home_object(process.id(), name, interface);
    }
}

/// Whether `process` is that of the servers here.
pub(crate) fn is_in_kernel(process: &Process) -> bool {
    of(process).is_some()
}

/// The servers' runtime, if `target` is their process.
#[inline(always)]
fn of(target: &Process) -> Option<&'static KernelHome> {
    if PROCESS.load(Relaxed).cast_const() != from_ref(target) {
        return None;
    }
    // SAFETY: it was stored after `PROCESS`, on the processor that starts all others, from a record of
    // the image.
    unsafe { HOME.load(Acquire).as_ref() }
}
