//! Exceptions on purpose: a function is run, and what it raised is told.
//!
//! The kernel enters the trap entry; if an attempt is being made, the context it saved is sent back
//! to where the attempt began. Any other exception is one that nobody wanted.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kiln_object::dispatcher::soft_interrupt::{CALL_DONE, RETRY};
use kiln_object::dispatcher::{DispatcherPage, PARKED_FAULT_VECTOR, SOFT_INTERRUPT_VECTOR};
use kiln_object::startup::InitialObject;
use kiln_runtime::startup;

/// What an attempt raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The processor's number of the exception.
    pub vector: u64,
    /// The address of a page fault.
    pub address: u64,
    /// Why a page fault was not resolved (`kiln_object::dispatcher::fault_cause`).
    pub cause: u64,
    /// Where it happened.
    pub rip: u64,
}

/// What one dispatcher attempts, and what came of it.
struct Attempt {
    /// The stack pointer to go back with; 0 while nothing is attempted.
    stack: AtomicU64,
    vector: AtomicU64,
    address: AtomicU64,
    cause: AtomicU64,
    rip: AtomicU64,
}

/// Of each processor's dispatcher.
static ATTEMPTS: [Attempt; 64] = [const {
    Attempt {
        stack: AtomicU64::new(0),
        vector: AtomicU64::new(0),
        address: AtomicU64::new(0),
        cause: AtomicU64::new(0),
        rip: AtomicU64::new(0),
    }
}; 64];

/// Whether the process has a dispatcher on each processor.
static ARE_MANY: AtomicBool = AtomicBool::new(false);

/// Keeps attempts of the process's dispatchers apart from now on. None of them leads the segment bases astray.
pub fn keep_apart() {
    ARE_MANY.store(true, Ordering::Relaxed);
}

/// That of the dispatcher whose page `page` tells.
fn own(page: impl Fn() -> &'static DispatcherPage) -> &'static Attempt {
    let place = if ARE_MANY.load(Ordering::Relaxed) {
        page().cpu.load(Ordering::Relaxed) as usize
    } else {
        0
    };
    &ATTEMPTS[place.min(ATTEMPTS.len() - 1)]
}

/// Runs `code` with `argument`; answers its result, or the exception that it raised.
pub fn attempt(code: unsafe extern "sysv64" fn(u64) -> u64, argument: u64) -> Result<u64, Trap> {
    let mut trapped = 0;
    let own = own(kiln_runtime::dispatcher::page);
    // SAFETY: an exception comes back here with the registers that the convention keeps.
    let answer = unsafe { run(code, argument, &mut trapped, own.stack.as_ptr()) };
    own.stack.store(0, Ordering::Relaxed);
    if trapped == 0 {
        return Ok(answer);
    }
    Err(Trap {
        vector: own.vector.load(Ordering::Relaxed),
        address: own.address.load(Ordering::Relaxed),
        cause: own.cause.load(Ordering::Relaxed),
        rip: own.rip.load(Ordering::Relaxed),
    })
}

/// Looks at a trap: sends an attempt back, or ends the process.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
extern "sysv64" fn trapped(page: &'static DispatcherPage) {
    let trap = &page.trap;
    if trap.vector.load(Ordering::Relaxed) == SOFT_INTERRUPT_VECTOR {
        // The runtime's own calls wait for these, and it sees to them when it next looks.
        page.pending.fetch_and(CALL_DONE | RETRY, Ordering::Relaxed);
        return;
    }
    let own = own(|| page);
    let stack = own.stack.load(Ordering::Relaxed);
    if stack != 0 && trap.vector.load(Ordering::Relaxed) == PARKED_FAULT_VECTOR {
        // Nobody else runs here meanwhile; what was stopped is tried again.
        let bit = 1 << (trap.error.load(Ordering::Relaxed) & 63);
        while page.faults_done.fetch_and(!bit, Ordering::AcqRel) & bit == 0 {
            crate::together::pause();
        }
        return;
    }
    let registers = &trap.registers;
    let (vector, rip) = (
        trap.vector.load(Ordering::Relaxed),
        registers.rip.load(Ordering::Relaxed),
    );
    if stack != 0 {
        own.vector.store(vector, Ordering::Relaxed);
        own.address
            .store(trap.address.load(Ordering::Relaxed), Ordering::Relaxed);
        own.cause
            .store(trap.cause.load(Ordering::Relaxed), Ordering::Relaxed);
        own.rip.store(rip, Ordering::Relaxed);
        registers.rip.store(back_address(), Ordering::Relaxed);
        registers.rsp.store(stack, Ordering::Relaxed);
        registers.rflags.store(0x202, Ordering::Relaxed);
        return;
    }
    if crate::together::is_attacker() || !startup().object(InitialObject::Machine).is_none() {
        let address = trap.address.load(Ordering::Relaxed);
        crate::report::failed(format_args!(
            "exception {vector} at {rip:#x}, address {address:#x}, cause {}: {registers:x?}",
            trap.cause.load(Ordering::Relaxed)
        ));
    }
    kiln_runtime::entry::exit(128 + 11)
}

#[cfg(not(kiln_freestanding))]
unsafe fn run(
    _code: unsafe extern "sysv64" fn(u64) -> u64,
    _argument: u64,
    _trapped: &mut u64,
    _stack: *mut u64,
) -> u64 {
    0
}

/// Where the kernel enters for traps.
#[cfg(not(kiln_freestanding))]
pub fn entry_address() -> u64 {
    0
}

#[cfg(not(kiln_freestanding))]
fn back_address() -> u64 {
    0
}

#[cfg(kiln_freestanding)]
use freestanding::{back_address, run};

#[cfg(kiln_freestanding)]
pub use freestanding::entry_address;

#[cfg(kiln_freestanding)]
mod freestanding {
    use kiln_object::call::Operation;

    /// Where the kernel enters for traps.
    pub fn entry_address() -> u64 {
        entry as *const () as u64
    }

    #[unsafe(naked)]
    extern "sysv64" fn entry() -> ! {
        core::arch::naked_asm!(
            "xor ebp, ebp",
            "and rsp, -16",
            "cld",
            "call {trapped}",
            "mov rax, {resume}",
            "syscall",
            "ud2",
            trapped = sym super::trapped,
            resume = const (Operation::Resume as u64) << 48,
        );
    }

    pub fn back_address() -> u64 {
        unsafe extern "C" {
            safe static kiln_hostile_back: u8;
        }
        (&raw const kiln_hostile_back) as u64
    }

    #[unsafe(naked)]
    pub unsafe extern "sysv64" fn run(
        code: unsafe extern "sysv64" fn(u64) -> u64,
        argument: u64,
        trapped: &mut u64,
        stack: *mut u64,
    ) -> u64 {
        core::arch::naked_asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "push rdx",
            "mov [rcx], rsp",
            "mov rax, rdi",
            "mov rdi, rsi",
            "call rax",
            "pop rdx",
            "jmp 2f",
            ".globl kiln_hostile_back",
            "kiln_hostile_back:",
            "pop rdx",
            "mov qword ptr [rdx], 1",
            "2:",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbp",
            "pop rbx",
            "ret",
        );
    }
}
