//! The places for calls to other processors: each dispatcher has its own.
//!
//! A place is free, posted (polled while its processor looks at it), done, or abandoned because nobody will
//! collect the answer. Only the dispatcher's processor takes it; only whoever serves the call
//! finishes it; only the dispatcher's process collects it. What a process does not collect takes places
//! from itself alone, and from no later incarnation.

use alloc::boxed::Box;
use core::cell::Cell;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use kiln_object::call::{CallWord, MESSAGE_BYTES, RETURN_WORDS};
use kiln_object::trace::{MOST_PLACES, serving};
use kiln_object::{Error, ProcessId};

use crate::memory::{Frame, frames, heap};
use crate::process::{CPUS, Dispatcher};
use crate::processor::PerCpu;
use crate::schedule::flush;
use crate::schedule::waiters::Waiters;

/// Calls that can be under way from one dispatcher.
const PLACES: usize = 8;
const _: () = assert!(PLACES.is_power_of_two() && PLACES <= 1 << USES_SHIFT);

/// A ticket's bits that count the place's uses, above the place's number and below the processor.
const USES: u32 = u32::MAX >> USES_SHIFT;
const USES_SHIFT: u32 = 8;

const FREE: u32 = 0;
pub(super) const POSTED: u32 = 1;
pub(super) const DONE: u32 = 2;
const ABANDONED: u32 = 3;
const COLLECTING: u32 = 4;
pub(super) const POLLED: u32 = 5;

/// How often a caller's processor looks whether the answer is there before it does something else: a
/// microsecond or some.
const POLLS: u32 = 40;

/// What is asked, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) caller: &'static Dispatcher,
    pub(super) target: &'static Dispatcher,
    pub(super) caller_id: ProcessId,
    pub(super) word: CallWord,
    pub(super) object: u64,
    pub(super) words: [u64; 6],
}

/// A place for a call to another processor.
pub struct RemoteCall {
    pub(super) state: AtomicU32,
    /// Which one it is among all of its processor, for events.
    number: u32,
    /// The incarnation that posted the call, in raw form.
    poster: AtomicU64,
    /// How often the place was taken, so that the ticket of a call that is over is known for one.
    uses: AtomicU32,
    pub(super) question: Cell<Option<Question>>,
    /// Whom to tell: the dispatcher that asked last.
    notify: AtomicPtr<Dispatcher>,
    /// Status and bytes as a return has them, and the words.
    pub(super) answer: Cell<(u64, [u64; RETURN_WORDS])>,
    /// Pages for the bytes in and out, taken at the first use and kept while the process lives.
    pub(super) input: Cell<Option<Frame>>,
    pub(super) output: Cell<Option<Frame>>,
}

// SAFETY: the cells belong to whoever the state says (see the module), and every change of hands is a
// store and a load of the state, or goes through a mailbox.
unsafe impl Sync for RemoteCall {}

