//! The instructions between the program and Rust.
//!
//! `r11` and `rcx` are free at both entries, as a system call destroys them anyway. A call that
//! needs no more than those and `rax` is finished through [`direct::DIRECT`] without a stack.

use core::arch::naked_asm;
use core::mem::offset_of;

use kiln_object::dispatcher::{DispatcherPage, REFLECTED_FLAGS, REFLECTED_RIP};
use kiln_runtime::dispatcher::word_offset;

use super::direct::{DIRECT, DIRECT_NUMBERS};
use super::vectors::VECTOR_BYTES;
use super::{PROGRAM_STACK_WORD, STACK_WORD, system_call, trap};
use crate::call::SavedRegisters;
use crate::rewrite::settled::{SETTLED, SETTLED_SITES};
use crate::{restore_vectors, save_vectors};

/// Where rewritten call sites enter, `rcx` being the return address.
///
/// The flags are the program's until the call is over: what changes them here puts them back.
#[unsafe(naked)]
pub extern "sysv64" fn called() {
    naked_asm!(
        "mov gs:[{program_stack}], rsp",
        "mov rsp, gs:[{stack}]",
        "pushfq",
        "cmp rax, {numbers}",
        "jae 2f",
        "lea r11, [rip + {direct}]",
        "mov r11, [r11 + rax * 8]",
        "popfq",
        "mov rsp, gs:[{program_stack}]",
        "jmp r11",
        "2:",
        "popfq",
        "mov rsp, gs:[{program_stack}]",
        "jmp {full}",
        program_stack = const word_offset(PROGRAM_STACK_WORD),
        stack = const word_offset(STACK_WORD),
        numbers = const DIRECT_NUMBERS,
        direct = sym DIRECT,
        full = sym full,
    )
}

/// Where the kernel enters after a `syscall` instruction.
///
/// A site that cannot be rewritten is looked up in a table, so that it costs a few instructions
/// more than a rewritten one and no search.
///
/// The image's table names it, so that the kernel knows it from the start.
// SAFETY: a component has one such entry, so no other definition is linked with this one.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "sysv64" fn component_reflected() {
    naked_asm!(
        "mov gs:[{program_stack}], rsp",
        "mov rsp, gs:[{stack}]",
        "mov rcx, gs:[{rip}]",
        "push rdx",
        "push qword ptr gs:[{flags}]",
        "mov r11d, ecx",
        "and r11d, {mask}",
        "lea rdx, [rip + {settled}]",
        "cmp [rdx + r11 * 8], rcx",
        "jne 2f",
        "popfq",
        "pop rdx",
        "mov rsp, gs:[{program_stack}]",
        "jmp {called}",
        "2:",
        "mov r11d, 1",
        "popfq",
        "pop rdx",
        "mov rsp, gs:[{program_stack}]",
        "jmp {run}",
        program_stack = const word_offset(PROGRAM_STACK_WORD),
        stack = const word_offset(STACK_WORD),
        rip = const REFLECTED_RIP,
        flags = const REFLECTED_FLAGS,
        mask = const SETTLED_SITES - 1,
        settled = sym SETTLED,
        called = sym called,
        run = sym run,
    )
}

/// The entry of a call that runs in Rust; `rcx` is the return address.
#[unsafe(naked)]
pub extern "sysv64" fn full() {
    naked_asm!("mov r11d, 0", "jmp {run}", run = sym run)
}

/// Saves everything on the library's stack and runs the call; `r11` is the third argument.
#[unsafe(naked)]
extern "sysv64" fn run() {
    naked_asm!(
        "mov gs:[{program_stack}], rsp",
        "mov rsp, gs:[{stack}]",
        "push 0",
        "push 0",
        "push qword ptr gs:[{program_stack}]",
        "push rcx",
        "pushfq",
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
        "popfq",
        "pop rcx",
        "pop rsp",
        "jmp rcx",
        program_stack = const word_offset(PROGRAM_STACK_WORD),
        stack = const word_offset(STACK_WORD),
        vector_bytes = const VECTOR_BYTES,
        system_call = sym system_call,
        keep_rax = const offset_of!(SavedRegisters, keep_rax),
    )
}

/// What `fxrstor` takes.
#[repr(align(16))]
#[expect(dead_code, reason = "only the processor reads it")]
struct LegacyState([u64; 64]);

/// The floating-point and vector units as a program finds them: every exception masked, all registers
/// empty or zero (System V ABI, 3.4.1).
static RESET_STATE: LegacyState = {
    let mut words = [0; 64];
    // The control word of the one, and the register that is both for the other.
    words[0] = 0x37f;
    words[3] = 0x1f80;
    LegacyState(words)
};

