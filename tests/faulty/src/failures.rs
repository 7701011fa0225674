//! The ways to fail.

use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::Process as _;
use kiln_object::dispatcher::soft_interrupt;
use kiln_runtime::{process, time};

/// What a server can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Failure {
    /// Overflow the call's stack.
    Overflow = 1,
    /// Jump to where there is no code.
    WildJump = 2,
    /// Divide by zero.
    Divide = 3,
    /// Read where nothing is mapped.
    WildRead = 4,
    /// Write where nothing may be written: its own code.
    WildWrite = 5,
    /// Write to an address that is no address.
    NotCanonical = 6,
    /// Touch the kernel.
    Kernel = 7,
    /// Panic.
    Panic = 8,
    /// End the process by its own will.
    Exit = 9,
    /// Execute what is no instruction.
    Instruction = 10,
    /// Execute an instruction that is the kernel's.
    Privileged = 11,
    /// Overflow the stack by much, beyond the guard.
    OverflowByMuch = 12,
    /// Make a foreign system call.
    ForeignCall = 13,
    /// Compute for ever.
    Loop = 14,
    /// Wait for ever.
    Wait = 15,
    /// Wait for ever, a millisecond at a time.
    WaitByTurns = 16,
    /// Ask for ever whether there is something new.
    Poll = 17,
    /// Wait for ever, and never look at what is new.
    WaitWithNews = 18,
}

/// All that end the server at once.
pub const CRASHES: [Failure; 13] = [
    Failure::Overflow,
    Failure::WildJump,
    Failure::Divide,
    Failure::WildRead,
    Failure::WildWrite,
    Failure::NotCanonical,
    Failure::Kernel,
    Failure::Panic,
    Failure::Exit,
    Failure::Instruction,
    Failure::Privileged,
    Failure::OverflowByMuch,
    Failure::ForeignCall,
];

/// Fails so; comes back only if there is no such kind.
pub fn fail(kind: u32) {
    let is = |failure: Failure| failure as u32 == kind;
    if is(Failure::Overflow) {
        core::hint::black_box(overflow(0));
    } else if is(Failure::Panic) {
        panic!("told to");
    } else if is(Failure::Exit) {
        kiln_runtime::entry::exit(3);
    } else if is(Failure::WildRead) {
        // SAFETY: none: nothing is there, and the exception is what is wanted.
        core::hint::black_box(unsafe { (0x1234_5678_9000 as *const u64).read_volatile() });
    } else if is(Failure::WildWrite) {
        // SAFETY: none: code cannot be written, and the exception is what is wanted.
        unsafe { (fail as *const () as *mut u64).write_volatile(0) };
    } else if is(Failure::Kernel) {
        // SAFETY: none: user mode cannot, and the exception is what is wanted.
        unsafe { (0xffff_8000_0000_0000_u64 as *mut u64).write_volatile(1) };
    } else if is(Failure::Wait) {
        wait(|| u64::MAX);
    } else if is(Failure::WaitByTurns) {
        wait(|| time::monotonic_ns() + 1_000_000);
    } else if is(Failure::Poll) {
        wait(|| 0);
    } else if is(Failure::WaitWithNews) {
        wait_with_news();
    } else {
        by_instruction(kind);
    }
}

fn wait_with_news() {
    loop {
        kiln_runtime::dispatcher::page()
            .pending
            .fetch_or(soft_interrupt::TIMER, Relaxed);
        let _ = process().wait(u64::MAX);
    }
}

fn wait(until: fn() -> u64) {
    loop {
        let _ = process().wait(until());
        kiln_runtime::dispatcher::page().pending.store(0, Relaxed);
    }
}

#[expect(unconditional_recursion, reason = "the overflow is what is wanted")]
#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    overflow(depth + 1) + room[9]
}

#[cfg(not(kiln_freestanding))]
fn by_instruction(_kind: u32) {}

#[cfg(kiln_freestanding)]
fn by_instruction(kind: u32) {
    use core::arch::asm;
    let is = |failure: Failure| failure as u32 == kind;
    // SAFETY: none: each is an exception, or never ends, which is what is wanted.
    unsafe {
        if is(Failure::WildJump) {
            asm!("jmp {}", in(reg) 0x4321_0000_u64, options(noreturn));
        } else if is(Failure::Divide) {
            asm!("div {0:e}", in(reg) 0_u32, inout("eax") 1_u32 => _, inout("edx") 0_u32 => _);
        } else if is(Failure::NotCanonical) {
            asm!("mov qword ptr [{0}], 0", in(reg) 0x8000_0000_0000_0000_u64);
        } else if is(Failure::Instruction) {
            asm!("ud2", options(noreturn));
        } else if is(Failure::Privileged) {
            asm!("mov {}, cr3", out(reg) _);
        } else if is(Failure::OverflowByMuch) {
            asm!("sub rsp, {}", "push 0", in(reg) 1_u64 << 30, options(noreturn));
        } else if is(Failure::ForeignCall) {
            asm!("syscall", in("rax") 39_u64, out("rcx") _, out("r11") _);
        } else if is(Failure::Loop) {
            asm!("2: jmp 2b", options(noreturn));
        }
    }
}
