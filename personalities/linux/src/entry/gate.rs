//! The instructions between the program and Rust.
//!
//! `r11` and `rcx` are free at both entries, as a system call destroys them anyway. A call that
//! needs no more than those and `rax` is finished through [`direct::DIRECT`] without a stack.

use core::arch::naked_asm;

use kiln_object::dispatcher::{REFLECTED_RIP, TrapFrame};
use kiln_runtime::dispatcher::word_offset;

use super::direct::{DIRECT, DIRECT_NUMBERS};
use super::vectors::VECTOR_BYTES;
use super::{PROGRAM_STACK_WORD, SCRATCH_WORD, STACK_WORD, system_call, trap};
use crate::call::SavedRegisters;
use crate::rewrite::settled::{SETTLED, SETTLED_SITES};
use crate::{restore_vectors, save_vectors};

/// Where rewritten call sites enter, `rcx` being the return address.
#[unsafe(naked)]
pub extern "sysv64" fn called() {
    naked_asm!(
        "cmp rax, {numbers}",
        "jae {full}",
        "lea r11, [rip + {direct}]",
        "jmp [r11 + rax * 8]",
        numbers = const DIRECT_NUMBERS,
        direct = sym DIRECT,
        full = sym full,
    )
}

/// Where the kernel enters after a `syscall` instruction.
///
/// A site that cannot be rewritten is looked up in a table, so that it costs a few instructions
/// more than a rewritten one and no search.
#[unsafe(naked)]
pub extern "sysv64" fn reflected() {
    naked_asm!(
        "mov rcx, gs:[{rip}]",
        "mov gs:[{scratch}], rdx",
        "mov r11d, ecx",
        "and r11d, {mask}",
        "lea rdx, [rip + {settled}]",
        "cmp [rdx + r11 * 8], rcx",
        "mov rdx, gs:[{scratch}]",
        "je {called}",
        "mov r11d, 1",
        "jmp {run}",
        rip = const REFLECTED_RIP,
        scratch = const word_offset(SCRATCH_WORD),
        mask = const SETTLED_SITES - 1,
        settled = sym SETTLED,
        called = sym called,
        run = sym run,
    )
}

/// The entry of a call that runs in Rust; `rcx` is the return address.
#[unsafe(naked)]
pub extern "sysv64" fn full() {
    naked_asm!("xor r11d, r11d", "jmp {run}", run = sym run)
}

/// Saves everything on the library's stack and runs the call; `r11` is the third argument.
#[unsafe(naked)]
extern "sysv64" fn run() {
    naked_asm!(
        "mov gs:[{program_stack}], rsp",
        "mov rsp, gs:[{stack}]",
        "push 0",
        "push qword ptr gs:[{program_stack}]",
        "push rcx",
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push rbp",
        "push rbx",
        "push r9",
        "push r8",
        "push r10",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rax",
        "cld",
        "sub rsp, {vector_bytes}",
        save_vectors!(),
        "lea rdi, [rsp + {vector_bytes}]",
        "mov rsi, rsp",
        "mov rdx, r11",
        "xor ebp, ebp",
        "call {system_call}",
        restore_vectors!(),
        "add rsp, {vector_bytes}",
        "cmp qword ptr [rsp + {keep_rax}], 0",
        "jne 2f",
        "mov [rsp], rax",
        "2:",
        "pop rax",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r10",
        "pop r8",
        "pop r9",
        "pop rbx",
        "pop rbp",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "pop rcx",
        "pop rsp",
        "jmp rcx",
        program_stack = const word_offset(PROGRAM_STACK_WORD),
        stack = const word_offset(STACK_WORD),
        vector_bytes = const VECTOR_BYTES,
        system_call = sym system_call,
        keep_rax = const core::mem::offset_of!(SavedRegisters, keep_rax),
    )
}

/// Starts the program: no register but the stack pointer says anything, as the ABI has it.
///
/// # Safety
/// `entry` is the program's entry point, `stack` the initial stack pointer; nothing of the library
/// waits for this function to come back.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn start_program(entry: u64, stack: u64) -> ! {
    naked_asm!(
        "mov rcx, rdi",
        "mov rsp, rsi",
        "xor eax, eax",
        "xor ebx, ebx",
        "xor edx, edx",
        "xor esi, esi",
        "xor edi, edi",
        "xor ebp, ebp",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r12d, r12d",
        "xor r13d, r13d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        "pxor xmm0, xmm0",
        "pxor xmm1, xmm1",
        "pxor xmm2, xmm2",
        "pxor xmm3, xmm3",
        "pxor xmm4, xmm4",
        "pxor xmm5, xmm5",
        "pxor xmm6, xmm6",
        "pxor xmm7, xmm7",
        "pxor xmm8, xmm8",
        "pxor xmm9, xmm9",
        "pxor xmm10, xmm10",
        "pxor xmm11, xmm11",
        "pxor xmm12, xmm12",
        "pxor xmm13, xmm13",
        "pxor xmm14, xmm14",
        "pxor xmm15, xmm15",
        "mov r11d, 0x202",
        "jmp rcx",
    )
}

