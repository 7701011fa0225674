//! The protected procedure call: into another address space, and back.
//!
//! This is the general case, in Rust: what `super::straight_line` does not do in place comes here,
//! with nothing changed yet. Both must do the same.

use kiln_object::call::{CallWord, MESSAGE_BYTES, ReturnWord};
use kiln_object::layout::{CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CALL_SLOT_STACK_TOP};
use kiln_object::trace::Reason;
use kiln_object::trace::directory::Counter;
use kiln_object::{Error, ProcessId};

use super::activation::{Activation, Record};
use super::entry::CallFrame;
use super::local::{current_activation, set_thread_pointer, take_thread_pointer};
use super::native::{answer_error, clear};
use super::{current_dispatcher, run, set_current};
use crate::home;
use crate::memory::user_copy;
use crate::process::{self, Dispatcher, Process};
use crate::processor::PerCpu;
use crate::schedule::{self, page_wait, waiters};

/// Length of the instruction that made the call.
const SYSCALL_BYTES: u64 = 2;

/// Takes the caller's processor over to the target, or answers why not.
#[inline(always)]
pub(super) fn call(frame: &mut CallFrame, word: CallWord) {
    if let Err(error) = try_call(frame, word)
        && !(error == Error::BadBuffer && page_wait::enter_again(frame))
    {
        answer_error(frame, error);
    }
}

#[inline(always)]
fn try_call(frame: &mut CallFrame, word: CallWord) -> Result<(), Error> {
    let (Some(caller), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return Err(Error::BadMethod);
    };
    if word.input() > MESSAGE_BYTES || word.output() > MESSAGE_BYTES {
        return Err(Error::TooLarge);
    }
    if !activation.has_room() {
        return Err(Error::TooDeep);
    }
    let name = ProcessId::from_raw(frame.rdi);
    let Some(target) = process::find(name) else {
        return wait_for_end(frame, name);
    };
    let entry = target.entries.call();
    if entry == 0 {
        // It lives in the kernel, waits for a call, or is not ready.
        return match home::call(caller.process(), target, frame, word) {
            Err(Error::Busy) => wait_for(frame, caller, activation, target),
            done => done,
        };
    }
    let cpu = PerCpu::here().cpu_number.get();
    if let Some(only) = target.only_cpu()
        && only != cpu
    {
        return run::remote::post(frame, word, caller, target, only);
    }
    let callee = target.dispatcher(cpu)?;
    let slot = match callee.take_slot() {
        Err(Error::Busy) => return wait_for_slot(frame, caller, activation, callee),
        slot => slot?,
    };
    if word.input() != 0 && user_copy::copy_in(callee.input(slot, word.input()), frame.r14).is_err()
    {
        callee.free_slot(slot);
        return Err(Error::BadBuffer);
    }
    let extended = match activation.hide_extended_state() {
        Ok(extended) => extended,
        Err(error) => {
            callee.free_slot(slot);
            return Err(error);
        }
    };
    crate::event!(
        Call,
        u32::from(word.method()) | (activation.depth() as u32) << 16,
        target.id().raw(),
        frame.rsi
    );
    caller.account().count(Counter::CallsOut);
    callee.account().count(Counter::CallsIn);
    activation.push(Record {
        caller: Some(caller),
        rip: frame.rip,
        rsp: frame.rsp,
        thread_pointer: take_thread_pointer(),
        output: frame.r15,
        extended,
        output_bytes: word.output() as u16,
        slot,
    });
    set_current(callee);
    let base = callee.slot_address(slot);
    frame.rax = word.0;
    frame.rdi = caller.process().id().raw();
    frame.rip = entry;
    frame.rsp = base + CALL_SLOT_STACK_TOP;
    frame.r14 = base + CALL_SLOT_INPUT;
    frame.r15 = base + CALL_SLOT_OUTPUT;
    Ok(())
}