impl RemoteCall {
    const fn new(number: u32) -> Self {
        Self {
            state: AtomicU32::new(FREE),
            number: number % MOST_PLACES,
            poster: AtomicU64::new(0),
            uses: AtomicU32::new(0),
            question: Cell::new(None),
            notify: AtomicPtr::new(core::ptr::null_mut()),
            answer: Cell::new((0, [0; RETURN_WORDS])),
            input: Cell::new(None),
            output: Cell::new(None),
        }
    }

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
        serving(self.asker(), self.number)
    }

    /// The processor whose place it is.
    pub(super) fn asker(&self) -> u32 {
        let question = self.question.get();
        question.map_or(0, |question| question.caller.cpu())
    }

    /// Its number among that processor's places.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Puts a question into a place that [`Places::find`] has found; its processor looks at it.
    pub(super) fn ask(&self, question: Question) {
        let poster = question.caller_id.raw();
        self.question.set(Some(question));
        self.poster.store(poster, Ordering::Relaxed);
        let uses = self.uses.load(Ordering::Relaxed).wrapping_add(1);
        self.uses.store(uses, Ordering::Relaxed);
        self.state.store(POLLED, Ordering::Release);
    }

    /// What names the call in it, the place `number` of the dispatcher on `cpu`.
    pub(super) fn ticket(&self, cpu: u32, number: usize) -> u64 {
        let uses = self.uses.load(Ordering::Relaxed) & USES;
        u64::from(cpu) << 32 | u64::from(uses) << USES_SHIFT | number as u64
    }

    /// Whether `process` has posted it.
    pub(super) fn is_of(&self, process: ProcessId) -> bool {
        self.poster.load(Ordering::Relaxed) == process.raw()
    }

    /// Looks for the answer for a moment; false if nobody does so any more and there is none.
    pub(super) fn poll(&self) -> bool {
        for _ in 0..POLLS {
            if self.state.load(Ordering::Acquire) != POLLED {
                return true;
            }
            flush::answer_flushes();
            core::hint::spin_loop();
        }
        self.exchange(POLLED, POSTED).is_err()
    }

    /// Whether the answer is there.
    pub fn is_done(&self) -> bool {
        !matches!(self.state.load(Ordering::Acquire), POSTED | POLLED)
    }

    /// Nobody is told of the answer, but an activation that is stopped looks at the place.
    pub(super) fn tell_nobody(&self) {
        self.notify.store(core::ptr::null_mut(), Ordering::SeqCst);
    }

    pub(super) fn tell(&self, dispatcher: &'static Dispatcher) {
        let dispatcher = core::ptr::from_ref(dispatcher).cast_mut();
        self.notify.store(dispatcher, Ordering::SeqCst);
    }

    /// Who is to be told.
    pub(super) fn told(&self) -> Option<&'static Dispatcher> {
        // SAFETY: only `tell` stores there, and dispatchers are never freed.
        unsafe { self.notify.load(Ordering::SeqCst).as_ref() }
    }

    pub(super) fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::Acquire)
    }

    /// Takes the answer out: the place is the running processor's until it is given back, or kept.
    pub(super) fn begin_to_collect(&self) -> bool {
        self.exchange(DONE, COLLECTING).is_ok()
    }

    /// Leaves the answer for another time.
    pub(super) fn keep(&self) {
        self.state.store(DONE, Ordering::Release);
    }

    fn release_pages(&self) {
        for page in [&self.input, &self.output] {
            if let Some(frame) = page.take() {
                frames::free(frame);
            }
        }
    }
}

/// The places of one dispatcher; none until its first such call.
pub struct Calls(AtomicPtr<Places>);

/// What a dispatcher has once it made such a call.
pub(super) struct Places {
    calls: [RemoteCall; PLACES],
    /// Who waits for one of them.
    pub(super) waiters: Waiters,
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

impl Calls {
    /// None yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// The places, if there were calls before.
    pub(super) fn get(&self) -> Option<&'static Places> {
        // SAFETY: null, or a leaked box.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The places, made at the first use: the dispatcher's own processor asks.
    pub(super) fn get_or_make(&self) -> Result<&'static Places, Error> {
        if let Some(places) = self.get() {
            return Ok(places);
        }
        heap::ensure_room(false)?;
        let made = Box::leak(Box::new(Places::new(PerCpu::number())));
        self.0.store(made, Ordering::Release);
        Ok(made)
    }
}

/// How many places each processor's dispatchers have.
static MADE: [AtomicU32; CPUS] = [const { AtomicU32::new(0) }; CPUS];

impl Places {
    /// The places of a dispatcher of processor `cpu`.
    fn new(cpu: u32) -> Self {
        let first = MADE
            .get(cpu as usize)
            .map_or(0, |made| made.fetch_add(PLACES as u32, Ordering::Relaxed));
        Self {
            calls: core::array::from_fn(|place| RemoteCall::new(first.wrapping_add(place as u32))),
            waiters: Waiters::new(),
        }
    }

    /// The first place that `own`, the process as it is now, can have, and its number. Only the
    /// dispatcher's processor asks.
    pub(super) fn find(&'static self, own: ProcessId) -> Option<(usize, &'static RemoteCall)> {
        let mut places = self.calls.iter().enumerate();
        places.find(|(_, place)| match place.state.load(Ordering::SeqCst) {
            FREE => true,
            // Of an earlier incarnation, which ended while it was about to collect it.
            DONE => !place.is_of(own),
            _ => false,
        })
    }

