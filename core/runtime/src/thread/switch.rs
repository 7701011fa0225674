//! The switch from one stack to another, and what a new stack must look like for it.
//!
//! A thread that does not run has its callee-saved registers and the address to go on at on its
//! stack, nothing else: a switch is a function call, and the caller saved the rest.

use super::stack::Stack;

/// Words that [`switch`] takes from a stack before it returns.
const SAVED_WORDS: usize = 6;

/// Saves the running context's stack pointer to `save` and goes on with the context of `to`.
///
/// # Safety
/// `to` must be what [`prepare`] made or `switch` saved, not used since; `save` must be writable.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn switch(save: *mut usize, to: usize) {
    core::arch::naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    );
}

/// Lays out an unused stack so that the first switch to it enters `start`.
pub fn prepare(stack: &Stack, start: extern "sysv64" fn() -> !) -> usize {
    // `start` is entered as if called: a word (its return address) above a multiple of 16.
    let words = SAVED_WORDS + 2;
    let pointer = stack.top().wrapping_sub(words);
    // SAFETY: a stack has far more words than these, is aligned, and nothing is on it yet.
    unsafe {
        pointer.write_bytes(0, words);
        pointer.add(SAVED_WORDS).write(start as *const () as usize);
    }
    pointer.expose_provenance()
}
