//! The switch from one thread to another, and what a stack must look like for it.
//!
//! A thread that does not run has its callee-saved registers and the address to go on at on its stack,
//! nothing else: a switch is a function call, and the caller saved the rest. All switches end alike
//! ([`go_on`]): what became of the thread before is seen to, then the section without soft interrupts
//! in which the switch was made ends.

use core::arch::naked_asm;
use core::cell::UnsafeCell;

use super::Thread;
use super::scheduler::finish;

/// Words that [`go_on`] takes from a stack before it returns.
const SAVED_WORDS: usize = 6;

/// Saves the running context in `from`, goes on with that of `to`, and passes `word` to [`finish`]
/// there, unless it is zero. Comes back when `from` is gone on with.
///
/// # Safety
/// `from` must be the running thread, `to` one that is ready and in no queue. Soft interrupts are off by
/// one section, which has ended when this comes back.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn switch(from: &Thread, to: &Thread, word: usize) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, [rsi]",
        "mov rdi, rdx",
        "jmp {go_on}",
        go_on = sym go_on,
    )
}

/// How a thread goes on: its registers are at the stack pointer, the word about the one before in `rdi`.
#[cfg(kiln_freestanding)]
#[unsafe(naked)]
pub extern "sysv64" fn go_on() -> ! {
    use core::mem::offset_of;

    use kiln_object::dispatcher::DispatcherPage;
    naked_asm!(
        "test rdi, rdi",
        "jnz 3f",
        "2:",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        // `dispatcher::enable`.
        "dec dword ptr gs:[{disabled}]",
        "cmp qword ptr gs:[{pending}], 0",
        "jne {look}",
        "ret",
        "3:",
        "sub rsp, 8",
        "call {finish}",
        "add rsp, 8",
        "jmp 2b",
        disabled = const offset_of!(DispatcherPage, disabled),
        pending = const offset_of!(DispatcherPage, pending),
        look = sym super::look_at_pending,
        finish = sym finish,
    )
}

#[cfg(not(kiln_freestanding))]
#[unsafe(naked)]
extern "sysv64" fn go_on() -> ! {
    extern "sysv64" fn enable() {
        crate::dispatcher::enable();
    }
    naked_asm!(
        "test rdi, rdi",
        "jz 2f",
        "sub rsp, 8",
        "call {finish}",
        "add rsp, 8",
        "2:",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "jmp {enable}",
        finish = sym finish,
        enable = sym enable,
    )
}

/// Lays out an unused stack that ends at `top`, a multiple of 16, so that the first switch to it enters
/// `start`, which makes a frame for itself; answers the stack pointer.
pub fn prepare(top: *mut usize, start: extern "sysv64" fn() -> !) -> usize {
    // The address of `start` lies where a return address would, a word above a multiple of 16.
    let words = SAVED_WORDS + 3;
    let pointer = top.wrapping_sub(words);
    // SAFETY: a stack has far more words than these, is aligned, and nothing is on it yet.
    unsafe {
        pointer.write_bytes(0, words);
        pointer.add(SAVED_WORDS).write(start as *const () as usize);
    }
    pointer.expose_provenance()
}

/// Where the rest of a thread's context lies while it does not run.
pub type StackPointer = UnsafeCell<usize>;
