//! Where the kernel enters this process for a call that it serves.
//!
//! The kernel has checked the lengths and copied the bytes in; who calls is its word. Everything
//! else comes from the caller. The stack is the call slot's own, with nothing on it. What is called comes
//! first on it, for the kernel to say should this process die: see [`CALL_SLOT_NOTE`].
//!
//! [`CALL_SLOT_NOTE`]: kiln_object::layout::CALL_SLOT_NOTE

use kiln_object::call::{CALL_WORDS, CallWord, RETURN_WORDS, ReturnWord};
use kiln_object::{ObjectName, ProcessId};

use crate::objects::{self, Request};

/// The entry, with the instruction that makes the return.
#[cfg(any(kiln_freestanding, test))]
macro_rules! return_by {
    ($instruction:literal $(, $operand:ident = $kind:ident $value:path)?) => {
        /// Enters with the registers of the callee's column; comes back by `Return`.
        #[unsafe(naked)]
        pub(crate) extern "sysv64" fn call_entry() -> ! {
            core::arch::naked_asm!(
                "push rax",
                "push rsi",
                // The six words become an array on the stack, which stays aligned for the call.
                "push r13",
                "push r12",
                "push r10",
                "push r9",
                "push r8",
                "push rdx",
                "xor ebp, ebp",
                "mov rdx, rsp",
                "mov rcx, r14",
                "mov r8, r15",
                "mov r9, rax",
                "call {serve}",
                // Its first four words are now the answer's.
                "pop rdx",
                "pop r8",
                "pop r9",
                "pop r10",
                $instruction,
                "ud2",
                serve = sym serve,
                $($operand = $kind $value,)?
            );
        }
    };
}

#[cfg(kiln_freestanding)]
return_by!("syscall");

#[cfg(all(test, not(kiln_freestanding)))]
return_by!("jmp {kernel}", kernel = sym crate::crossing_test::come_back);

/// Runs a call and answers the word for `rax`; the result words replace the arguments.
///
/// # Safety
/// `input` must be valid for as many bytes as `word` says go in, `output` for as many as it says may
/// come out, neither more than a message; nothing else may use them, nor `words`, meanwhile.
#[cfg_attr(not(any(kiln_freestanding, test)), allow(dead_code))]
unsafe extern "sysv64" fn serve(
    caller: u64,
    object: u64,
    words: &mut [u64; CALL_WORDS],
    input: *const u8,
    output: *mut u8,
    word: u64,
) -> u64 {
    let word = CallWord(word);
    // SAFETY: by the contract.
    let (input, output) = unsafe {
        (
            core::slice::from_raw_parts(input, word.input()),
            core::slice::from_raw_parts_mut(output, word.output()),
        )
    };
    let answer = objects::dispatch_served(Request {
        caller: ProcessId::from_raw(caller),
        name: ObjectName::from_raw(object),
        method: word.method(),
        words,
        input,
        output,
    });
    match answer {
        Ok(reply) => {
            words[..RETURN_WORDS].copy_from_slice(&reply.words);
            ReturnWord::new(0, reply.output as u16).0
        }
        Err(failure) => {
            words[..RETURN_WORDS].fill(0);
            ReturnWord::new(failure.error.code(), failure.output as u16).0
        }
    }
}
