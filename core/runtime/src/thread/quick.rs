//! Giving way and waiting in the common case: straight through, without a word on the stack too much.
//!
//! The common case is that the next thread is the first of the normal ones and that somebody is there:
//! the page's word `QUICK` is the scheduler then, else zero. Everything else is done by the function
//! that is jumped to, in Rust. What happens here is what `Scheduler::give_way` and `leave` do, but for
//! one thing: the thread's context is saved first, and then the thread is put where it belongs at once,
//! since from there on the stack, which may already be another dispatcher's, is not touched.

use core::arch::naked_asm;
use core::mem::offset_of;

use kiln_object::dispatcher::DispatcherPage;

use super::Thread;
use super::park::{EMPTY, PARKED, TOKEN};
use super::scheduler::{HEAD, PLACES, RING, TAIL};
use super::switch::go_on;
use crate::dispatcher::{CURRENT_THREAD, QUICK, word_offset};

/// See [`super::yield_now`].
#[unsafe(naked)]
pub extern "sysv64" fn yield_now() {
    naked_asm!(
        "inc dword ptr gs:[{disabled}]",
        "mov rcx, gs:[{quick}]",
        "test rcx, rcx",
        "jz 8f",
        "bt rsp, {served_bit}",
        "jc 8f",
        "mov rdi, rcx",
        // The first of the ring.
        "2:",
        "mov rax, [rdi + {head}]",
        "mov rcx, [rdi + {tail}]",
        "cmp rax, rcx",
        "je 7f",
        "mov esi, eax",
        "and esi, {mask}",
        "mov rdx, [rdi + rsi * 8 + {places}]",
        "lea r8, [rax + 1]",
        "lock cmpxchg [rdi + {head}], r8",
        "jne 2b",
        "mov rsi, gs:[{current}]",
        "mov gs:[{current}], rdx",
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rsi + {stack_pointer}], rsp",
        // This one to its end: there is room, as only this dispatcher adds and it has just taken one.
        "mov eax, ecx",
        "and eax, {mask}",
        "mov [rdi + rax * 8 + {places}], rsi",
        "inc rcx",
        "mov [rdi + {tail}], rcx",
        // Another dispatcher may run it from here on.
        "mov rsp, [rdx + {stack_pointer}]",
        "xor edi, edi",
        "jmp {go_on}",
        // Nobody else is ready.
        "7:",
        "dec dword ptr gs:[{disabled}]",
        "cmp qword ptr gs:[{pending}], 0",
        "jne {look}",
        "ret",
        "8:",
        "jmp {slowly}",
        disabled = const offset_of!(DispatcherPage, disabled),
        pending = const offset_of!(DispatcherPage, pending),
        quick = const word_offset(QUICK),
        current = const word_offset(CURRENT_THREAD),
        served_bit = const super::SERVED_BIT,
        head = const HEAD,
        tail = const TAIL,
        places = const PLACES,
        mask = const RING - 1,
        stack_pointer = const offset_of!(Thread, stack_pointer),
        go_on = sym go_on,
        look = sym super::look_at_pending,
        slowly = sym super::yield_slowly,
    )
}

/// See [`super::block`].
#[unsafe(naked)]
pub extern "sysv64" fn block() {
    naked_asm!(
        "inc dword ptr gs:[{disabled}]",
        "mov rcx, gs:[{quick}]",
        "test rcx, rcx",
        "jz 8f",
        "mov rsi, gs:[{current}]",
        "cmp dword ptr [rsi + {park}], {token}",
        "je 8f",
        "bt rsp, {served_bit}",
        "jc 8f",
        // The first of the ring.
        "2:",
        "mov rax, [rcx + {head}]",
        "cmp rax, [rcx + {tail}]",
        "je 8f",
        "mov edi, eax",
        "and edi, {mask}",
        "mov rdx, [rcx + rdi * 8 + {places}]",
        "lea r8, [rax + 1]",
        "lock cmpxchg [rcx + {head}], r8",
        "jne 2b",
        "mov gs:[{current}], rdx",
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rsi + {stack_pointer}], rsp",
        // `ParkWord::park`; another dispatcher may run it from then on.
        "mov eax, {empty}",
        "mov edi, {parked}",
        "lock cmpxchg [rsi + {park}], edi",
        "jne 3f",
        "mov rsp, [rdx + {stack_pointer}]",
        "xor edi, edi",
        "jmp {go_on}",
        // It has got its token meanwhile: that is seen to after the switch.
        "3:",
        "mov rdi, rsi",
        "mov rsp, [rdx + {stack_pointer}]",
        "jmp {go_on}",
        "8:",
        "jmp {slowly}",
        disabled = const offset_of!(DispatcherPage, disabled),
        quick = const word_offset(QUICK),
        current = const word_offset(CURRENT_THREAD),
        served_bit = const super::SERVED_BIT,
        head = const HEAD,
        tail = const TAIL,
        places = const PLACES,
        mask = const RING - 1,
        park = const offset_of!(Thread, park),
        token = const TOKEN,
        empty = const EMPTY,
        parked = const PARKED,
        stack_pointer = const offset_of!(Thread, stack_pointer),
        go_on = sym go_on,
        slowly = sym super::block_slowly,
    )
}