/// Where the kernel enters after a trap: on the trap stack, `rdi` being the dispatcher page.
///
/// It goes on with what the frame then holds by `iretq`, which user mode may execute to itself: so
/// the kernel need not be asked, and no code runs between the last vector register and the program.
#[unsafe(naked)]
pub extern "sysv64" fn trapped() {
    naked_asm!(
        "and rsp, -16",
        "sub rsp, {vector_bytes}",
        save_vectors!(),
        "cld",
        "xor ebp, ebp",
        "mov rsi, rsp",
        "lea rdi, [rdi + {trap}]",
        "call {handle}",
        restore_vectors!(),
        "mov rdi, gs:[0]",
        "lea rdi, [rdi + {trap}]",
        "jmp {resume}",
        vector_bytes = const VECTOR_BYTES,
        trap = const core::mem::offset_of!(kiln_object::dispatcher::DispatcherPage, trap),
        handle = sym trap::handle,
        resume = sym resume,
    )
}

/// Goes on with the registers of a trap frame; the vector registers are in place.
///
/// # Safety
/// `frame` is the dispatcher page's, and the stack is not the program's.
#[unsafe(naked)]
unsafe extern "sysv64" fn resume(frame: &TrapFrame) -> ! {
    naked_asm!(
        "mov eax, ss",
        "push rax",
        "push qword ptr [rdi + {rsp}]",
        "push qword ptr [rdi + {rflags}]",
        "mov eax, cs",
        "push rax",
        "push qword ptr [rdi + {rip}]",
        // QEMU's emulation reads the frame of `iretq` as the kernel would, which SMAP forbids unless
        // the alignment check flag is set. The frame brings the program's own flags.
        "pushfq",
        "or dword ptr [rsp], {alignment_check}",
        "popfq",
        "mov qword ptr [rdi + {active}], 0",
        "mov r15, [rdi + {r15}]",
        "mov r14, [rdi + {r14}]",
        "mov r13, [rdi + {r13}]",
        "mov r12, [rdi + {r12}]",
        "mov r11, [rdi + {r11}]",
        "mov r10, [rdi + {r10}]",
        "mov r9, [rdi + {r9}]",
        "mov r8, [rdi + {r8}]",
        "mov rbp, [rdi + {rbp}]",
        "mov rsi, [rdi + {rsi}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rcx, [rdi + {rcx}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rax, [rdi + {rax}]",
        "mov rdi, [rdi + {rdi}]",
        "iretq",
        alignment_check = const 1 << 18,
        active = const core::mem::offset_of!(TrapFrame, active),
        r15 = const core::mem::offset_of!(TrapFrame, registers.r15),
        r14 = const core::mem::offset_of!(TrapFrame, registers.r14),
        r13 = const core::mem::offset_of!(TrapFrame, registers.r13),
        r12 = const core::mem::offset_of!(TrapFrame, registers.r12),
        r11 = const core::mem::offset_of!(TrapFrame, registers.r11),
        r10 = const core::mem::offset_of!(TrapFrame, registers.r10),
        r9 = const core::mem::offset_of!(TrapFrame, registers.r9),
        r8 = const core::mem::offset_of!(TrapFrame, registers.r8),
        rbp = const core::mem::offset_of!(TrapFrame, registers.rbp),
        rsi = const core::mem::offset_of!(TrapFrame, registers.rsi),
        rdx = const core::mem::offset_of!(TrapFrame, registers.rdx),
        rcx = const core::mem::offset_of!(TrapFrame, registers.rcx),
        rbx = const core::mem::offset_of!(TrapFrame, registers.rbx),
        rax = const core::mem::offset_of!(TrapFrame, registers.rax),
        rdi = const core::mem::offset_of!(TrapFrame, registers.rdi),
        rip = const core::mem::offset_of!(TrapFrame, registers.rip),
        rflags = const core::mem::offset_of!(TrapFrame, registers.rflags),
        rsp = const core::mem::offset_of!(TrapFrame, registers.rsp),
    )
}

/// Loads the whole vector and floating-point state, then goes on with the registers of `frame`.
///
/// # Safety
/// As [`resume`]; `state` is a valid image for the instruction that `extended` tells: `xrstor` of
/// everything that is enabled, else `fxrstor`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn resume_with_state(
    frame: &TrapFrame,
    state: *const u8,
    extended: u64,
) -> ! {
    naked_asm!(
        "test rdx, rdx",
        "jz 2f",
        "mov eax, -1",
        "mov edx, -1",
        "xrstor64 [rsi]",
        "jmp {resume}",
        "2:",
        "fxrstor64 [rsi]",
        "jmp {resume}",
        resume = sym resume,
    )
}

const _: () = assert!(SETTLED_SITES.is_power_of_two());
