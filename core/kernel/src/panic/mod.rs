//! The end of a kernel that found itself wrong: say where and why, stop the others, switch off.
//!
//! Nothing here may be believed to work, so each step that could fail again is behind a mark: a
//! failure within a failure goes straight to power-off.

mod backtrace;

use core::sync::atomic::{AtomicU32, Ordering};

use crate::interrupt::InterruptFrame;
use crate::interrupt::local_apic;
use crate::memory::kernel_space::{self, STACK_BYTES};
use crate::power::{self, ExitStatus};
use crate::processor::{self, PerCpu};

/// Number of the processor that panics, plus one; 0 while none does.
static PANICKING: AtomicU32 = AtomicU32::new(0);

/// Claims the panic for the running processor and stops the others.
fn begin() {
    let me = PerCpu::number() + 1;
    match PANICKING.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            if processor::is_initialised() && local_apic::is_initialised() {
                processor::roster::interrupt_others(me - 1);
            }
        }
        Err(first) if first == me => power::off(ExitStatus::Panic),
        Err(_) => processor::stop(),
    }
}

/// Ends the machine because of an exception that the kernel itself raised.
pub fn exception(frame: &InterruptFrame) -> ! {
    begin();
    crate::error!(
        "panic: {} (exception {}, error {:#x}) on processor {}",
        name(frame.vector),
        frame.vector,
        frame.error,
        PerCpu::number(),
    );
    if kernel_space::is_guard(last_fault()) {
        crate::error!("  the kernel stack's {STACK_BYTES} bytes are used up");
    }
    crate::home::blame();
    registers(frame, last_fault());
    backtrace::print(frame.rip, frame.rbp, frame.rsp);
    power::off(ExitStatus::Panic)
}

/// A non-maskable interrupt: another processor's panic, or hardware that nobody here knows.
pub(crate) fn non_maskable(frame: &InterruptFrame) {
    match PANICKING.load(Ordering::Acquire) {
        0 => crate::error!("non-maskable interrupt at {:#x} ignored", frame.rip),
        _ => processor::stop(),
    }
}

fn last_fault() -> u64 {
    let address: u64;
    // SAFETY: reads the last page fault's address.
    unsafe { core::arch::asm!("mov {}, cr2", out(reg) address, options(nomem, nostack)) };
    address
}

/// Prints all registers, and the address of the last page fault.
pub(crate) fn registers(frame: &InterruptFrame, address: u64) {
    let rows = [
        [
            ("rip", frame.rip),
            ("rsp", frame.rsp),
            ("flags", frame.rflags),
            ("cr2", address),
        ],
        [
            ("rax", frame.rax),
            ("rbx", frame.rbx),
            ("rcx", frame.rcx),
            ("rdx", frame.rdx),
        ],
        [
            ("rsi", frame.rsi),
            ("rdi", frame.rdi),
            ("rbp", frame.rbp),
            ("r8", frame.r8),
        ],
        [
            ("r9", frame.r9),
            ("r10", frame.r10),
            ("r11", frame.r11),
            ("r12", frame.r12),
        ],
        [
            ("r13", frame.r13),
            ("r14", frame.r14),
            ("r15", frame.r15),
            ("cs", frame.cs),
        ],
    ];
    for [a, b, c, d] in rows {
        crate::error!(
            "{:>5} {:016x} {:>5} {:016x} {:>5} {:016x} {:>5} {:016x}",
            a.0,
            a.1,
            b.0,
            b.1,
            c.0,
            c.1,
            d.0,
            d.1
        );
    }
}

/// The manual's name of an exception.
pub(crate) fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid task state",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "x87 exception",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD exception",
        21 => "control protection exception",
        _ => "exception",
    }
}

#[cfg(kiln_freestanding)]
#[panic_handler]
fn panicked(information: &core::panic::PanicInfo<'_>) -> ! {
    begin();
    match information.location() {
        Some(place) => crate::error!(
            "panic: {} at {}:{} on processor {}",
            information.message(),
            place.file(),
            place.line(),
            PerCpu::number(),
        ),
        None => crate::error!("panic: {}", information.message()),
    }
    crate::home::blame();
    let (frame, stack): (u64, u64);
    // SAFETY: reads two registers.
    unsafe {
        core::arch::asm!(
            "mov {}, rbp",
            "mov {}, rsp",
            out(reg) frame,
            out(reg) stack,
            options(nomem, nostack, preserves_flags),
        );
    }
    backtrace::print(0, frame, stack);
    power::off(ExitStatus::Panic)
}
