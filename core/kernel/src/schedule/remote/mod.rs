//! Calls to processes that run on another processor only.
//!
//! The caller's processor fills one of the places that its dispatcher has and posts it, and looks for the
//! answer for a moment: most come sooner than anything else could be begun. Then the caller is told that the
//! answer is pending and goes on. The other processor serves the call with an activation that it keeps
//! for this, in the caller's domain, and raises `CALL_DONE`; the caller then collects the answer, from
//! whichever processor it is on. A caller that is itself served has no thread to park: it is stopped
//! until the answer is there. No processor waits for another for longer than that moment.

mod places;
mod serve;

use core::sync::atomic::Ordering;

use kiln_object::Error;
use kiln_object::call::{CallWord, ReturnWord};
use kiln_object::trace::Reason;
use kiln_object::trace::directory::Counter;

use super::cpu::{self, Message};
use super::{run, waiters};
use crate::call::activation::Until;
use crate::call::current_dispatcher;
use crate::call::entry::CallFrame;
use crate::call::local::current_activation;
use crate::call::native::{answer_error, clear};
use crate::memory::user_copy;
use crate::process::{Dispatcher, Process};
use crate::processor::PerCpu;
pub use places::{Calls, RemoteCall};
use places::{DONE, POSTED, Places, Question, bytes, page};
pub(super) use serve::{answered, arrived, enter, fail};

/// Posts a call of the running dispatcher to `cpu`, the only one that runs `target`. Fills the frame with
/// the answer that it is pending, or that it found no room.
///
/// # Errors
/// `BadBuffer`, `Exhausted`; `Busy` if there can be no room before the caller goes on.
pub fn post(
    frame: &mut CallFrame,
    word: CallWord,
    caller: &'static Dispatcher,
    target: &'static Process,
    cpu: u32,
) -> Result<(), Error> {
    let activation = current_activation().ok_or(Error::BadMethod)?;
    let places = caller.calls().get_or_make()?;
    let own = caller.process_id();
    let (number, place) = match places.find(own) {
        Some(found) => found,
        None => {
            let noticed =
                places
                    .waiters
                    .note_caller(caller, activation, target, CallWord(frame.rax))?;
            match places.find(own) {
                Some(found) => found,
                None => return waiters::wait(frame, noticed, target, Reason::Room),
            }
        }
    };
    if word.input() != 0 {
        page(&place.input)?;
        // SAFETY: the place is free, and only this processor takes it.
        let input = unsafe { bytes(&place.input, word.input()) };
        user_copy::copy_in(input, frame.r14).map_err(|_| Error::BadBuffer)?;
    }
    if word.output() != 0 {
        page(&place.output)?;
    }
    crate::event!(
        Post,
        u32::from(word.method()) | place.number() << 16,
        target.id().raw(),
        frame.rsi
    );
    caller.account().count(Counter::CallsOut);
    let question = Question {
        caller,
        target: target.dispatcher(cpu)?,
        caller_id: own,
        word,
        object: frame.rsi,
        words: [
            frame.rdx, frame.r8, frame.r9, frame.r10, frame.r12, frame.r13,
        ],
    };
    let is_served = activation.depth() != 0;
    if is_served {
        place.tell_nobody();
    } else {
        place.tell(caller);
    }
    place.ask(question);
    if cpu::post(cpu, Message::Call(place)).is_err() {
        let noticed = cpu::waiters(cpu).ok_or(Error::Busy).and_then(|waiters| {
            waiters.note_caller(caller, activation, target, CallWord(frame.rax))
        });
        if cpu::post(cpu, Message::Call(place)).is_err() {
            places.give_back(place);
            return waiters::wait(frame, noticed?, target, Reason::Room);
        }
    }
    activation.end_wait_for_room();
    let ticket = place.ticket(PerCpu::number(), number);
    let is_done = place.poll();
    if is_done || is_served {
        frame.rax = CallWord::collect(word.output() as u16).0;
        frame.rdi = ticket;
    }
    if is_done {
        collect_or_wait(frame);
    } else if is_served {
        stop_until_done(frame, places, place)?;
    } else {
        answer_pending(frame, word, ticket);
    }
    Ok(())
}

/// Stops the caller, which is served, until it can collect the answer of its call.
fn stop_until_done(
    frame: &mut CallFrame,
    places: &Places,
    place: &'static RemoteCall,
) -> Result<(), Error> {
    run::call_later(frame, Until::Done(place)).inspect_err(|_| places.let_go(place))
}

