//! Traps of this process: the kernel enters here, a handler looks, and the context goes on.
//!
//! A soft interrupt is none: it stops the running thread ([`thread`](crate::thread)).
//!
//! The entry has its own stack and is not entered again while it runs: a trap of the handler ends
//! the process. The handler may change the saved registers; it goes on with what they then are.

use core::sync::atomic::{AtomicPtr, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_object::dispatcher::{DispatcherPage, Registers, TrapFrame, fault_cause};

/// What looks at a trap.
pub type Handler = fn(&TrapFrame);

static HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Makes `handler` look at traps from now on, in place of [`end_process`].
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as *mut (), Ordering::Release);
}

/// Runs the handler; called by the trap entry.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
pub(crate) extern "sysv64" fn trapped(page: &DispatcherPage) {
    if let Some(thread) = crate::thread::who_ends_alone(page) {
        report(&page.trap);
        crate::log_line!("it ends a thread alone");
        crate::thread::end_alone(thread, &page.trap.registers);
        return;
    }
    let handler = HANDLER.load(Ordering::Acquire);
    if handler.is_null() {
        end_process(&page.trap);
        return;
    }
    // SAFETY: only `set_handler` stores to `HANDLER`, and what it stores is a `Handler`.
    let handler: Handler = unsafe { core::mem::transmute::<*mut (), Handler>(handler) };
    handler(&page.trap);
}

/// The handler at the start: ends the process with 128 and the number of the POSIX signal that stands
/// for the trap. The kernel says on the log what trapped and where.
pub fn end_process(trap: &TrapFrame) {
    let load = |register: &core::sync::atomic::AtomicU64| register.load(Ordering::Relaxed);
    // On success it does not come back.
    let _ = crate::process().exit(128 + signal(load(&trap.vector), load(&trap.cause)));
}

/// Says on the log what trapped and where.
fn report(trap: &TrapFrame) {
    let load = |register: &core::sync::atomic::AtomicU64| register.load(Ordering::Relaxed);
    let registers = &trap.registers;
    crate::log_line!(
        "{} at rip {:#x}, address {:#x}, error {:#x}, cause {}",
        name(load(&trap.vector)),
        load(&registers.rip),
        load(&trap.address),
        load(&trap.error),
        cause(load(&trap.cause)),
    );
    log_registers(registers);
    crate::log_line!(
        "r8 {:#x} r9 {:#x} r10 {:#x} r11 {:#x} r12 {:#x} r13 {:#x} r14 {:#x} r15 {:#x} flags {:#x}",
        load(&registers.r8),
        load(&registers.r9),
        load(&registers.r10),
        load(&registers.r11),
        load(&registers.r12),
        load(&registers.r13),
        load(&registers.r14),
        load(&registers.r15),
        load(&registers.rflags),
    );
}

/// Writes the registers `rax` to `rsp` to the log, in one line.
pub fn log_registers(registers: &Registers) {
    let load = |register: &core::sync::atomic::AtomicU64| register.load(Ordering::Relaxed);
    crate::log_line!(
        "rax {:#x} rbx {:#x} rcx {:#x} rdx {:#x} rsi {:#x} rdi {:#x} rbp {:#x} rsp {:#x}",
        load(&registers.rax),
        load(&registers.rbx),
        load(&registers.rcx),
        load(&registers.rdx),
        load(&registers.rsi),
        load(&registers.rdi),
        load(&registers.rbp),
        load(&registers.rsp),
    );
}

/// The POSIX signal number that stands for a trap.
#[must_use]
pub const fn signal(vector: u64, cause: u64) -> u32 {
    const TRAP: u32 = 5;
    const ILLEGAL: u32 = 4;
    const BUS: u32 = 7;
    const ARITHMETIC: u32 = 8;
    const SEGMENT: u32 = 11;
    match vector {
        0 | 16 | 19 => ARITHMETIC,
        1 | 3 => TRAP,
        6 => ILLEGAL,
        14 if matches!(
            cause,
            fault_cause::BEYOND_END | fault_cause::NO_MEMORY | fault_cause::NOT_BROUGHT
        ) =>
        {
            BUS
        }
        17 => BUS,
        _ => SEGMENT,
    }
}

fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound exceeded",
        6 => "invalid instruction",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "x87 error",
        17 => "alignment fault",
        19 => "SIMD error",
        _ => "exception",
    }
}

fn cause(cause: u64) -> &'static str {
    match cause {
        fault_cause::UNMAPPED => "not mapped",
        fault_cause::PROTECTION => "not allowed",
        fault_cause::BEYOND_END => "beyond the end of the file",
        fault_cause::NO_MEMORY => "out of memory",
        fault_cause::NOT_BROUGHT => "not brought by the file's server",
        _ => "none",
    }
}

/// Where the kernel enters; the saved context is resumed when the handler comes back.
#[cfg(kiln_freestanding)]
#[unsafe(naked)]
pub(crate) extern "sysv64" fn trap_entry() -> ! {
    use core::mem::offset_of;

    use kiln_object::call::Operation;
    use kiln_object::dispatcher::SOFT_INTERRUPT_VECTOR;

    core::arch::naked_asm!(
        "cmp qword ptr [rdi + {vector}], {soft_interrupt}",
        "jae {stop}",
        "xor ebp, ebp",
        "and rsp, -16",
        "cld",
        "call {trapped}",
        "mov rax, {resume}",
        "syscall",
        "ud2",
        vector = const offset_of!(DispatcherPage, trap) + offset_of!(TrapFrame, vector),
        soft_interrupt = const SOFT_INTERRUPT_VECTOR,
        stop = sym crate::thread::stop,
        trapped = sym trapped,
        resume = const (Operation::Resume as u64) << 48,
    );
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn the_registered_handler_sees_the_frame() {
        fn skip(trap: &TrapFrame) {
            trap.registers.rip.fetch_add(2, Relaxed);
        }
        let page = DispatcherPage::default();
        page.trap.registers.rip.store(100, Relaxed);
        set_handler(skip);
        trapped(&page);
        assert_eq!(page.trap.registers.rip.load(Relaxed), 102);
    }

    #[test]
    fn traps_have_the_signals_that_linux_gives_them() {
        assert_eq!(signal(0, 0), 8);
        assert_eq!(signal(6, 0), 4);
        assert_eq!(signal(13, 0), 11);
        assert_eq!(signal(14, fault_cause::UNMAPPED), 11);
        assert_eq!(signal(14, fault_cause::BEYOND_END), 7);
    }
}
