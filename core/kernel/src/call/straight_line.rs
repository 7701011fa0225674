//! The straight line of a call and its return: `syscall`, the other address space, `sysret`.
//!
//! In assembly, since it is the system's shortest and most used path: words and object name stay in
//! the registers they came in, nothing is pushed, and no Rust runs that would leave the kernel's values in
//! registers. A call without bytes to an object of the kernel has its own short way. Whatever is unusual
//! (no free slot, an unknown process, state to be kept) goes to [`entry::general`](super::entry::general) with every register as it came, before
//! anything has changed; [`super::crossing`] is the same in Rust.
//!
//! Every store goes to this CPU's block, to the running activation, to a dispatcher of this CPU, or to
//! the two processes' own pages: no lock is taken and no cache line is written by two CPUs.
//!
//! | register | meaning on the line |
//! | --- | --- |
//! | `rbx` | the running [`Activation`](super::activation::Activation) |
//! | `r11` | bytes of its stack of calls in use, less this call's |
//! | `rbp` | a call's target process; a return's dispatcher to go to |
//! | `rsp` | the operation; a call's target dispatcher (not a stack: nothing may fault here but the copies) |

use core::arch::naked_asm;

use kiln_object::Error;
use kiln_object::call::{MESSAGE_BYTES, Operation};
use kiln_object::layout::{
    CALL_SLOT_BYTES, CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CALL_SLOT_STACK_TOP, USER_END,
};
use kiln_object::trace::EVENT_BYTES;

use super::activation::{DEPTH, PLACE_BYTES, offset as at};
use super::entry::{USER_FLAGS, foreign, general};
use super::extended_state::{INITIAL_MXCSR, INITIAL_STATE};
use super::{kernel_object, message};
use crate::home;
use crate::memory::user_copy::kiln_copy_across;
use crate::process::{self, dispatcher_offset, offset as process_offset};
use crate::processor::{Features, PerCpu, features};
use crate::schedule::page_wait;
use crate::trace::{self, Groups, Kind};

/// MXCSR for a callee.
static CALLEE_MXCSR: u32 = INITIAL_MXCSR;

/// Where `syscall` enters on the running processor.
#[must_use]
pub fn address() -> u64 {
    let features = features();
    let entry = if !features.contains(Features::FSGSBASE) {
        entry_for_any as unsafe extern "sysv64" fn()
    } else if features.contains(Features::XINUSE) {
        entry_with_xgetbv
    } else if features.contains(Features::XSAVE) {
        entry_for_any
    } else {
        entry_with_fxsave
    };
    entry as *const () as u64
}

/// Where `syscall` enters on a processor that lacks what the straight line needs.
///
/// # Safety
/// Only the processor enters here, by `syscall` from user mode.
#[unsafe(naked)]
unsafe extern "sysv64" fn entry_for_any() {
    naked_asm!(
        "swapgs",
        "mov gs:[0x08], rsp",
        "test rax, rax",
        "js {general}",
        "jmp {foreign}",
        general = sym general,
        foreign = sym foreign,
    )
}