    /// The place with the call that has this ticket.
    pub(super) fn of(&self, ticket: u64) -> Option<&RemoteCall> {
        let number = ticket as usize & (PLACES - 1);
        let place = self.calls.get(number)?;
        (place.ticket((ticket >> 32) as u32, number) == ticket).then_some(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RemoteCall> {
        self.calls.iter()
    }

    /// Leaves a place of these to whoever wants it.
    pub(super) fn give_back(&self, place: &RemoteCall) {
        place.state.store(FREE, Ordering::SeqCst);
        self.waiters.wake();
    }

    /// As [`Places::give_back`], by whoever has finished a call that was abandoned.
    pub(super) fn give_back_abandoned(&self, place: &RemoteCall) {
        place.release_pages();
        self.give_back(place);
    }

    /// Nobody will collect the answer of a call that was posted: the place is given back, now or when
    /// the call has been served.
    pub(super) fn let_go(&self, place: &RemoteCall) {
        if place.exchange(POSTED, ABANDONED).is_err() && place.exchange(DONE, FREE).is_ok() {
            self.waiters.wake();
        }
    }

    /// The process has ended.
    pub(super) fn abandon(&self) {
        for place in &self.calls {
            self.let_go(place);
            // Only this processor takes one that is free, and nobody uses it.
            if place.state.load(Ordering::Acquire) == FREE {
                place.release_pages();
            }
        }
        self.waiters.wake();
    }
}

/// A page of a place, taken if it has none.
pub(super) fn page(place: &Cell<Option<Frame>>) -> Result<Frame, Error> {
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
pub(super) unsafe fn bytes(place: &Cell<Option<Frame>>, length: usize) -> &mut [u8] {
    match place.get() {
        // SAFETY: the page is the place's while somebody has the place, and the contract says who.
        Some(frame) => unsafe {
            core::slice::from_raw_parts_mut(frame.pointer(), length.min(MESSAGE_BYTES))
        },
        None => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ProcessId = ProcessId::new(3, 2);
    const EARLIER: ProcessId = ProcessId::new(3, 1);

    fn places() -> &'static Places {
        Box::leak(Box::new(Places::new(0)))
    }

    /// As [`RemoteCall::ask`], until nobody looks at it any more.
    fn post(place: &RemoteCall, asker: ProcessId) {
        place.poster.store(asker.raw(), Ordering::Relaxed);
        place.state.store(POSTED, Ordering::SeqCst);
    }

    /// Posts calls until there is no place for one more; answers how many.
    fn fill(places: &'static Places, asker: ProcessId) -> usize {
        let mut count = 0;
        while let Some((_, place)) = places.find(asker) {
            post(place, asker);
            count += 1;
        }
        count
    }

    #[test]
    fn a_place_of_which_nobody_wants_the_answer_comes_back() {
        let places = places();
        assert_eq!(fill(places, NOW), PLACES);
        let [served, under_way, collected, ..] = &places.calls;
        // Served, but the asker could not wait for it.
        assert!(served.exchange(POSTED, DONE).is_ok());
        places.let_go(served);
        assert_eq!(places.find(NOW).map(|(number, _)| number), Some(0));
        // Whoever serves it finds that it was abandoned, and gives the place back.
        places.let_go(under_way);
        assert!(under_way.exchange(POSTED, DONE).is_err());
        places.give_back_abandoned(under_way);
        // An answer that is being collected stays, and is there again if its buffer waits for a page.
        assert!(collected.exchange(POSTED, DONE).is_ok() && collected.begin_to_collect());
        places.let_go(collected);
        collected.keep();
        assert!(collected.begin_to_collect());
        places.give_back(collected);
        assert_eq!(fill(places, NOW), 3);
    }

    #[test]
    fn the_ticket_of_a_call_that_is_over_names_no_other() {
        let places = places();
        let place = &places.calls[3];
        let uses = |uses| place.uses.store(uses, Ordering::Relaxed);
        for used in [1, 2, USES, u32::MAX] {
            uses(used);
            let ticket = place.ticket(5, 3);
            assert!(places.of(ticket).is_some_and(|of| core::ptr::eq(of, place)));
            assert!(
                places.of(ticket + 1).is_none() && places.of(ticket ^ 1 << USES_SHIFT).is_none()
            );
            uses(used.wrapping_add(1));
            assert!(places.of(ticket).is_none());
        }
    }

    #[test]
    fn a_process_leaves_all_its_places_to_the_next_incarnation() {
        let places = places();
        assert_eq!(fill(places, EARLIER), PLACES);
        let [done, collecting, served_later, ..] = &places.calls;
        assert!(done.exchange(POSTED, DONE).is_ok());
        // On another processor, which comes to let go of the process later.
        assert!(collecting.exchange(POSTED, DONE).is_ok() && collecting.begin_to_collect());
        places.abandon();
        collecting.keep();
        assert!(served_later.exchange(POSTED, DONE).is_err());
        assert_eq!(fill(places, NOW), 2);
        for place in &places.calls {
            if place.exchange(ABANDONED, ABANDONED).is_ok() {
                places.give_back_abandoned(place);
            }
        }
        assert_eq!(fill(places, NOW), PLACES - 2);
    }
}