/// Lets a caller wait that finds all slots of `callee` taken: by calls on this processor.
#[cold]
fn wait_for_slot(
    frame: &mut CallFrame,
    caller: &'static Dispatcher,
    activation: &'static Activation,
    callee: &'static Dispatcher,
) -> Result<(), Error> {
    let waiters = callee.waiters();
    let word = CallWord(frame.rax);
    let noticed = waiters.note_caller(caller, activation, callee.process(), word)?;
    schedule::watch_returns_from(callee);
    waiters::wait(frame, noticed, callee.process(), Reason::Room)
}

/// A process that takes no calls is started if it waits for one, and the call made once it is ready. One
/// that is just starting has its entry before its `main` begins.
#[cold]
fn wait_for(
    frame: &mut CallFrame,
    caller: &'static Dispatcher,
    activation: &'static Activation,
    target: &'static Process,
) -> Result<(), Error> {
    if target.call_up()? {
        schedule::wait_for_start(frame, target)
    } else if target.entries.call() != 0 || !target.is_running() {
        // It became ready just now, or has ended meanwhile.
        again(frame);
        Ok(())
    } else if target.is_starting() && !target.is_program() {
        let waiters = target.dispatcher(PerCpu::number())?.waiters();
        let word = CallWord(frame.rax);
        let noticed = waiters.note_caller(caller, activation, target, word)?;
        if target.is_starting() && target.entries.call() == 0 {
            return waiters::wait(frame, noticed, target, Reason::Start);
        }
        again(frame);
        Ok(())
    } else {
        Err(Error::Busy)
    }
}

/// Lets whoever calls a process that is ending wait until it is known whether it is started again: so
/// that whoever is told of the death finds the new one.
#[cold]
fn wait_for_end(frame: &mut CallFrame, name: ProcessId) -> Result<(), Error> {
    let Some(target) = process::ending(name) else {
        clear(frame);
        frame.rax = ReturnWord::not_begun(Error::ServerDied);
        return Ok(());
    };
    if target.await_end() {
        schedule::wait_for_start(frame, target)
    } else {
        again(frame);
        Ok(())
    }
}

/// Lets the caller make its call once more.
pub(crate) fn again(frame: &mut CallFrame) {
    frame.rip = frame.rip.wrapping_sub(SYSCALL_BYTES);
}

/// Takes the callee's processor back to the caller with the answer.
#[inline(always)]
pub(super) fn give_back(frame: &mut CallFrame, word: ReturnWord) {
    let (Some(callee), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return answer_error(frame, Error::BadMethod);
    };
    let Some(record) = activation.pop() else {
        return answer_error(frame, Error::BadMethod);
    };
    let Some(caller) = record.caller else {
        return run::give_back_to_nobody(frame, callee, activation, record.slot);
    };
    // Before the copy, which may find that there is no memory and end the caller.
    callee.free_slot(record.slot);
    set_current(caller);
    set_thread_pointer(record.thread_pointer);
    record.extended.reveal();
    let mut bytes = word.output().min(usize::from(record.output_bytes));
    let mut status = word.status();
    let mut later = false;
    let answer = callee.output(record.slot, bytes);
    if bytes != 0 && user_copy::copy_out(record.output, answer).is_err() {
        later = page_wait::keep_answer(record.output, answer);
        if !later {
            (status, bytes) = (Error::BadBuffer.code(), 0);
        }
    }
    crate::event!(
        Return,
        u32::from(status) | (activation.depth() as u32) << 16,
        callee.process().id().raw()
    );
    let (rdx, r8, r9, r10) = (frame.rdx, frame.r8, frame.r9, frame.r10);
    frame.rip = record.rip;
    frame.rsp = record.rsp;
    clear(frame);
    frame.rax = ReturnWord::answer(status, bytes as u16);
    (frame.rdx, frame.r8, frame.r9, frame.r10) = (rdx, r8, r9, r10);
    if later {
        page_wait::answer_later(frame);
    }
}
