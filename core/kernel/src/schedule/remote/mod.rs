//! Calls to processes that run on another processor only.
//!
//! The caller's processor fills one of its bounded number of places and posts it, and looks for the answer
//! for a moment: most come sooner than anything else could be begun. Then the caller is told that the
//! answer is pending and goes on. The other processor serves the call with an activation that it keeps
//! for this, in the caller's domain, and raises `CALL_DONE`; the caller then collects the answer, from
//! whichever processor it is on. A caller that is itself served has no thread to park: it is stopped
//! until the answer is there. No processor waits for another for longer than that moment.
//!
//! A place is free, posted (polled while its processor looks at it), done, or abandoned because its caller
//! has ended. Only its own processor takes it or abandons it; only whoever serves the call finishes
//! it; only the caller's process collects it.

mod serve;

use alloc::boxed::Box;
use core::cell::Cell;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use kiln_object::call::{CallWord, MESSAGE_BYTES, RETURN_WORDS, ReturnWord};
use kiln_object::trace::directory::Counter;
use kiln_object::trace::{MOST_PLACES, Reason, serving};
use kiln_object::{Error, ProcessId};

use super::cpu::{self, Message};
use super::waiters::{self, Waiters};
use super::{flush, run};
use crate::call::activation::Until;
use crate::call::current_dispatcher;
use crate::call::entry::CallFrame;
use crate::call::local::current_activation;
use crate::call::native::{answer_error, clear};
use crate::memory::{Frame, frames, heap, user_copy};
use crate::process::{CPUS, Dispatcher, Process};
use crate::processor::PerCpu;
pub(super) use serve::{answered, arrived, enter, fail};

/// Calls that can be under way from one processor, and in the places before the first free one from one
/// process on it.
const PLACES: usize = 16;
const PLACES_OF_ONE: usize = 8;

const _: () = assert!(PLACES <= MOST_PLACES as usize);

const FREE: u32 = 0;
const POSTED: u32 = 1;
const DONE: u32 = 2;
const ABANDONED: u32 = 3;
const COLLECTING: u32 = 4;
const POLLED: u32 = 5;

/// How often a caller's processor looks whether the answer is there before it does something else: a
/// microsecond or some.
const POLLS: u32 = 40;

/// What is asked, and by whom.
#[derive(Clone, Copy)]
struct Question {
    caller: &'static Dispatcher,
    target: &'static Dispatcher,
    caller_id: ProcessId,
    word: CallWord,
    object: u64,
    words: [u64; 6],
}

/// A place for a call to another processor.
pub struct RemoteCall {
    state: AtomicU32,
    question: Cell<Option<Question>>,
    /// Whom to tell: the dispatcher that asked last.
    notify: AtomicPtr<Dispatcher>,
    /// Status and bytes as a return has them, and the words.
    answer: Cell<(u64, [u64; RETURN_WORDS])>,
    /// Pages for the bytes in and out, taken at the first use and kept.
    input: Cell<Option<Frame>>,
    output: Cell<Option<Frame>>,
}

// SAFETY: the cells belong to whoever the state says (see the module), and every change of hands is a
// store and a load of the state, or goes through a mailbox.
unsafe impl Sync for RemoteCall {}

impl RemoteCall {
    /// Who calls, what he asks, and of which object; for whoever serves it.
    pub fn question(&self) -> Option<(&'static Dispatcher, CallWord, u64)> {
        let question = self.question.get()?;
        Some((question.caller, question.word, question.object))
    }

    /// The process that is asked.
    pub fn target(&self) -> ProcessId {
        let question = self.question.get();
        question.map_or(ProcessId::KERNEL, |question| question.target.process_id())
    }

    /// Which call it is, as events have it.
    pub fn serving(&self) -> u32 {
        serving(self.asker(), self.number())
    }

    /// The processor whose place it is.
    fn asker(&self) -> u32 {
        let question = self.question.get();
        question.map_or(0, |question| question.caller.cpu())
    }

    /// Its number among that processor's places.
    fn number(&self) -> u32 {
        let is_this = |place: &RemoteCall| core::ptr::eq(place, self);
        let found = places(self.asker()).and_then(|places| places.calls.iter().position(is_this));
        found.unwrap_or(0) as u32
    }

    /// Looks for the answer for a moment; false if nobody does so any more and there is none.
    fn poll(&self) -> bool {
        for _ in 0..POLLS {
            if self.state.load(Ordering::Acquire) != POLLED {
                return true;
            }
            flush::answer_flushes();
            core::hint::spin_loop();
        }
        self.state
            .compare_exchange(POLLED, POSTED, Ordering::SeqCst, Ordering::Acquire)
            .is_err()
    }

    /// Whether the answer is there.
    pub fn is_done(&self) -> bool {
        !matches!(self.state.load(Ordering::Acquire), POSTED | POLLED)
    }

