//! Calls whose time is counted, or whose return somebody waits for.
//!
//! The record of such a call names no caller, so that the straight line of the return leaves it to the
//! general way, which finds him here.

use core::num::NonZeroU64;
use core::ptr;

use kiln_object::{ObjectName, ProcessId};

use super::Activation;
use crate::process::{Dispatcher, Process};

/// As [`Record::slot`](super::Record::slot), which is one bit or none: no call was made at that depth since
/// somebody waited for room there.
const NO_SLOT: u16 = u16::MAX;

/// Names that a caller was given while his call is served, at his cost: he knows none before it is answered.
pub type Handed = [Option<NonZeroU64>; 4];

/// A call whose time is counted, or whose caller was given something.
#[derive(Clone, Copy, Default)]
pub struct Watched {
    /// Who called; `None` if the record's caller has ended.
    pub caller: Option<&'static Dispatcher>,
    /// When the activation had used so much processor time the call was first seen, in ns.
    pub since_busy_ns: u64,
    /// When its callee first waited (monotonic ns); zero if it has not.
    pub waits_since_ns: u64,
    /// What its caller has been given.
    pub handed: Handed,
}

impl Activation {
    /// Watches the call of that depth, from 0, if its caller lives: answers the processor time that the
    /// activation has used since the call was first watched, `busy` being what it has used in all.
    pub fn watch(&self, depth: usize, busy: u64) -> Option<u64> {
        let (place, watched) = (self.places.get(depth)?, self.watched.get(depth)?);
        let mut record = place.record.get();
        if record.caller.is_some() {
            watched.set(Watched {
                caller: record.caller.take(),
                since_busy_ns: busy,
                ..Watched::default()
            });
            place.record.set(record);
        }
        let Watched {
            caller,
            since_busy_ns,
            ..
        } = watched.get();
        caller.map(|_| busy.saturating_sub(since_busy_ns))
    }

    /// Watches the innermost call, whose callee is about to wait at `now` (monotonic ns): answers when it
    /// first did. `None` if it is in no call.
    pub fn watch_wait(&self, now: u64) -> Option<u64> {
        let innermost = self.depth().checked_sub(1)?;
        let _ = self.watch(innermost, self.busy(now));
        let place = self.watched.get(innermost)?;
        let mut watched = place.get();
        if watched.waits_since_ns == 0 {
            watched.waits_since_ns = now;
            place.set(watched);
        }
        Some(watched.waits_since_ns)
    }

    /// The innermost call of `process` that is served here; `None` if it is only on another processor that it
    /// waits.
    fn call_of(&self, process: &Process) -> Option<usize> {
        let serves = |depth: &usize| {
            let caller = self.caller(*depth);
            caller.is_some_and(|caller| ptr::eq(caller.process(), process))
        };
        (0..self.depth()).rev().find(serves)
    }

    /// Does something with the list of what `process` was given while its call is served here.
    fn change_handed<R>(&self, process: &Process, change: impl FnOnce(&mut Handed) -> R) -> R {
        let Some(depth) = self.call_of(process) else {
            let mut handed = self.handed_afar.get();
            let result = change(&mut handed);
            self.handed_afar.set(handed);
            return result;
        };
        let _ = self.watch(depth, self.busy_so_far());
        let place = &self.watched[depth];
        let mut watched = place.get();
        let result = change(&mut watched.handed);
        place.set(watched);
        result
    }

    /// Whether [`Activation::hand`] has room for one more name in this call of `process`.
    #[must_use]
    pub fn has_room_to_hand(&self, process: &Process) -> bool {
        self.change_handed(process, |handed| handed.contains(&None))
    }

    /// Notes that `process` was given `name` while its call is served here. If that is never answered it is
    /// taken back, as nobody would.
    pub fn hand(&self, process: &Process, name: ObjectName) {
        self.change_handed(process, |handed| {
            if let Some(place) = handed.iter_mut().find(|place| place.is_none()) {
                *place = NonZeroU64::new(name.raw());
            }
        });
    }

    /// Takes what was given to the caller of the innermost call.
    #[must_use]
    pub fn take_handed(&self) -> Handed {
        let innermost = self.depth().wrapping_sub(1);
        let places = self.places.get(innermost).zip(self.watched.get(innermost));
        match places {
            Some((place, watched)) if place.record.get().caller.is_none() => {
                let mut content = watched.get();
                let handed = core::mem::take(&mut content.handed);
                watched.set(content);
                handed
            }
            _ => Handed::default(),
        }
    }

    /// Takes what was given to the caller on another processor.
    #[must_use]
    pub fn take_handed_afar(&self) -> Handed {
        self.handed_afar.take()
    }

    /// Counts the calls around the innermost anew, the activation having used `busy` ns so far: their
    /// callees are not to blame for the time that it took.
    pub fn excuse_outer(&self, busy: u64) {
        let outer = self.depth().saturating_sub(1);
        for watched in self.watched.iter().take(outer) {
            watched.set(Watched {
                since_busy_ns: busy,
                waits_since_ns: 0,
                ..watched.get()
            });
        }
    }

    /// Has every return to a caller that `server` may serve take the general way, `innermost` being who
    /// serves the innermost call, or made none; the activation has used `busy` ns.
    pub fn watch_returns_from(
        &self,
        server: &Dispatcher,
        innermost: Option<&'static Dispatcher>,
        busy: u64,
    ) {
        for depth in 0..self.depth() {
            let serves = self.server(depth, innermost);
            if serves.is_none_or(|serves| ptr::eq(serves, server)) {
                self.watch(depth, busy);
            }
        }
    }

    /// Its innermost server waits for room in `target`, until `until` (monotonic ns): answers when the wait
    /// is over at the latest. That is the time of its first attempt if this is another one at the same call.
    ///
    /// Room may come and be somebody else's again and again; so the time stays until a call has been made.
    /// That fills the record at this depth, in which a slot that is none says until then that it was not.
    pub fn wait_for_room(&self, target: ProcessId, until: u64) -> u64 {
        let Some(place) = self.places.get(self.depth()) else {
            return until;
        };
        let mut record = place.record.get();
        let (first, whose) = self.room_wait.get();
        if record.slot == NO_SLOT && whose == target {
            return first;
        }
        record.slot = NO_SLOT;
        place.record.set(record);
        self.room_wait.set((until, target));
        until
    }

    /// It does not wait for room any more, or did not need to.
    pub fn end_wait_for_room(&self) {
        self.room_wait.set((u64::MAX, ProcessId::NONE));
    }
}
