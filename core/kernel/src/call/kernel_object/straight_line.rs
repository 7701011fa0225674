//! The straight line of a call without bytes to an object of the kernel.
//!
//! The entry goes here if the process that is called has no place in the table, as the kernel has none.
//! What the dispatch sees is made on the kernel's stack by pushes, and its answer comes back in registers. Whatever is
//! unusual (bytes, methods of all objects, another process after all) goes to
//! [`entry::general`](crate::call::entry::general) with every register that means something as it came,
//! before anything has changed; [`super::call`] is the same in Rust.

use core::arch::naked_asm;
use core::mem::offset_of;

use kiln_object::call::{FIRST_UNIVERSAL_METHOD, Operation, ReturnWord};
use kiln_object::{Answer, Error, Incoming, ObjectName, ProcessId};

use super::do_afterwards;
use crate::call::entry::{CallFrame, USER_FLAGS, enter_user, general};
use crate::process::{Process, dispatcher_offset};
use crate::processor::PerCpu;
use crate::trace::{self, Kind};

/// What the line pushes.
#[repr(C)]
struct Frame {
    call: Incoming<'static>,
    rip: u64,
}

/// The line pushes a frame field by field, and the words are the first to be popped.
const _: () = {
    assert!(offset_of!(Frame, call) == 0 && size_of::<Incoming<'_>>() == 72);
    assert!(offset_of!(Incoming<'_>, words) == 0);
    assert!(offset_of!(Incoming<'_>, caller) == 48);
    assert!(offset_of!(Incoming<'_>, method) == 56);
    assert!(offset_of!(Incoming<'_>, processor) == 58);
    assert!(offset_of!(Incoming<'_>, rights) == 60);
    assert!(offset_of!(Incoming<'_>, bytes) == 64);
    // So the stack is aligned for the call.
    assert!(size_of::<Frame>() == 80);
};

/// Who is called.
static KERNEL: ProcessId = ProcessId::KERNEL;

/// Serves the call, after SWAPGS and with the user's stack pointer kept.
///
/// # Safety
/// Only the entry of system calls goes here.
#[unsafe(naked)]
pub(in crate::call) unsafe extern "sysv64" fn call() {
    naked_asm!(
        "cmp rdi, [{kernel}]",
        "jne {general}",
        // What is left without the operation is the method alone, if there are no bytes.
        "mov r11, {operation}",
        "xor r11, rax",
        "cmp r11, {first_universal}",
        "jae {general}",
        "mov rbx, gs:[0x28]",
        "mov rsp, gs:[0x10]",
        "push rcx",
        "push 0",
        "or r11, [rbx + {processor}]",
        "push r11",
        "push qword ptr [rbx + {process_id}]",
        "push r13",
        "push r12",
        "push r10",
        "push r9",
        "push r8",
        "push rdx",
        "inc qword ptr [rbx + {kernel_calls}]",
        // A full fence: see `Inside::enter`.
        "lock inc qword ptr [rbx + {inside}]",
        "mov rdi, rsi",
        "mov rsi, rsp",
        "mov rdx, [rbx + {process}]",
        "test dword ptr gs:[{trace}], {traced}",
        "jnz 4f",
        "call {serve}",
        "2:",
        "inc qword ptr [rbx + {inside}]",
        "test byte ptr gs:[0x34], {afterwards}",
        "jz {leave}",
        "mov rdi, rsp",
        "mov rsi, rax",
        "call {finish}",
        "4:",
        "call {serve_noted}",
        "jmp 2b",
        general = sym general,
        serve = sym serve,
        serve_noted = sym serve_noted,
        finish = sym finish,
        leave = sym leave,
        kernel = sym KERNEL,
        operation = const (Operation::Call as u64) << 48,
        first_universal = const FIRST_UNIVERSAL_METHOD,
        processor = const dispatcher_offset::PROCESSOR,
        process = const dispatcher_offset::PROCESS,
        process_id = const dispatcher_offset::PROCESS_ID,
        kernel_calls = const dispatcher_offset::KERNEL_CALLS,
        inside = const dispatcher_offset::INSIDE,
        afterwards = const super::AFTERWARDS,
        trace = const offset_of!(PerCpu, trace),
        traced = const Kind::KernelCall.group().bits(),
    )
}

/// Goes back to the caller with the answer in `rax` and its words on the stack, in a [`Frame`].
///
/// # Safety
/// There is a frame at the stack pointer, `rbp` and the registers that Rust keeps hold nothing of the
/// kernel's but `rbx`, and the caller's stack pointer is still where the entry put it.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn leave() {
    naked_asm!(
        "pop rdx",
        "pop r8",
        "pop r9",
        "pop r10",
        "mov rcx, [rsp + {rip} - 32]",
        "mov rsp, gs:[0x08]",
        "mov r11d, {flags}",
        "xor ebx, ebx",
        "xor edi, edi",
        "xor esi, esi",
        crate::clear_vector_registers!(),
        "swapgs",
        "sysretq",
        rip = const offset_of!(Frame, rip),
        flags = const USER_FLAGS,
    )
}

/// Finds the object and has it answer.
extern "C" fn serve(name: ObjectName, call: &mut Incoming<'_>, caller: &Process) -> Answer {
    // SAFETY: the line says by the dispatcher's count that it is inside, so who takes the object away waits
    // until it says otherwise.
    match unsafe { caller.objects.find(name) } {
        Some((object, rights)) => {
            call.rights = rights;
            object.dispatch(call)
        }
        None => call.refuse(Error::BadReference),
    }
}

/// The same where events are noted, which the line has asked.
#[cold]
extern "C" fn serve_noted(name: ObjectName, call: &mut Incoming<'_>, caller: &Process) -> Answer {
    let method = u32::from(call.method);
    trace::record(trace::head(Kind::KernelCall, method), 0, name.raw());
    let answer = serve(name, call, caller);
    let status = u32::from(answer.status());
    trace::record(trace::head(Kind::KernelReturn, status), 0, 0);
    answer
}

/// Does what the method asked for, when it has answered; does not come back.
#[cold]
extern "C" fn finish(frame: &Frame, answer: Answer) -> ! {
    let [rdx, r8, r9, r10] = frame.call.reply_words();
    let mut frame = CallFrame {
        rax: ReturnWord::answer(answer.status(), 0),
        rdx,
        r8,
        r9,
        r10,
        rip: frame.rip,
        rsp: PerCpu::here().user_rsp.get(),
        rflags: USER_FLAGS,
        ..CallFrame::default()
    };
    do_afterwards(&mut frame);
    // SAFETY: the frame is a user context: the caller's, or what the scheduler has put in its place.
    unsafe { enter_user(&frame) }
}
