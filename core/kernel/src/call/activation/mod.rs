//! Activations: what runs on a CPU, with the calls it is in.
//!
//! An activation starts in its home dispatcher; each call it makes to another process pushes a
//! record and each return pops one, so that the callee runs on the caller's time. It belongs to one
//! CPU, which alone touches it, with interrupts off.

mod ending;
mod state;
mod watched;

use alloc::boxed::Box;
use core::cell::Cell;
use core::mem::offset_of;

use kiln_object::{Error, ProcessId};

use super::entry::CallFrame;
use super::extended_state::{self, Saved};
use crate::process::Dispatcher;
use crate::schedule::page_wait::{KeptAnswer, PageWait};
use crate::schedule::remote::RemoteCall;

pub use state::{Context, Entry, State, Then, Until};
pub use watched::{Handed, Watched};

/// How deep calls may nest: program, memory file system, image root, and room for more.
pub const DEPTH: usize = 8;

/// What is needed to go back to a caller.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Record {
    /// Who called; `None` once its process has ended.
    pub caller: Option<&'static Dispatcher>,
    /// Where the caller goes on.
    pub rip: u64,
    /// With which stack.
    pub rsp: u64,
    /// With which thread pointer.
    pub thread_pointer: u64,
    /// Where the caller wants the bytes out.
    pub output: u64,
    /// Its vector state.
    pub extended: Saved,
    /// How many bytes it takes.
    pub output_bytes: u16,
    /// The bit of the callee's call slot; none if the slot is nobody's any more.
    pub slot: u16,
}

/// One place of the stack of calls: a cache line.
#[derive(Default)]
#[repr(C, align(64))]
struct Place {
    record: Cell<Record>,
    /// Memory for the vector state of the caller at this depth; zero until the first use.
    room: Cell<u64>,
}

/// Bytes of the stack of calls that each call takes.
pub const PLACE_BYTES: usize = size_of::<Place>();

const _: () = assert!(PLACE_BYTES == 64);

/// One activation.
pub struct Activation {
    home: Cell<&'static Dispatcher>,
    owner: Cell<ProcessId>,
    /// Bytes of `places` in use: what the straight line adds to its address.
    used: Cell<usize>,
    /// The last place is for a wait in the innermost call, which leaves no record.
    places: [Place; DEPTH + 1],
    state: Cell<State>,
    /// The registers of the call that it makes again, in [`State::Calling`].
    call: Cell<CallFrame>,
    busy_ns: Cell<u64>,
    since_ns: Cell<u64>,
    context: Cell<Context>,
    /// Callers whose calls are watched, by depth: their records name nobody, so that a return finds
    /// its way here. Meaningless for a record that names somebody.
    watched: [Cell<Watched>; DEPTH],
    timed_out: Cell<bool>,
    /// When whoever waits has waited too long (monotonic ns); meaningless while nobody does.
    give_up: Cell<u64>,
    /// Until when it waits for room (monotonic ns), and in which process: see
    /// [`Activation::wait_for_room`].
    room_wait: Cell<(u64, ProcessId)>,
    /// The call for another processor that it serves.
    remote: Cell<Option<&'static RemoteCall>>,
    /// What the caller there was given.
    handed_afar: Cell<Handed>,
    domain: Cell<u8>,
    for_calls: bool,
    /// What it waits for in [`State::Faulted`].
    page_wait: Cell<Option<PageWait>>,
    /// Bytes that are to be copied to its process once the page is there.
    answer: Cell<Option<Box<KeptAnswer>>>,
}

/// Offsets in an [`Activation`] for the straight line; those of records are of the first.
pub mod offset {
    use super::{Activation, Place, Record, Saved, offset_of};

    /// Bytes of the stack of calls in use.
    pub const USED: usize = offset_of!(Activation, used);
    /// The first place.
    pub const PLACES: usize = offset_of!(Activation, places);
    /// Memory for vector state.
    pub const ROOM: usize = PLACES + offset_of!(Place, room);
    /// [`Record::caller`].
    pub const CALLER: usize = PLACES + offset_of!(Record, caller);
    /// [`Record::rip`].
    pub const RIP: usize = PLACES + offset_of!(Record, rip);
    /// [`Record::rsp`].
    pub const RSP: usize = PLACES + offset_of!(Record, rsp);
    /// [`Record::thread_pointer`].
    pub const THREAD_POINTER: usize = PLACES + offset_of!(Record, thread_pointer);
    /// [`Record::output`].
    pub const OUTPUT: usize = PLACES + offset_of!(Record, output);
    /// `Saved::area`.
    pub const AREA: usize = PLACES + offset_of!(Record, extended) + offset_of!(Saved, area);
    /// `Saved::mxcsr`.
    pub const MXCSR: usize = PLACES + offset_of!(Record, extended) + offset_of!(Saved, mxcsr);
    /// [`Record::output_bytes`].
    pub const OUTPUT_BYTES: usize = PLACES + offset_of!(Record, output_bytes);
    /// [`Record::slot`].
    pub const SLOT: usize = PLACES + offset_of!(Record, slot);

