//! The server's side: an activation enters the callee with the call, and what it returns with is the answer.

use kiln_object::Error;
use kiln_object::call::{RETURN_WORDS, ReturnWord};
use kiln_object::dispatcher::soft_interrupt::CALL_DONE;
use kiln_object::layout::{CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CALL_SLOT_STACK_TOP};
use kiln_object::trace::directory::Counter;

use super::places::{DONE, POLLED, POSTED, RemoteCall, bytes};
use crate::call::activation::{Activation, Record, State};
use crate::call::entry::CallFrame;
use crate::call::local::{set_activation, set_thread_pointer};
use crate::call::native::clear;
use crate::call::{extended_state, set_current};
use crate::process::Dispatcher;
use crate::schedule::cpu::{self, Here};
use crate::schedule::{ending, limit, run};
use crate::{soft_interrupt, time};

/// A call came: an activation will serve it.
pub(in crate::schedule) fn arrived(here: Here, call: &'static RemoteCall) {
    let Some(question) = call.question.get() else {
        return;
    };
    let domain = question.caller.process().domain();
    if let Err(error) = here.queue().serve(question.target, call, domain) {
        refuse(call, error);
    }
}

/// No slot of `callee` is free for `call`: it has its turn when there may be one, or when it has waited as
/// long as the callee may for an answer; then it is answered.
#[cold]
fn wait_for_slot(activation: &Activation, call: &'static RemoteCall, callee: &'static Dispatcher) {
    let now = time::monotonic_ns();
    if activation.give_up() <= now {
        return fail(activation, Error::TimedOut);
    }
    if activation.give_up() == u64::MAX {
        let process = callee.process();
        activation.set_give_up(limit::patience_for_room(process, process, now));
    }
    let room = Some(callee.waiters().note_stopped());
    run::watch_returns_from(callee);
    activation.set_state(State::Called { call, room });
}

/// Enters the callee with the call that `activation` was given; false if that is not possible: then the
/// call is answered, or waits for a slot.
pub(in crate::schedule) fn enter(
    activation: &'static Activation,
    call: &'static RemoteCall,
    frame: &mut CallFrame,
) -> bool {
    set_activation(activation);
    let Some(question) = call.question.get() else {
        return false;
    };
    let callee = question.target;
    let entry = callee.process().entries.call();
    let slot = match callee.take_slot() {
        Ok(slot) if entry != 0 => slot,
        Ok(slot) => {
            // It ended and was not started again yet, or took its entry away.
            callee.free_slot(slot);
            let lives = callee.process().is_running();
            fail(
                activation,
                if lives {
                    Error::Busy
                } else {
                    Error::ServerDied
                },
            );
            return false;
        }
        Err(Error::Busy) => {
            wait_for_slot(activation, call, callee);
            return false;
        }
        Err(error) => {
            fail(activation, error);
            return false;
        }
    };
    let length = question.word.input();
    if length != 0 {
        // SAFETY: while it is posted the place's pages are the server's processor's.
        let input = unsafe { bytes(&call.input, length) };
        callee.input(slot, length).copy_from_slice(input);
    }
    // It names no caller: the return finds its way to `answered`.
    activation.push(Record {
        slot,
        ..Record::default()
    });
    set_current(callee);
    callee.account().count(Counter::CallsIn);
    crate::event!(
        Serve,
        u32::from(question.word.method()) | call.number() << 16,
        question.caller_id.raw(),
        u64::from(call.asker())
    );
    set_thread_pointer(0);
    extended_state::reset();
    clear(frame);
    let base = callee.slot_address(slot);
    frame.rax = question.word.0;
    frame.rdi = question.caller_id.raw();
    frame.rsi = question.object;
    [
        frame.rdx, frame.r8, frame.r9, frame.r10, frame.r12, frame.r13,
    ] = question.words;
    frame.rip = entry;
    frame.rsp = base + CALL_SLOT_STACK_TOP;
    frame.r14 = base + CALL_SLOT_INPUT;
    frame.r15 = base + CALL_SLOT_OUTPUT;
    true
}

/// Takes the answer of the call that `activation` serves, if it is one for this: then it has ended.
pub(in crate::schedule) fn answered(
    activation: &Activation,
    callee: &Dispatcher,
    slot: u16,
    frame: &CallFrame,
) -> bool {
    if activation.depth() != 0 {
        return false;
    }
    let Some(call) = activation.take_call() else {
        return false;
    };
    let word = ReturnWord(frame.rax);
    let wanted = call
        .question
        .get()
        .map_or(0, |question| question.word.output());
    let length = word.output().min(wanted);
    if length != 0 {
        // SAFETY: while it is posted the place's pages are the server's processor's.
        let output = unsafe { bytes(&call.output, length) };
        output.copy_from_slice(callee.output(slot, length));
    }
    let words = [frame.rdx, frame.r8, frame.r9, frame.r10];
    finish(
        call,
        ReturnWord::answer(word.status(), length as u16),
        words,
    );
    activation.set_state(State::Ended);
    true
}

/// Answers the call that `activation` serves, if there is one, with an error: it has ended.
pub(in crate::schedule) fn fail(activation: &Activation, error: Error) {
    if let Some(call) = activation.take_call() {
        if let Some(question) = call.question.get() {
            ending::take_back(question.caller.process(), activation.take_handed_afar());
        }
        refuse(call, error);
        activation.set_state(State::Ended);
    }
}

fn refuse(call: &RemoteCall, error: Error) {
    finish(call, ReturnWord::answer(error.code(), 0), [0; RETURN_WORDS]);
}

fn finish(call: &RemoteCall, word: u64, words: [u64; RETURN_WORDS]) {
    call.answer.set((word, words));
    crate::event!(
        Answer,
        u32::from(ReturnWord(word).status()) | call.number() << 16,
        call.target().raw(),
        u64::from(call.asker())
    );
    // It may be another call's place as soon as it is said to be done.
    let asker = call.question.get().map(|question| question.caller);
    let finish_from = |state| call.exchange(state, DONE).is_ok();
    if finish_from(POLLED) {
        return;
    }
    if !finish_from(POSTED) {
        if let Some(places) = asker.and_then(|asker| asker.calls().get()) {
            places.give_back_abandoned(call);
        }
        return;
    }
    // The caller's process lives, or has not been let go of: the dispatcher's page stays until this
    // processor leaves the kernel.
    if let Some(dispatcher) = call.told() {
        soft_interrupt::raise(dispatcher, CALL_DONE);
    } else if let Some(asker) = asker {
        cpu::wake(1 << asker.cpu());
    }
}
