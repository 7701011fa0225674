//! The instructions that stop a thread wherever it is, and let it go on as if nothing had been.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64};

use kiln_object::call::Operation;
use kiln_object::dispatcher::{DispatcherPage, Registers, SOFT_INTERRUPT_VECTOR, TrapFrame};

use super::Thread;
use crate::dispatcher::{CURRENT_THREAD, word_offset};

/// Bytes for all vector state that the processor has; zero before [`look`].
static EXTENDED_BYTES: AtomicU64 = AtomicU64::new(0);
/// 1 if it has XSAVE and the kernel has turned it on.
static HAS_XSAVE: AtomicU32 = AtomicU32::new(0);

/// Asks the processor how its vector state is saved; before any thread may be stopped.
pub(super) fn look() {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    use core::sync::atomic::Ordering::Relaxed;
    const LEGACY: u64 = 512;
    let bytes = if __cpuid(1).ecx & 1 << 27 != 0 {
        HAS_XSAVE.store(1, Relaxed);
        u64::from(__cpuid_count(0xd, 0).ebx)
    } else {
        LEGACY
    };
    EXTENDED_BYTES.store(bytes.next_multiple_of(64), Relaxed);
}

const fn register(offset: usize) -> usize {
    offset_of!(DispatcherPage, trap) + offset_of!(TrapFrame, registers) + offset
}

/// Where the trap entry goes for a soft interrupt, or when the thread waits for a page, with the page in `rdi`, on the trap stack. No register
/// but those in the page is changed before it is saved.
///
/// The thread goes on in [`super::preemption::stopped`] on its own stack, below the red zone, as if it had
/// called that; the registers lie above. If it is not on its own stack, or there is too little left, it
/// just goes on: what is pending stays so, and the dispatcher waits for the page as a whole.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn stop() -> ! {
    core::arch::naked_asm!(
        "mov rax, gs:[{current}]",
        "test rax, rax",
        "jz 9f",
        "mov rcx, [rdi + {rsp}]",
        "cmp rcx, [rax + {limit}]",
        "jb 9f",
        "cmp rcx, [rax + {top}]",
        "ja 9f",
        "inc dword ptr gs:[{disabled}]",
        "lea rsp, [rcx - 128]",
        "push qword ptr [rdi + {rip}]",
        "push qword ptr [rdi + {rflags}]",
        "push qword ptr [rdi + {rax}]",
        "push qword ptr [rdi + {rcx}]",
        "push qword ptr [rdi + {rdx}]",
        "push qword ptr [rdi + {rbx}]",
        "push qword ptr [rdi + {rbp}]",
        "push qword ptr [rdi + {rsi}]",
        "push qword ptr [rdi + {rdi}]",
        "push qword ptr [rdi + {r8}]",
        "push qword ptr [rdi + {r9}]",
        "push qword ptr [rdi + {r10}]",
        "push qword ptr [rdi + {r11}]",
        "push qword ptr [rdi + {r12}]",
        "push qword ptr [rdi + {r13}]",
        "push qword ptr [rdi + {r14}]",
        "push qword ptr [rdi + {r15}]",
        "mov r12, [rdi + {vector}]",
        "mov r13, [rdi + {error}]",
        // Off the trap stack: it may be used again.
        "mov qword ptr [rdi + {active}], 0",
        "cld",
        "mov rbx, rsp",
        "mov rbp, [rdi + {rbp}]",
        // The vector state: all of it, as anything may be in use.
        "2:",
        "sub rsp, qword ptr [rip + {extended_bytes}]",
        "and rsp, -64",
        "cmp dword ptr [rip + {has_xsave}], 0",
        "je 3f",
        // The header must not name what XSAVE does not write.
        "xor eax, eax",
        "mov [rsp + 512], rax",
        "mov [rsp + 520], rax",
        "mov [rsp + 528], rax",
        "mov [rsp + 536], rax",
        "mov [rsp + 544], rax",
        "mov [rsp + 552], rax",
        "mov [rsp + 560], rax",
        "mov [rsp + 568], rax",
        "mov eax, -1",
        "mov edx, -1",
        "xsave64 [rsp]",
        "mov rdi, r12",
        "mov rsi, r13",
        "call {stopped}",
        "mov eax, -1",
        "mov edx, -1",
        "xrstor64 [rsp]",
        "jmp 4f",
        "3:",
        "fxsave64 [rsp]",
        "mov rdi, r12",
        "mov rsi, r13",
        "call {stopped}",
        "fxrstor64 [rsp]",
        "4:",
        "mov rsp, rbx",
        "dec dword ptr gs:[{disabled}]",
        // What came while it could not be stopped.
        "cmp qword ptr gs:[{pending}], 0",
        "je 5f",
        "inc dword ptr gs:[{disabled}]",
        "mov r12d, {soft_interrupt}",
        "jmp 2b",
        "5:",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rbp",
        "pop rbx",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "popfq",
        "ret 128",
        "9:",
        "cmp qword ptr [rdi + {vector}], {soft_interrupt}",
        "je 8f",
        "mov qword ptr [rdi + {waits_whole}], 1",
        "8:",
        "mov rax, {resume}",
        "syscall",
        "ud2",
        current = const word_offset(CURRENT_THREAD),
        limit = const offset_of!(Thread, stack_limit),
        top = const offset_of!(Thread, stack_top),
        disabled = const offset_of!(DispatcherPage, disabled),
        pending = const offset_of!(DispatcherPage, pending),
        active = const offset_of!(DispatcherPage, trap) + offset_of!(TrapFrame, active),
        vector = const offset_of!(DispatcherPage, trap) + offset_of!(TrapFrame, vector),
        error = const offset_of!(DispatcherPage, trap) + offset_of!(TrapFrame, error),
        waits_whole = const offset_of!(DispatcherPage, waits_whole),
        soft_interrupt = const SOFT_INTERRUPT_VECTOR,
        rip = const register(offset_of!(Registers, rip)),
        rflags = const register(offset_of!(Registers, rflags)),
        rsp = const register(offset_of!(Registers, rsp)),
        rax = const register(offset_of!(Registers, rax)),
        rcx = const register(offset_of!(Registers, rcx)),
        rdx = const register(offset_of!(Registers, rdx)),
        rbx = const register(offset_of!(Registers, rbx)),
        rbp = const register(offset_of!(Registers, rbp)),
        rsi = const register(offset_of!(Registers, rsi)),
        rdi = const register(offset_of!(Registers, rdi)),
        r8 = const register(offset_of!(Registers, r8)),
        r9 = const register(offset_of!(Registers, r9)),
        r10 = const register(offset_of!(Registers, r10)),
        r11 = const register(offset_of!(Registers, r11)),
        r12 = const register(offset_of!(Registers, r12)),
        r13 = const register(offset_of!(Registers, r13)),
        r14 = const register(offset_of!(Registers, r14)),
        r15 = const register(offset_of!(Registers, r15)),
        extended_bytes = sym EXTENDED_BYTES,
        has_xsave = sym HAS_XSAVE,
        stopped = sym super::preemption::stopped,
        resume = const (Operation::Resume as u64) << 48,
    )
}