    /// Nobody is told of the answer, but an activation that is stopped looks at the place.
    fn tell_nobody(&self) {
        self.notify.store(core::ptr::null_mut(), Ordering::SeqCst);
    }

    fn tell(&self, dispatcher: &'static Dispatcher) {
        let dispatcher = core::ptr::from_ref(dispatcher).cast_mut();
        self.notify.store(dispatcher, Ordering::SeqCst);
    }
}

/// The places of one processor.
struct Places {
    calls: [RemoteCall; PLACES],
    /// Who waits for one of them.
    waiters: Waiters,
}

/// The places of each processor; null until its first such call.
static CALLS: [AtomicPtr<Places>; CPUS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; CPUS];

fn places(cpu: u32) -> Option<&'static Places> {
    let pointer = CALLS.get(cpu as usize)?.load(Ordering::Acquire);
    // SAFETY: null, or a leaked box.
    unsafe { pointer.as_ref() }
}

/// The running processor's places, made at the first use.
fn own_places() -> Result<&'static Places, Error> {
    let cpu = PerCpu::number();
    if let Some(places) = places(cpu) {
        return Ok(places);
    }
    heap::ensure_room(false)?;
    let made = Box::leak(Box::new(Places {
        calls: [const {
            RemoteCall {
                state: AtomicU32::new(FREE),
                question: Cell::new(None),
                notify: AtomicPtr::new(core::ptr::null_mut()),
                answer: Cell::new((0, [0; RETURN_WORDS])),
                input: Cell::new(None),
                output: Cell::new(None),
            }
        }; PLACES],
        waiters: Waiters::new(),
    }));
    if let Some(place) = CALLS.get(cpu as usize) {
        place.store(made, Ordering::Release);
    }
    Ok(made)
}

impl Places {
    /// The first free place and its number, if there is one and `caller` may have it.
    fn find(&self, caller: &Dispatcher) -> Option<(usize, &RemoteCall)> {
        let mut own = 0;
        for (number, place) in self.calls.iter().enumerate() {
            if place.state.load(Ordering::SeqCst) == FREE {
                return (own < PLACES_OF_ONE).then_some((number, place));
            }
            let question = place.question.get();
            if question.is_some_and(|question| core::ptr::eq(question.caller, caller)) {
                own += 1;
            }
        }
        None
    }
}

/// Leaves `place`, which is one of processor `cpu`, to whoever wants it.
fn give_back(place: &RemoteCall, cpu: u32) {
    place.state.store(FREE, Ordering::SeqCst);
    if let Some(places) = places(cpu) {
        places.waiters.wake();
    }
}

fn page(place: &Cell<Option<Frame>>) -> Result<Frame, Error> {
    if let Some(frame) = place.get() {
        return Ok(frame);
    }
    let frame = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
    place.set(Some(frame));
    Ok(frame)
}

