//! Where the kernel enters this process for a call that it serves.
//!
//! The kernel has checked the lengths and copied the bytes in; who calls is its word. Everything
//! else comes from the caller. The stack is the call slot's own, with nothing on it. What is called comes
//! first on it, for the kernel to say should this process die: see [`CALL_SLOT_NOTE`].
//!
//! [`CALL_SLOT_NOTE`]: kiln_object::layout::CALL_SLOT_NOTE

use core::mem::offset_of;

#[cfg(any(kiln_freestanding, test))]
use kiln_object::call::Operation;
use kiln_object::{Answer, Bytes, Incoming, ObjectName, Processor};

use crate::{dispatcher, objects};

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
                // What the dispatch sees, from its end to its beginning, and a word so that the stack
                // stays aligned for the call.
                "push 0",
                "push 0",
                "movzx r11d, ax",
                "push r11",
                "push rdi",
                "push r13",
                "push r12",
                "push r10",
                "push r9",
                "push r8",
                "push rdx",
                "xor ebp, ebp",
                "mov rdi, rsp",
                "shl rax, 16",
                "shr rax, 32",
                "jnz 2f",
                "call {serve}",
                // The answer's words are in the place of the first.
                "3:",
                "pop rdx",
                "pop r8",
                "pop r9",
                "pop r10",
                "mov r11, {tag}",
                "or rax, r11",
                $instruction,
                "ud2",
                // With bytes; their lengths are in `rax`.
                "2:",
                "mov rdx, r14",
                "mov rcx, r15",
                "mov r8, rax",
                "call {serve_bytes}",
                "jmp 3b",
                serve_bytes = sym serve_bytes,
                tag = const (Operation::Return as u64) << 48,
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

/// Runs a call without bytes, whose processor and rights are not known yet.
#[cfg_attr(not(any(kiln_freestanding, test)), allow(dead_code))]
extern "sysv64" fn serve(call: &mut Incoming<'_>, name: ObjectName) -> Answer {
    call.processor = Processor::new(dispatcher::cpu());
    objects::dispatch_served(call, name)
}

/// Runs a call with bytes: the lengths are that of the input, then that of the output, 16 bits each.
///
/// # Safety
/// `call` is the caller's alone, `input` is valid for as many bytes as the lengths say and `output` for as
/// many as they say; neither is more than a message, and nothing else uses them meanwhile.
#[cfg_attr(not(any(kiln_freestanding, test)), allow(dead_code))]
unsafe extern "sysv64" fn serve_bytes(
    call: *mut Incoming<'_>,
    name: ObjectName,
    input: *const u8,
    output: *mut u8,
    lengths: u32,
) -> Answer {
    let (input_bytes, output_bytes) = (lengths >> 16, lengths as u16);
    // SAFETY: by the contract; the call takes no bytes from anywhere else, so these need not live longer
    // than this function.
    let (call, input, output) = unsafe {
        (
            &mut *call.cast::<Incoming<'_>>(),
            core::slice::from_raw_parts(input, input_bytes as usize),
            core::slice::from_raw_parts_mut(output, usize::from(output_bytes)),
        )
    };
    let mut bytes = Bytes { input, output };
    call.bytes = Some(&mut bytes);
    call.processor = Processor::new(dispatcher::cpu());
    objects::dispatch_served(call, name)
}

/// The entry makes an [`Incoming`] by these pushes.
const _: () = {
    assert!(offset_of!(Incoming<'_>, words) == 0);
    assert!(offset_of!(Incoming<'_>, caller) == 48);
    assert!(offset_of!(Incoming<'_>, method) == 56);
    assert!(offset_of!(Incoming<'_>, bytes) == 64);
    assert!(size_of::<Incoming<'_>>() == 72);
};
