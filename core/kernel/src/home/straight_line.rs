//! The straight line of a call without bytes to a server in the kernel.
//!
//! The entry goes here with the process that is called if that has no dispatcher on this processor, as the
//! servers' has none. The way is that of a call to an object of the kernel
//! ([`kernel_object::straight_line`](crate::call::kernel_object::straight_line)). Whatever is unusual
//! (bytes, events to be noted, another process after all) goes to
//! [`entry::general`](crate::call::entry::general) with every register that means something as it came,
//! before anything has changed; [`super::call`] is the same in Rust.

use core::arch::naked_asm;
use core::mem::offset_of;

use kiln_object::call::Operation;
use kiln_object::home::KernelHome;

use super::{HOME, PROCESS};
use crate::call::entry::general;
use crate::call::kernel_object::straight_line::leave;
use crate::process::dispatcher_offset;
use crate::processor::PerCpu;
use crate::trace::Groups;

/// Serves the call, after SWAPGS and with the user's stack pointer kept: the process that is called is in
/// `rbp`, this processor's number in `r11`.
///
/// # Safety
/// Only the entry of system calls goes here.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn call() {
    naked_asm!(
        "cmp rbp, [{process}]",
        "jne {general}",
        // What is left without the operation is the method alone, if there are no bytes.
        "mov rbx, {operation}",
        "xor rbx, rax",
        "cmp rbx, 0xffff",
        "ja {general}",
        "test dword ptr gs:[{trace}], {traced}",
        "jnz {general}",
        "mov rsp, gs:[0x10]",
        "shl r11d, 16",
        "or r11, rbx",
        "mov rbx, gs:[0x28]",
        "push rcx",
        "push 0",
        "push r11",
        "push qword ptr [rbx + {process_id}]",
        "push r13",
        "push r12",
        "push r10",
        "push r9",
        "push r8",
        "push rdx",
        "inc qword ptr [rbx + {calls_out}]",
        "mov rdi, rsp",
        // As `Serving`: who comes from user mode finds it false.
        "mov byte ptr gs:[{serving}], 1",
        "mov rax, [{home}]",
        "call qword ptr [rax + {serve}]",
        "mov byte ptr gs:[{serving}], 0",
        "xor ebp, ebp",
        "jmp {leave}",
        general = sym general,
        leave = sym leave,
        process = sym PROCESS,
        home = sym HOME,
        serving = const offset_of!(PerCpu, serving),
        serve = const offset_of!(KernelHome, serve),
        operation = const (Operation::Call as u64) << 48,
        process_id = const dispatcher_offset::PROCESS_ID,
        calls_out = const dispatcher_offset::CALLS_OUT,
        trace = const offset_of!(PerCpu, trace),
        traced = const Groups::CALLS.bits(),
    )
}