/// The first bytes of a page of a place.
///
/// # Safety
/// The place is the caller's now, and the slice is used only while it is.
#[expect(clippy::mut_from_ref, reason = "the page is outside the cell")]
unsafe fn bytes(place: &Cell<Option<Frame>>, length: usize) -> &mut [u8] {
    match place.get() {
        // SAFETY: the page is the place's for good, and the contract says whose the place is.
        Some(frame) => unsafe {
            core::slice::from_raw_parts_mut(frame.pointer(), length.min(MESSAGE_BYTES))
        },
        None => &mut [],
    }
}

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
    let places = own_places()?;
    let (number, place) = match places.find(caller) {
        Some(found) => found,
        None => {
            let noticed = places.waiters.note_caller(caller, activation, target)?;
            match places.find(caller) {
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
        u32::from(word.method()) | (number as u32) << 16,
        target.id().raw(),
        frame.rsi
    );
    caller.account().count(Counter::CallsOut);
    place.question.set(Some(Question {
        caller,
        target: target.dispatcher(cpu)?,
        caller_id: caller.process().id(),
        word,
        object: frame.rsi,
        words: [
            frame.rdx, frame.r8, frame.r9, frame.r10, frame.r12, frame.r13,
        ],
    }));
    let is_served = activation.depth() != 0;
    if is_served {
        place.tell_nobody();
    } else {
        place.tell(caller);
    }
    place.state.store(POLLED, Ordering::Release);
    if cpu::post(cpu, Message::Call(place)).is_err() {
        let noticed = cpu::waiters(cpu)
            .ok_or(Error::Busy)
            .and_then(|waiters| waiters.note_caller(caller, activation, target));
        if cpu::post(cpu, Message::Call(place)).is_err() {
            give_back(place, PerCpu::number());
            return waiters::wait(frame, noticed?, target, Reason::Room);
        }
    }
    let ticket = u64::from(PerCpu::number()) << 32 | number as u64;
    let is_done = place.poll();
    if is_done || is_served {
        frame.rax = CallWord::collect(word.output() as u16).0;
        frame.rdi = ticket;
    }
    if is_done {
        collect_or_wait(frame);
    } else if is_served {
        return run::call_later(frame, Until::Done(place));
    } else {
        answer_pending(frame, word, ticket);
    }
    Ok(())
}

/// [`collect`]; the frame says what comes of it.
pub fn collect_or_wait(frame: &mut CallFrame) {
    if let Err(error) = collect(frame)
        && !(error == Error::BadBuffer && super::page_wait::enter_again(frame))
    {
        answer_error(frame, error);
    }
}

fn answer_pending(frame: &mut CallFrame, word: CallWord, ticket: u64) {
    let output = frame.r15;
    clear(frame);
    frame.rax = ReturnWord::pending(word.output() as u16);
    frame.rdx = ticket;
    frame.r15 = output;
}

/// Answers the running process for the call with that ticket: with the answer, or that it is pending.
///
/// # Errors
/// `BadReference` for a ticket that is not the process's; `BadBuffer`.
fn collect(frame: &mut CallFrame) -> Result<(), Error> {
    let ticket = frame.rdi;
    let dispatcher = current_dispatcher().ok_or(Error::BadReference)?;
    let process = dispatcher.process();
    let place = u32::try_from(ticket >> 32)
        .ok()
        .and_then(places)
        .and_then(|places| places.calls.get(ticket as u32 as usize))
        .ok_or(Error::BadReference)?;
    let is_own = || {
        // SAFETY: read only to compare, between two looks at the state: see below.
        let question = place.question.get();
        question.is_some_and(|question| {
            core::ptr::eq(question.caller.process(), process) && question.caller_id == process.id()
        })
    };
    // The question stays while the call is posted, and only its process takes it from done.
    let mut state = place.state.load(Ordering::SeqCst);
    if state == POSTED && is_own() {
        if current_activation().is_some_and(|activation| activation.depth() != 0) {
            return run::call_later(frame, Until::Done(place));
        }
        // The thread that asks may have come to another processor. Whoever finishes the call sees this, or
        // his end is seen here.
        place.tell(dispatcher);
        state = place.state.load(Ordering::SeqCst);
        if state == POSTED {
            answer_pending(frame, CallWord(frame.rax), ticket);
            return Ok(());
        }
    }
    if state != DONE || !is_own() {
        return Err(Error::BadReference);
    }
    let taken = place
        .state
        .compare_exchange(DONE, COLLECTING, Ordering::AcqRel, Ordering::Relaxed);
    taken.map_err(|_| Error::BadReference)?;
    let (word, words) = place.answer.get();
    let word = ReturnWord(word);
    let wanted = CallWord(frame.rax).output();
    let (mut status, mut length) = (word.status(), word.output().min(wanted));
    // SAFETY: while it is being collected the place is this processor's.
    let output = unsafe { bytes(&place.output, length) };
    if !output.is_empty() && user_copy::copy_out(frame.r15, output).is_err() {
        if super::page_wait::is_noted() {
            // Nothing has happened yet: it is collected again when the page is there.
            place.state.store(DONE, Ordering::Release);
            return Err(Error::BadBuffer);
        }
        (status, length) = (Error::BadBuffer.code(), 0);
    }
    crate::event!(
        Collect,
        u32::from(status) | (ticket as u32) << 16,
        ticket >> 32
    );
    give_back(place, (ticket >> 32) as u32);
    clear(frame);
    frame.rax = ReturnWord::answer(status, length as u16);
    [frame.rdx, frame.r8, frame.r9, frame.r10] = words;
    Ok(())
}

/// Whether a call that `dispatcher`, one of the running processor's, has posted is under way.
pub(super) fn has_posted(dispatcher: &Dispatcher) -> bool {
    places(PerCpu::number()).is_some_and(|places| {
        places.calls.iter().any(|place| {
            place.state.load(Ordering::Acquire) == POSTED
                && place
                    .question
                    .get()
                    .is_some_and(|question| core::ptr::eq(question.caller, dispatcher))
        })
    })
}

/// Lets go of the calls that `process`, which has ended, made from the running processor.
pub(super) fn abandon(process: &Process) {
    let Some(places) = places(PerCpu::number()) else {
        return;
    };
    for place in &places.calls {
        if place
            .question
            .get()
            .is_some_and(|question| core::ptr::eq(question.caller.process(), process))
        {
            let exchange = |from, to| {
                place
                    .state
                    .compare_exchange(from, to, Ordering::SeqCst, Ordering::Acquire)
            };
            if exchange(POSTED, ABANDONED).is_err() {
                // Done, then, or free.
                let _ = exchange(DONE, FREE);
            }
        }
    }
    places.waiters.wake();
}
