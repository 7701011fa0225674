//! Which methods are called, how often, and how long that takes: by events of calls.
//!
//! A call and its return are in the caller's ring, one after the other, so they are matched there: by the
//! depth of the call, or by its place if another processor serves it.

use std::collections::HashMap;

use kiln_object::ProcessId;
use kiln_object::trace::{Event, Groups, Kind};

use crate::trace::directory::Clock;
use crate::trace::names::Names;
use crate::trace::objects::{Called, Objects};
use crate::trace::rings::Noted;

/// The events that are needed.
pub const GROUPS: Groups = Groups::CALLS.union(Groups::KERNEL_CALLS);

/// What was done with one method in an interval. Rates are per second, shares from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Method {
    /// The process that serves it.
    pub process: u64,
    /// Its name.
    pub server: String,
    /// The names of interface and method.
    pub name: String,
    /// Calls.
    pub calls: f64,
    /// Those that were answered with an error.
    pub errors: f64,
    /// How long a call took, waits and calls in it included: nanoseconds.
    pub mean_ns: f64,
    /// Share of the interval for which somebody was in the method; more than 1 if several were.
    pub share: f64,
}

/// A method of an object.
type Key = (Called, u16);

/// Where a return belongs to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// A call of a process on a processor, with how many calls it is in.
    Depth(u32, u64, u32),
    /// A call of the kernel by a process on a processor.
    Kernel(u32, u64),
    /// A place of a processor for calls to others.
    Posted(u32, u32),
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    calls: u64,
    returns: u64,
    errors: u64,
    ns: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.returns += other.returns;
        self.errors += other.errors;
        self.ns = self.ns.saturating_add(other.ns);
    }
}

/// Follows calls and counts them.
#[derive(Debug, Default)]
pub struct Methods {
    /// What is called is looked up when it is shown: it may be noted after its first call is read.
    objects: Objects,
    open: HashMap<Place, (u64, Key)>,
    tallies: HashMap<Key, Tally>,
}

impl Methods {
    /// Counts an event.
    pub fn note(&mut self, noted: &Noted, clock: Clock) {
        let (cpu, owner, event) = (noted.cpu, noted.owner, &noted.event);
        let (method, upper) = (event.small as u16, event.small >> 16);
        let kind = Kind::from_number(event.kind);
        self.objects.note(noted);
        if noted.is_user {
            return;
        }
        match kind {
            Some(Kind::Call) => {
                let key = (Called::Served(event.a, event.b), method);
                self.begin(Place::Depth(cpu, owner, upper), event, key);
            }
            Some(Kind::Post) => {
                let key = (Called::Served(event.a, event.b), method);
                self.begin(Place::Posted(cpu, upper), event, key);
            }
            Some(Kind::KernelCall) => {
                let key = (Called::Kernel(owner, event.b), method);
                self.begin(Place::Kernel(cpu, owner), event, key);
            }
            Some(Kind::Return) => self.end(Place::Depth(cpu, owner, upper), event, clock),
            Some(Kind::Collect) => self.end(Place::Posted(event.a as u32, upper), event, clock),
            Some(Kind::KernelReturn) => self.end(Place::Kernel(cpu, owner), event, clock),
            _ => {}
        }
    }

    fn begin(&mut self, place: Place, event: &Event, key: Key) {
        self.open.insert(place, (event.stamp, key));
        self.tallies.entry(key).or_default().calls += 1;
    }

    fn end(&mut self, place: Place, event: &Event, clock: Clock) {
        let Some((begun, key)) = self.open.remove(&place) else {
            return;
        };
        let tally = self.tallies.entry(key).or_default();
        tally.returns += 1;
        tally.errors += u64::from(event.small & 0xffff != 0);
        let taken = clock.ns(event.stamp).saturating_sub(clock.ns(begun));
        tally.ns = tally.ns.saturating_add(taken);
    }

    /// What was counted in an interval of `seconds`, the busiest first; `server` names processes.
    pub fn take(
        &mut self,
        seconds: f64,
        names: &Names,
        server: impl Fn(u64) -> String,
    ) -> Vec<Method> {
        let mut by_name = HashMap::<(u64, String), Tally>::new();
        for ((called, number), tally) in std::mem::take(&mut self.tallies) {
            let process = match called {
                Called::Served(process, _) => process,
                Called::Kernel(..) => ProcessId::KERNEL.raw(),
            };
            let name = names.method(self.objects.interface(called), number);
            by_name.entry((process, name)).or_default().add(tally);
        }
        let method = |((process, name), tally): ((u64, String), Tally)| Method {
            process,
            server: server(process),
            name,
            calls: tally.calls as f64 / seconds,
            errors: tally.errors as f64 / seconds,
            mean_ns: tally.ns as f64 / tally.returns.max(1) as f64,
            share: tally.ns as f64 / 1e9 / seconds,
        };
        let mut methods: Vec<Method> = by_name.into_iter().map(method).collect();
        methods.sort_by(|one, other| {
            let rest = || (&one.server, &one.name).cmp(&(&other.server, &other.name));
            other
                .share
                .total_cmp(&one.share)
                .then(other.calls.total_cmp(&one.calls))
                .then_with(rest)
        });
        methods
    }
}