/// Answers the running process for the call whose ticket is in `rdi`: with the answer, or that it is
/// pending, or the frame is that of another if it waits for a page of its buffer.
pub fn collect_or_wait(frame: &mut CallFrame) {
    let found = find(frame.rdi).ok_or(Error::BadReference);
    let collected = found.and_then(|(places, place)| {
        let answer = collect(frame, places, place);
        if answer == Err(Error::BadBuffer) {
            if super::page_wait::enter_again(frame) {
                return Ok(());
            }
            // Whoever asked is told that there is no answer, so he will not ask again.
            places.let_go(place);
        }
        answer
    });
    if let Err(error) = collected {
        answer_error(frame, error);
    }
}

/// The place that the running process has told of by that ticket.
fn find(ticket: u64) -> Option<(&'static Places, &'static RemoteCall)> {
    let process = current_dispatcher()?.process();
    let dispatcher = process.made_dispatcher(u32::try_from(ticket >> 32).ok()?)?;
    let places = dispatcher.calls().get()?;
    Some((places, places.of(ticket)?))
}

fn answer_pending(frame: &mut CallFrame, word: CallWord, ticket: u64) {
    let output = frame.r15;
    clear(frame);
    frame.rax = ReturnWord::pending(word.output() as u16);
    frame.rdx = ticket;
    frame.r15 = output;
}

/// Answers the running process for the call in `place`, one of its own: with the answer, or that it is
/// pending.
///
/// # Errors
/// `BadReference` if no such call is under way; `BadBuffer` if the answer was left in place, since its
/// buffer waits for a page; `Exhausted` without memory to wait.
fn collect(
    frame: &mut CallFrame,
    places: &Places,
    place: &'static RemoteCall,
) -> Result<(), Error> {
    let dispatcher = current_dispatcher().ok_or(Error::BadReference)?;
    let own = dispatcher.process_id();
    // Whose it is stays while the call is posted, and only its process takes it from done.
    let mut state = place.state.load(Ordering::SeqCst);
    if state == POSTED && place.is_of(own) {
        if current_activation().is_some_and(|activation| activation.depth() != 0) {
            return stop_until_done(frame, places, place);
        }
        // The thread that asks may have come to another processor. Whoever finishes the call sees this, or
        // his end is seen here.
        place.tell(dispatcher);
        state = place.state.load(Ordering::SeqCst);
        if state == POSTED {
            answer_pending(frame, CallWord(frame.rax), frame.rdi);
            return Ok(());
        }
    }
    if state != DONE || !place.is_of(own) || !place.begin_to_collect() {
        return Err(Error::BadReference);
    }
    let (word, words) = place.answer.get();
    let word = ReturnWord(word);
    let wanted = CallWord(frame.rax).output();
    let (mut status, mut length) = (word.status(), word.output().min(wanted));
    // SAFETY: while it is being collected the place is this processor's.
    let output = unsafe { bytes(&place.output, length) };
    if !output.is_empty() && user_copy::copy_out(frame.r15, output).is_err() {
        if super::page_wait::is_noted() {
            // Nothing has happened yet: it is collected again when the page is there.
            place.keep();
            return Err(Error::BadBuffer);
        }
        (status, length) = (Error::BadBuffer.code(), 0);
    }
    crate::event!(
        Collect,
        u32::from(status) | place.number() << 16,
        frame.rdi >> 32
    );
    places.give_back(place);
    clear(frame);
    frame.rax = ReturnWord::answer(status, length as u16);
    [frame.rdx, frame.r8, frame.r9, frame.r10] = words;
    Ok(())
}

/// Whether a call that `dispatcher`, one of the running processor's, has posted is under way.
pub(super) fn has_posted(dispatcher: &Dispatcher) -> bool {
    dispatcher.calls().get().is_some_and(|places| {
        let mut calls = places.iter();
        calls.any(|place| place.state.load(Ordering::Acquire) == POSTED)
    })
}

/// Lets go of the calls that `process`, which has ended, made from the running processor.
pub(super) fn abandon(process: &Process) {
    let dispatcher = process.made_dispatcher(PerCpu::number());
    if let Some(places) = dispatcher.and_then(|dispatcher| dispatcher.calls().get()) {
        places.abandon();
    }
}