    const _: () = assert!(offset_of!(Place, record) == 0);
}

/// Looks at what is in a cell, if anything is, and leaves it there.
pub(crate) fn peek<T, R>(cell: &Cell<Option<T>>, look: impl FnOnce(&T) -> R) -> Option<R> {
    let content = cell.take();
    let seen = content.as_ref().map(look);
    cell.set(content);
    seen
}

// SAFETY: an activation is used by its own CPU alone, inside the kernel, which is not interrupted.
unsafe impl Sync for Activation {}
// SAFETY: as above.
unsafe impl Send for Activation {}

impl Drop for Activation {
    fn drop(&mut self) {
        for place in &self.places {
            extended_state::give_back(&place.room);
        }
    }
}

impl Activation {
    /// An activation that will enter `home` at `entry`.
    #[must_use]
    pub fn new(home: &'static Dispatcher, entry: Entry) -> Box<Self> {
        let mut made = Box::<Self>::new_uninit();
        let place = made.as_mut_ptr();
        // It is large and nearly all zero: it is made where it stays.
        // SAFETY: zeroes are no activity, no caller, no memory and a number; what has no such value is
        // written.
        unsafe {
            place.write_bytes(0, 1);
            (&raw mut (*place).home).write(Cell::new(home));
            (&raw mut (*place).owner).write(Cell::new(home.process().id()));
            (&raw mut (*place).state).write(Cell::new(State::New { entry }));
            (&raw mut (*place).give_up).write(Cell::new(u64::MAX));
            (&raw mut (*place).room_wait).write(Cell::new((u64::MAX, ProcessId::NONE)));
            (&raw mut (*place).remote).write(Cell::new(None));
            (&raw mut (*place).handed_afar).write(Cell::new(Handed::default()));
            (&raw mut (*place).page_wait).write(Cell::new(None));
            (&raw mut (*place).answer).write(Cell::new(None));
            (&raw mut (*place).domain).write(Cell::new(home.process().domain()));
            made.assume_init()
        }
    }

    /// An activation for calls of other processors, which begin later.
    #[must_use]
    pub fn for_calls(callee: &'static Dispatcher) -> Box<Self> {
        let nowhere = Entry {
            address: 0,
            stack: 0,
            argument: 0,
        };
        let mut made = Self::new(callee, nowhere);
        made.for_calls = true;
        made
    }

    /// Lets it serve `call` in `callee`, in the resource domain of that number; it does nothing else.
    pub fn begin_call(&self, callee: &'static Dispatcher, call: &'static RemoteCall, domain: u8) {
        self.home.set(callee);
        self.owner.set(callee.process().id());
        self.used.set(0);
        self.busy_ns.set(0);
        self.since_ns.set(0);
        self.timed_out.set(false);
        self.give_up.set(u64::MAX);
        self.watched[0].take();
        self.handed_afar.take();
        self.domain.set(domain);
        self.remote.set(Some(call));
        self.state.set(State::Called { call, room: None });
    }

    /// Whether it is one for calls of other processors.
    #[must_use]
    pub fn is_for_calls(&self) -> bool {
        self.for_calls
    }

