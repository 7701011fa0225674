//! Tells the native operations apart.

use core::sync::atomic::Ordering;

use kiln_object::call::{CallWord, Operation, ReturnWord};
use kiln_object::layout::USER_END;
use kiln_object::{Error, ProcessId};

use super::entry::{CallFrame, ResumeFrame, USER_FLAGS, resume_user};
use super::{crossing, current_dispatcher, kernel_object, message};
use crate::process::post_mortem;
use crate::processor::segments::{USER_CODE, USER_DATA};

/// Flags that a resumed context may choose: status flags, direction, alignment check, ID.
const RESUMABLE_FLAGS: u64 = 0x0024_0cd5;

/// Every native operation; called by the entry code with interrupts off.
pub(super) extern "sysv64" fn native(frame: &mut CallFrame) {
    frame.rflags = USER_FLAGS;
    let word = CallWord(frame.rax).plain();
    if word.tag() == Operation::Call as u16 {
        if frame.rdi == ProcessId::KERNEL.raw() {
            kernel_object::call(frame, word);
        } else {
            crossing::call(frame, word);
        }
    } else if word.tag() == Operation::Return as u16 {
        crossing::give_back(frame, ReturnWord(frame.rax));
    } else if word.tag() == Operation::Resume as u16 {
        resume(frame);
    } else if word.tag() == Operation::Collect as u16 {
        super::run::remote::collect_or_wait(frame);
    } else if word.tag() == Operation::Send as u16 {
        message::call(frame, word.method());
    } else {
        answer_error(frame, Error::BadMethod);
    }
}

/// Answers the caller with an error and nothing else.
pub(crate) fn answer_error(frame: &mut CallFrame, error: Error) {
    clear(frame);
    frame.rax = ReturnWord::answer(error.code(), 0);
}

/// Empties all registers that carry arguments or results.
#[inline(always)]
pub(crate) fn clear(frame: &mut CallFrame) {
    *frame = CallFrame {
        rsp: frame.rsp,
        rip: frame.rip,
        rflags: frame.rflags,
        ..CallFrame::default()
    };
}

/// A foreign system call in a process that has no entry for it, with that frame pointer: a fault of
/// that process.
pub(super) extern "sysv64" fn unwanted(frame: u64) -> ! {
    if let Some(dispatcher) = current_dispatcher() {
        let instruction = dispatcher.page().reflected_rip.load(Ordering::Relaxed);
        post_mortem::system_call(instruction, frame);
    }
    super::run::end_current("made a foreign system call", 128 + 31)
}

/// Goes on with the context in the dispatcher page's trap frame.
fn resume(frame: &mut CallFrame) {
    let Some(dispatcher) = current_dispatcher() else {
        return;
    };
    let trap = &dispatcher.page().trap;
    let saved = &trap.registers;
    let read = |register: &core::sync::atomic::AtomicU64| register.load(Ordering::Relaxed);
    let rip = read(&saved.rip);
    if rip >= USER_END {
        answer_error(frame, Error::BadArgument);
        return;
    }
    dispatcher.page().attention().leave_save_area();
    let resumed = ResumeFrame {
        general: [
            read(&saved.r15),
            read(&saved.r14),
            read(&saved.r13),
            read(&saved.r12),
            read(&saved.r11),
            read(&saved.r10),
            read(&saved.r9),
            read(&saved.r8),
            read(&saved.rbp),
            read(&saved.rdi),
            read(&saved.rsi),
            read(&saved.rdx),
            read(&saved.rcx),
            read(&saved.rbx),
            read(&saved.rax),
        ],
        rip,
        cs: u64::from(USER_CODE),
        rflags: (read(&saved.rflags) & RESUMABLE_FLAGS) | USER_FLAGS,
        rsp: read(&saved.rsp),
        ss: u64::from(USER_DATA),
    };
    // SAFETY: the dispatcher is current, the address is the user's, the selectors are user mode's.
    // The vector registers are the trap entry's own: it has restored the program's.
    unsafe { resume_user(&resumed) }
}