/// Starts the program: no register but the stack pointer says anything, as the ABI has it, and the
/// floating-point units are as after a reset.
///
/// # Safety
/// `entry` is the program's entry point, `stack` the initial stack pointer; nothing of the library
/// waits for this function to come back.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn start_program(entry: u64, stack: u64) -> ! {
    naked_asm!(
        "mov rcx, rdi",
        "fxrstor64 [rip + {state}]",
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
        "mov r11d, 0x202",
        "jmp rcx",
        state = sym RESET_STATE,
    )
}

/// Where the kernel enters after a trap: on the trap stack, `rdi` being the dispatcher page.
///
/// The image's table names it, so that the kernel knows it from the start.
// SAFETY: a component has one such entry, so no other definition is linked with this one.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "sysv64" fn component_trapped() {
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
        "jmp {resume}",
        vector_bytes = const VECTOR_BYTES,
        trap = const offset_of!(DispatcherPage, trap),
        handle = sym trap::handle,
        resume = sym resume,
    )
}

/// Goes on with the registers of the dispatcher page's trap frame; the vector registers are in
/// place.
///
/// The page is addressed through GS, so that the last two instructions can load the stack pointer
/// and jump without a register to spare and without the kernel. (`iretq` would do it in one, but
/// under SMAP some emulators refuse to read its frame for user mode.)
#[unsafe(naked)]
extern "sysv64" fn resume() -> ! {
    naked_asm!(
        "mov qword ptr gs:[{active}], 0",
        "push qword ptr gs:[{rflags}]",
        "popfq",
        "mov r15, gs:[{r15}]",
        "mov r14, gs:[{r14}]",
        "mov r13, gs:[{r13}]",
        "mov r12, gs:[{r12}]",
        "mov r11, gs:[{r11}]",
        "mov r10, gs:[{r10}]",
        "mov r9, gs:[{r9}]",
        "mov r8, gs:[{r8}]",
        "mov rbp, gs:[{rbp}]",
        "mov rdi, gs:[{rdi}]",
        "mov rsi, gs:[{rsi}]",
        "mov rdx, gs:[{rdx}]",
        "mov rcx, gs:[{rcx}]",
        "mov rbx, gs:[{rbx}]",
        "mov rax, gs:[{rax}]",
        "mov rsp, gs:[{rsp}]",
        "jmp qword ptr gs:[{rip}]",
        active = const offset_of!(DispatcherPage, trap.active),
        rflags = const offset_of!(DispatcherPage, trap.registers.rflags),
        r15 = const offset_of!(DispatcherPage, trap.registers.r15),
        r14 = const offset_of!(DispatcherPage, trap.registers.r14),
        r13 = const offset_of!(DispatcherPage, trap.registers.r13),
        r12 = const offset_of!(DispatcherPage, trap.registers.r12),
        r11 = const offset_of!(DispatcherPage, trap.registers.r11),
        r10 = const offset_of!(DispatcherPage, trap.registers.r10),
        r9 = const offset_of!(DispatcherPage, trap.registers.r9),
        r8 = const offset_of!(DispatcherPage, trap.registers.r8),
        rbp = const offset_of!(DispatcherPage, trap.registers.rbp),
        rdi = const offset_of!(DispatcherPage, trap.registers.rdi),
        rsi = const offset_of!(DispatcherPage, trap.registers.rsi),
        rdx = const offset_of!(DispatcherPage, trap.registers.rdx),
        rcx = const offset_of!(DispatcherPage, trap.registers.rcx),
        rbx = const offset_of!(DispatcherPage, trap.registers.rbx),
        rax = const offset_of!(DispatcherPage, trap.registers.rax),
        rsp = const offset_of!(DispatcherPage, trap.registers.rsp),
        rip = const offset_of!(DispatcherPage, trap.registers.rip),
    )
}

/// Loads the whole vector and floating-point state, then goes on with the registers of the
/// dispatcher page's trap frame.
///
/// # Safety
/// `state` is a valid image for the instruction that `extended` tells: `xrstor` of everything that
/// is enabled, else `fxrstor`. Nothing waits for this function to come back.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn resume_with_state(state: *const u8, extended: u64) -> ! {
    naked_asm!(
        "test rsi, rsi",
        "jz 2f",
        "mov eax, -1",
        "mov edx, -1",
        "xrstor64 [rdi]",
        "jmp {resume}",
        "2:",
        "fxrstor64 [rdi]",
        "jmp {resume}",
        resume = sym resume,
    )
}

const _: () = assert!(SETTLED_SITES.is_power_of_two());
const _: () = assert!(size_of::<SavedRegisters>().is_multiple_of(16));
const _: () = assert!(size_of::<SavedRegisters>() == 18 * 8);