/// Defines an entry. What depends on how the processor keeps vector state:
///
/// - `may_hide`: goes to `81f` if the caller's state takes more than `hide`; may use `rcx rdi r15`.
/// - `hide`: saves it and gives the callee its initial state; may use `rdi`.
/// - `reveal`: gives the caller its state back, or goes to `80f`; may use `rdi rsi r12 r13`.
/// - `aside`: instructions off the line that those jump to.
macro_rules! straight_line {
    ($(#[$doc:meta])* $name:ident,
     may_hide: [$($may_hide:literal),*], hide: [$($hide:literal),*],
     reveal: [$($reveal:literal),*], aside: [$($aside:expr),*]
     $(, $operand:ident = $kind:ident $value:expr)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Only the processor enters here, by `syscall` from user mode.
        #[unsafe(naked)]
        unsafe extern "sysv64" fn $name() {
            naked_asm!(
                "swapgs",
                "mov gs:[0x08], rsp",
                "test rax, rax",
                "jns {foreign}",
                // Not in `r11`: a foreign call may have this bit set too (-1), and there its flags are.
                "mov rsp, rax",
                "shr rsp, 48",
                "cmp esp, {call}",
                "jne 20f",

                // A call. Who is called, and has it a dispatcher on this CPU?
                "mov ebp, edi",
                "cmp ebp, {processes}",
                "jae 80f",
                "mov rbp, [rbp * 8 + {table}]",
                "test rbp, rbp",
                "jz {own_object}",
                "cmp [rbp + {process_id}], rdi",
                "jne 80f",
                "mov r11d, gs:[0x30]",
                "mov rsp, [rbp + r11 * 8 + {dispatchers}]",
                "test rsp, rsp",
                "jz {in_kernel}",
                // Room for a record; what is beyond `used` means nothing yet.
                "mov rbx, gs:[0x48]",
                "mov r11, [rbx + {used}]",
                "cmp r11, {full}",
                "jae 80f",
                "mov [rbx + r11 + {rip}], rcx",
                "mov rcx, gs:[0x08]",
                "mov [rbx + r11 + {rsp_kept}], rcx",
                "mov [rbx + r11 + {output}], r15",
                $($may_hide,)*
                // The lowest free slot.
                "movzx ecx, word ptr [rsp + {free}]",
                "bsf r15d, ecx",
                "jz 81f",
                // Bytes in and room for bytes out, in one.
                "mov rcx, rax",
                "shl rcx, 16",
                "shr rcx, 32",
                "jnz 40f",
                "mov [rbx + r11 + {output_bytes}], cx",
                "41:",
                "mov rcx, [rbp + {call_entry}]",
                "test rcx, rcx",
                "jz 81f",
                // From here on it succeeds.
                $($hide,)*
                "xor edi, edi",
                "bts edi, r15d",
                "xor [rsp + {free}], di",
                "mov [rbx + r11 + {slot}], di",
                "rdfsbase rdi",
                "mov [rbx + r11 + {thread_pointer}], rdi",
                "xor edi, edi",
                "wrfsbase rdi",
                "mov r14, gs:[0x28]",
                "mov [rbx + r11 + {caller}], r14",
                "mov rdi, [r14 + {dispatcher_process_id}]",
                "inc qword ptr [r14 + {calls_out}]",
                "inc qword ptr [rsp + {calls_in}]",
                "mov gs:[0x28], rsp",
                "mov r14, [rsp + {page}]",
                "mov gs:[0x18], r14",
                "mov r14, [rbp + {reflected_entry}]",
                "mov gs:[0x20], r14",
                "mov r14, [rbp + {process_root}]",
                "mov cr3, r14",
                "test dword ptr gs:[{trace}], {traced}",
                "jnz 90f",
                "91:",
                "add qword ptr [rbx + {used}], {place_bytes}",
                "shl r15d, {slot_shift}",
                "add r15, [rsp + {slots}]",
                "lea r14, [r15 + {slot_input}]",
                "lea rsp, [r15 + {slot_stack}]",
                "add r15, {slot_output}",
                "mov r11d, {flags}",
                "mov rbx, gs:[0x38]",
                "swapgs",
                "wrgsbase rbx",
                "xor ebx, ebx",
                "xor ebp, ebp",
                "sysretq",

                // A return. To whom?
                "20:",
                "cmp esp, {give_back}",
                "jne 25f",
                "mov rbx, gs:[0x48]",
                "mov r11, [rbx + {used}]",
                "sub r11, {place_bytes}",
                "jc 80f",
                "mov rbp, [rbx + r11 + {caller}]",
                "test rbp, rbp",
                "jz 80f",
                $($reveal,)*
                // From here on it succeeds.
                "mov [rbx + {used}], r11",
                "mov r12, gs:[0x28]",
                "movzx ecx, word ptr [rbx + r11 + {slot}]",
                "or [r12 + {free}], cx",
                "mov rsi, [rbx + r11 + {thread_pointer}]",
                "wrfsbase rsi",
                "mov gs:[0x28], rbp",
                "mov rsi, [rbp + {page}]",
                "mov gs:[0x18], rsi",
                "mov rsi, [rbp + {dispatcher_process}]",
                "mov rsi, [rsi + {reflected_entry}]",
                "mov gs:[0x20], rsi",
                "mov rsi, [rbp + {dispatcher_root}]",
                "mov cr3, rsi",
                "movzx esi, word ptr [rbx + r11 + {output_bytes}]",
                "test esi, esi",
                "jnz 70f",
                "movzx eax, ax",
                "71:",
                "test dword ptr gs:[{trace}], {traced}",
                "jnz 92f",
                "93:",
                "mov rcx, [rbx + r11 + {rip}]",
                "mov rsp, [rbx + r11 + {rsp_kept}]",
                "mov r11d, {flags}",
                "mov rbx, gs:[0x38]",
                "xor edi, edi",
                "xor esi, esi",
                "xor r12d, r12d",
                "xor r13d, r13d",
                "xor r14d, r14d",
                "xor r15d, r15d",
                "xor ebp, ebp",
                "swapgs",
                "wrgsbase rbx",
                "xor ebx, ebx",
                "sysretq",

                // A one-way message?
                "25:",
                "cmp esp, {one_way}",
                "je {send}",
                "jmp {general}",

                // Notes a call in the caller's ring: as `trace::record`, but for the registers.
                "90:",
                "mov gs:[{kept_rax}], rax",
                "mov gs:[{kept_rdx}], rdx",
                "mov r14, [rbx + r11 + {caller}]",
                "mov rdi, [r14 + {trace_position}]",
                "inc qword ptr [r14 + {trace_position}]",
                "movzx eax, ax",
                "mov edx, r11d",
                "shl edx, {depth_shift}",
                "or eax, edx",
                "shl rax, 8",
                "or al, {call_event}",
                "shl rax, 32",
                "lea edx, [rdi + 1]",
                "or rax, rdx",
                "and rdi, [r14 + {trace_mask}]",
                "shl rdi, {event_shift}",
                "add rdi, [r14 + {trace_slots}]",
                "mov [rdi + 24], rsi",
                "mov rdx, [rbp + {process_id}]",
                "mov [rdi + 16], rdx",
                "mov r14, rax",
                "rdtsc",
                "shl rdx, 32",
                "or rax, rdx",
                "mov [rdi], rax",
                "mov [rdi + 8], r14",
                "mov rax, gs:[{kept_rax}]",
                "mov rdx, gs:[{kept_rdx}]",
                // Whom the callee is told.
                "mov rdi, [rbx + r11 + {caller}]",
                "mov rdi, [rdi + {dispatcher_process_id}]",
                "jmp 91b",

                // Notes a return in the same ring.
                "92:",
                "mov r13, rax",
                "mov r14, rdx",
                "mov rdi, [rbp + {trace_position}]",
                "inc qword ptr [rbp + {trace_position}]",
                "movzx eax, ax",
                "mov edx, r11d",
                "shl edx, {depth_shift}",
                "or eax, edx",
                "shl rax, 8",
                "or al, {return_event}",
                "shl rax, 32",
                "lea esi, [rdi + 1]",
                "or rsi, rax",
                "and rdi, [rbp + {trace_mask}]",
                "shl rdi, {event_shift}",
                "add rdi, [rbp + {trace_slots}]",
                "mov rdx, [r12 + {dispatcher_process_id}]",
                "mov [rdi + 16], rdx",
                "mov qword ptr [rdi + 24], 0",
                "rdtsc",
                "shl rdx, 32",
                "or rax, rdx",
                "mov [rdi], rax",
                "mov [rdi + 8], rsi",
                "mov rax, r13",
                "mov rdx, r14",
                "jmp 93b",

                // A call with bytes: the copy is made from the caller's address space.
                "40:",
                "cmp cx, {message_bytes}",
                "ja 81f",
                "mov [rbx + r11 + {output_bytes}], cx",
                "shr ecx, 16",
                "jz 41b",
                "cmp ecx, {message_bytes}",
                "ja 81f",
                "mov r11, {user_end}",
                "sub r11, rcx",
                "cmp r14, r11",
                "mov r11, [rbx + {used}]",
                "ja 81f",
                "mov rdi, [rsp + r15 * 8 + {inputs}]",
                "mov r11, rsp",
                "mov rsp, gs:[0x10]",
                "push rsi",
                "mov rsi, r14",
                "call {copy}",
                "pop rsi",
                "mov rsp, r11",
                "mov r11, [rbx + {used}]",
                "jnc 41b",
                "jmp 81f",

                // A return to a caller that takes bytes: its address space is loaded already.
                "70:",
                "mov ecx, eax",
                "shr ecx, 16",
                "cmp ecx, esi",
                "cmova ecx, esi",
                "movzx eax, ax",
                "test ecx, ecx",
                "jz 71b",
                "mov rdi, [rbx + r11 + {output}]",
                "mov rsi, {user_end}",
                "sub rsi, rcx",
                "cmp rdi, rsi",
                "ja 72f",
                "movzx esi, word ptr [rbx + r11 + {slot}]",
                "bsf esi, esi",
                "mov rsi, [r12 + rsi * 8 + {outputs}]",
                "mov r13d, ecx",
                "mov rsp, gs:[0x10]",
                "call {copy}",
                "jc 73f",
                "shl r13d, 16",
                "or eax, r13d",
                "jmp 71b",
                "72:",
                "mov eax, {bad_buffer}",
                "jmp 71b",
                // A page may have to be brought before the bytes can be stored.
                "73:",
                "mov rsp, gs:[0x10]",
                "push r10",
                "push r9",
                "push r8",
                "push rdx",
                "mov rdi, rsp",
                "mov rsi, rbx",
                "mov rdx, r12",
                "mov ecx, eax",
                "mov r8d, r13d",
                "call {returned}",
                "ud2",

                $($aside,)*

                // Not on this line after all: everything as it came.
                "81:",
                "mov rcx, [rbx + r11 + {rip}]",
                "mov rdi, [rbp + {process_id}]",
                "mov r15, [rbx + r11 + {output}]",
                "80:",
                "jmp {general}",
                foreign = sym foreign,
                general = sym general,
                trace = const core::mem::offset_of!(PerCpu, trace),
                traced = const Groups::CALLS.bits(),
                kept_rax = const core::mem::offset_of!(PerCpu, trace_kept),
                kept_rdx = const core::mem::offset_of!(PerCpu, trace_kept) + 8,
                trace_position = const dispatcher_offset::ACCOUNT + trace::offset::POSITION,
                trace_mask = const dispatcher_offset::ACCOUNT + trace::offset::MASK,
                trace_slots = const dispatcher_offset::ACCOUNT + trace::offset::SLOTS,
                event_shift = const EVENT_BYTES.trailing_zeros(),
                depth_shift = const 16 - PLACE_BYTES.trailing_zeros(),
                call_event = const Kind::Call as u8,
                return_event = const Kind::Return as u8,
                in_kernel = sym home::straight_line::call,
                own_object = sym kernel_object::straight_line::call,
                one_way = const Operation::Send as u32,
                send = sym message::straight_line::send,
                calls_out = const dispatcher_offset::CALLS_OUT,
                calls_in = const dispatcher_offset::CALLS_IN,
                copy = sym kiln_copy_across,
                call = const Operation::Call as u32,
                give_back = const Operation::Return as u32,
                table = sym process::TABLE,
                processes = const process::PROCESSES,
                process_id = const process_offset::ID,
                dispatchers = const process_offset::DISPATCHERS,
                call_entry = const process_offset::CALL_ENTRY,
                reflected_entry = const process_offset::REFLECTED_ENTRY,
                process_root = const process_offset::ROOT,
                dispatcher_process_id = const dispatcher_offset::PROCESS_ID,
                dispatcher_process = const dispatcher_offset::PROCESS,
                dispatcher_root = const dispatcher_offset::ROOT,
                page = const dispatcher_offset::PAGE,
                free = const dispatcher_offset::FREE,
                slots = const dispatcher_offset::SLOTS,
                inputs = const dispatcher_offset::INPUTS,
                outputs = const dispatcher_offset::OUTPUTS,
                used = const at::USED,
                caller = const at::CALLER,
                rip = const at::RIP,
                rsp_kept = const at::RSP,
                thread_pointer = const at::THREAD_POINTER,
                output = const at::OUTPUT,
                output_bytes = const at::OUTPUT_BYTES,
                slot = const at::SLOT,
                place_bytes = const PLACE_BYTES,
                full = const DEPTH * PLACE_BYTES,
                slot_shift = const CALL_SLOT_BYTES.trailing_zeros(),
                slot_input = const CALL_SLOT_INPUT,
                slot_stack = const CALL_SLOT_STACK_TOP,
                slot_output = const CALL_SLOT_OUTPUT,
                message_bytes = const MESSAGE_BYTES,
                user_end = const USER_END,
                flags = const USER_FLAGS,
                bad_buffer = const Error::BadBuffer as u32,
                returned = sym page_wait::returned,
                $($operand = $kind $value,)*
            )
        }
    };
}

const _: () = assert!(CALL_SLOT_BYTES.is_power_of_two());

straight_line! {
    /// The entry on a processor without XSAVE. It cannot say whether the x87 unit is in use, so it is
    /// always saved; the vector registers come along, cleared for the callee and as they were for the
    /// caller.
    entry_with_fxsave,
    may_hide: [
        "cmp qword ptr [rbx + r11 + {room}], 0",
        "je 81f"
    ],
    hide: [
        "mov rdi, [rbx + r11 + {room}]",
        "fxsave64 [rdi]",
        "mov [rbx + r11 + {area}], rdi",
        "fxrstor64 [{initial}]"
    ],
    reveal: [
        "mov rdi, [rbx + r11 + {area}]",
        "fxrstor64 [rdi]"
    ],
    aside: [],
    room = const at::ROOM,
    area = const at::AREA,
    initial = sym INITIAL_STATE
}

straight_line! {
    /// The entry on a processor that says by XGETBV what of the extended state is in use: only MXCSR
    /// has to be kept when nothing beyond the vector registers' low halves is, and those are cleared.
    entry_with_xgetbv,
    may_hide: [
        "mov r15, rax",
        "mov rdi, rdx",
        "mov ecx, 1",
        "xgetbv",
        "mov ecx, eax",
        "mov rax, r15",
        "mov rdx, rdi",
        "test ecx, ~2",
        "jnz 81f",
        "test ecx, ecx",
        "jnz 50f",
        "51:"
    ],
    hide: [
        "stmxcsr [rbx + r11 + {mxcsr}]",
        "mov qword ptr [rbx + r11 + {area}], 0",
        "ldmxcsr [{callee_mxcsr}]"
    ],
    reveal: [
        "cmp qword ptr [rbx + r11 + {area}], 0",
        "jne 80f",
        "mov rsi, rax",
        "mov rdi, rdx",
        "mov r12, rcx",
        "mov ecx, 1",
        "xgetbv",
        "mov r13d, eax",
        "mov rax, rsi",
        "mov rdx, rdi",
        "mov rcx, r12",
        "test r13d, ~2",
        "jnz 80f",
        "test r13d, r13d",
        "jnz 60f",
        "61:",
        "ldmxcsr [rbx + r11 + {mxcsr}]"
    ],
    aside: [
        "50:",
        crate::clear_vector_registers!(),
        "jmp 51b",
        "60:",
        crate::clear_vector_registers!(),
        "jmp 61b"
    ],
    mxcsr = const at::MXCSR,
    area = const at::AREA,
    callee_mxcsr = sym CALLEE_MXCSR
}