    /// Whether nothing is left to run.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // SAFETY: this CPU alone uses the cell, and the reference is gone at once.
        matches!(unsafe { &*self.state.as_ptr() }, State::Ended)
    }

    /// The number of its resource domain.
    #[must_use]
    pub fn domain(&self) -> u8 {
        self.domain.get()
    }

    /// The call for another processor that it serves, which is somebody else's business from now on.
    #[must_use]
    pub fn take_call(&self) -> Option<&'static RemoteCall> {
        self.remote.take()
    }

    /// The call for another processor that it serves.
    #[must_use]
    pub fn remote_call(&self) -> Option<&'static RemoteCall> {
        self.remote.get()
    }

    /// Whether it serves a call for another processor.
    #[must_use]
    pub fn serves_remotely(&self) -> bool {
        self.remote_call().is_some()
    }

    /// What it was stopped with, if it is preempted.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.get()
    }

    /// Keeps what it is stopped with.
    pub fn set_context(&self, context: Context) {
        self.context.set(context);
    }

    /// When it last began to run, or stopped (monotonic ns).
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since_ns.get()
    }

    /// Whether the process that it was made for lives, and not a later one in its place.
    #[must_use]
    pub fn is_of_living(&self) -> bool {
        let process = self.home.get().process();
        process.id() == self.owner.get() && !process.has_ended()
    }

    /// The dispatcher it started in.
    #[must_use]
    pub fn home(&self) -> &'static Dispatcher {
        self.home.get()
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Says what it is doing.
    pub fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Says what it waits for.
    pub fn set_page_wait(&self, wait: PageWait) {
        wait.count();
        self.page_wait.set(Some(wait));
    }

    /// The address of the page for which it waits; zero if it does not.
    #[must_use]
    pub fn awaited_address(&self) -> u64 {
        peek(&self.page_wait, PageWait::address).unwrap_or(0)
    }

    /// When it goes on at the latest, or has waited too long (monotonic ns); zero if it can go on now.
    #[must_use]
    pub fn page_deadline(&self) -> u64 {
        peek(&self.page_wait, PageWait::deadline)
            .unwrap_or(0)
            .min(self.give_up())
    }

    /// When the pager of the page that it waits for has taken too long (monotonic ns); `u64::MAX` for never.
    #[must_use]
    pub fn page_due(&self) -> u64 {
        peek(&self.page_wait, PageWait::due).unwrap_or(u64::MAX)
    }

    /// Whether it waits for a page that is still coming at `now` (monotonic ns).
    #[must_use]
    pub fn waits_for_page(&self, now: u64) -> bool {
        peek(&self.page_wait, |wait| wait.deadline() > now).unwrap_or(false)
    }

    /// Keeps bytes for its process.
    pub fn set_answer(&self, answer: Option<Box<KeptAnswer>>) {
        self.answer.set(answer);
    }

    /// Whether bytes are kept.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        peek(&self.answer, |_| ()).is_some()
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn take_answer(&self) -> Option<Box<KeptAnswer>> {
        self.answer.take()
    }

    /// The record that was popped last.
    #[must_use]
    pub fn popped(&self) -> Option<Record> {
        Some(self.places.get(self.depth())?.record.get())
    }

    /// The registers of the call that it makes again.
    #[must_use]
    pub fn call(&self) -> CallFrame {
        self.call.get()
    }

    /// Notes the registers of the call that it makes again.
    pub fn set_call(&self, call: CallFrame) {
        self.call.set(call);
    }

    /// Counts time from `now` (monotonic ns) on: it runs.
    pub fn begin(&self, now: u64) {
        self.since_ns.set(now);
    }

    /// Counts time until `now`: it runs no longer.
    pub fn pause(&self, now: u64) {
        self.busy_ns.set(self.busy(now));
        self.since_ns.set(now);
    }

    /// Nanoseconds that it ran until `now`, the calls that it made included; it runs.
    #[must_use]
    pub fn busy(&self, now: u64) -> u64 {
        self.busy_ns.get() + now.saturating_sub(self.since_ns.get())
    }

    /// Nanoseconds that it ran until it was last counted.
    #[must_use]
    pub fn busy_so_far(&self) -> u64 {
        self.busy_ns.get()
    }

    /// How many calls it is in.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.used.get() / PLACE_BYTES
    }

    /// Whether another call still fits.
    #[inline(always)]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.used.get() < DEPTH * PLACE_BYTES
    }

    /// Hides the running process's vector state from the call that is about to be pushed, or from
    /// whatever runs while this one waits.
    ///
    /// # Errors
    /// `Exhausted` without memory to keep it.
    #[inline(always)]
    pub fn hide_extended_state(&self) -> Result<Saved, Error> {
        let place = self.places.get(self.depth()).ok_or(Error::TooDeep)?;
        extended_state::hide(&place.room)
    }

    /// Notes a call; the caller asked [`Activation::has_room`].
    #[inline(always)]
    pub fn push(&self, record: Record) {
        if let Some(place) = self.places.get(self.depth()) {
            place.record.set(record);
            self.used.set(self.used.get() + PLACE_BYTES);
        }
    }

    /// Takes the last call back; `None` if it is in none. The record's caller may have ended.
    #[inline(always)]
    pub fn pop(&self) -> Option<Record> {
        let used = self.used.get().checked_sub(PLACE_BYTES)?;
        self.used.set(used);
        let mut record = self.places.get(self.depth())?.record.get();
        if record.caller.is_none()
            && let Some(watched) = self.watched.get(self.depth())
        {
            record.caller = watched.take().caller;
        }
        Some(record)
    }

    /// When whoever waits has waited too long (monotonic ns).
    #[must_use]
    pub fn give_up(&self) -> u64 {
        self.give_up.get()
    }

    /// Says when whoever is about to wait has waited too long (monotonic ns; `u64::MAX` for never).
    pub fn set_give_up(&self, time: u64) {
        self.give_up.set(time);
    }

    /// Who called at that depth, from 0, if he lives.
    #[must_use]
    pub fn caller(&self, depth: usize) -> Option<&'static Dispatcher> {
        let record = self.places.get(depth)?.record.get();
        record.caller.or(self.watched.get(depth)?.get().caller)
    }

    /// Who called at that depth, and where he goes on.
    #[must_use]
    pub fn call_site(&self, depth: usize) -> Option<(&'static Dispatcher, u64)> {
        let record = self.places.get(depth)?.record.get();
        Some((self.caller(depth)?, record.rip))
    }

    /// Who serves the call of that depth, from 0, if he lives: who made the next one, and `innermost` if
    /// nobody did.
    #[must_use]
    pub fn server(
        &self,
        depth: usize,
        innermost: Option<&'static Dispatcher>,
    ) -> Option<&'static Dispatcher> {
        if depth + 1 == self.depth() {
            innermost
        } else {
            self.caller(depth + 1)
        }
    }

    /// The bit of the callee's slot in the call of that depth, from 0.
    #[must_use]
    pub fn slot(&self, depth: usize) -> Option<u16> {
        Some(self.places.get(depth)?.record.get().slot)
    }
}
