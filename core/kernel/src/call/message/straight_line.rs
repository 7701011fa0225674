//! The straight line of a one-way message to a receiver that has an activation on this processor.
//!
//! No Rust runs, so the sender's vector registers stay as they were. Whatever is unusual (no such process,
//! a full ring or none yet, events to be noted) goes to [`entry::general`](crate::call::entry::general)
//! with every register that means something as it came, before anything has changed; [`super::call`] is
//! the same in Rust.
//!
//! | register | meaning on the line |
//! | --- | --- |
//! | `rbp` | the receiver, then its dispatcher on this processor |
//! | `rbx` | the dispatcher's ring |
//! | `r14` | the word of the operation |
//! | `r15` | the message's number |

use core::arch::naked_asm;
use core::mem::offset_of;

use kiln_object::dispatcher::DispatcherPage;
use kiln_object::dispatcher::soft_interrupt::MESSAGE;
use kiln_object::message_ring::{MESSAGES, offset as ring};

use crate::call::entry::{USER_FLAGS, general};
use crate::process::{self, Dispatcher, dispatcher_offset, offset as process_offset};
use crate::processor::PerCpu;
use crate::soft_interrupt;
use crate::trace::Kind;

const _: () = assert!(MESSAGES.is_power_of_two() && ring::PLACE_BYTES == 80);

/// Sends the message, after SWAPGS and with the user's stack pointer kept.
///
/// # Safety
/// Only the entry of system calls goes here.
#[unsafe(naked)]
pub(in crate::call) unsafe extern "sysv64" fn send() {
    naked_asm!(
        "mov r14, rax",
        "test dword ptr gs:[{trace}], {traced}",
        "jnz 80f",
        "mov ebp, edi",
        "cmp ebp, {processes}",
        "jae 80f",
        "mov rbp, [rbp * 8 + {table}]",
        "test rbp, rbp",
        "jz 80f",
        "cmp [rbp + {process_id}], rdi",
        "jne 80f",
        "mov r11d, gs:[0x30]",
        "mov rbx, [rbp + {started}]",
        "bt rbx, r11",
        "jnc 80f",
        "mov rbp, [rbp + r11 * 8 + {dispatchers}]",
        "test rbp, rbp",
        "jz 80f",
        "mov rbx, [rbp + {ring}]",
        "test rbx, rbx",
        "jz 80f",
        // Its number, if there is room: as `MessageRing::send`.
        "mov rax, [rbp + {sent}]",
        "mov r11, rax",
        "sub r11, [rbx + {read}]",
        "cmp r11, {messages}",
        "jae 80f",
        "lea r15, [rax + 1]",
        "lock cmpxchg [rbp + {sent}], r15",
        "jne 80f",
        "and eax, {messages} - 1",
        "lea eax, [rax + rax * 4]",
        "shl eax, 4",
        "mov r11, gs:[0x28]",
        "mov r11, [r11 + {sender}]",
        "movzx r14d, r14w",
        "mov [rbx + rax + {caller}], r11",
        "mov [rbx + rax + {object}], rsi",
        "mov [rbx + rax + {method}], r14",
        "mov [rbx + rax + {words}], rdx",
        "mov [rbx + rax + {words} + 8], r8",
        "mov [rbx + rax + {words} + 16], r9",
        "mov [rbx + rax + {words} + 24], r10",
        "mov [rbx + rax + {words} + 32], r12",
        "mov [rbx + rax + {words} + 40], r13",
        "mov [rbx + rax + {number}], r15",
        // The receiver looks into the ring after it has cleared the bit, so one that is still set tells of
        // this message, too.
        "mov r11, [rbp + {page}]",
        "test dword ptr [r11 + {pending}], {message}",
        "jz 2f",
        "mov rsp, gs:[0x08]",
        "3:",
        "xor eax, eax",
        "mov r11d, {flags}",
        "xor ebx, ebx",
        "xor ebp, ebp",
        "xor edi, edi",
        "xor esi, esi",
        "xor edx, edx",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        "swapgs",
        "sysretq",

        // The receiver is to be told.
        "2:",
        "mov rsp, gs:[0x10]",
        "push qword ptr gs:[0x08]",
        "push rcx",
        "mov rdi, rbp",
        "call {tell}",
        "pop rcx",
        "pop rsp",
        crate::clear_vector_registers!(),
        "jmp 3b",

        // Not on this line after all: everything as it came.
        "80:",
        "mov rax, r14",
        "jmp {general}",
        general = sym general,
        tell = sym tell,
        table = sym process::TABLE,
        processes = const process::PROCESSES,
        process_id = const process_offset::ID,
        started = const process_offset::STARTED,
        dispatchers = const process_offset::DISPATCHERS,
        sender = const dispatcher_offset::PROCESS_ID,
        ring = const dispatcher_offset::RING,
        sent = const dispatcher_offset::SENT,
        page = const dispatcher_offset::PAGE,
        read = const ring::READ,
        messages = const MESSAGES,
        number = const ring::NUMBER,
        caller = const ring::CALLER,
        object = const ring::OBJECT,
        method = const ring::METHOD,
        words = const ring::WORDS,
        pending = const offset_of!(DispatcherPage, pending),
        message = const MESSAGE,
        flags = const USER_FLAGS,
        trace = const offset_of!(PerCpu, trace),
        traced = const Kind::Send.group().bits(),
    )
}

extern "sysv64" fn tell(receiver: &Dispatcher) {
    soft_interrupt::raise(receiver, MESSAGE);
}
