//! From events in rings to spans of time on tracks.
//!
//! Each processor's events are put in the order of their stamps and followed one by one ([`follow`]):
//! which activation runs, and which calls it is in. Calls between processors are found in all of them
//! together ([`remote`]). Spans on a track are always nested whatever the events say ([`spans`]): what
//! is not ended when something around it ends, ends with it.

mod follow;
mod labels;
mod remote;
mod spans;
#[cfg(test)]
mod tests;
mod user;

use kiln_object::trace::Kind;

use super::names::Names;
use super::recorder::{Noted, Recording};
use follow::{Follower, Processor};

/// What runs on a processor and makes calls there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Activation {
    /// The process in which it started.
    pub home: u64,
    /// The processor.
    pub cpu: u32,
    /// The call of another processor that it serves, as `kiln_object::trace::serving` has it; 0 if it is
    /// the process's own.
    pub serves: u32,
}

impl Activation {
    /// The one with which a process begins on a processor.
    fn own(home: u64, cpu: u32) -> Self {
        Self {
            home,
            cpu,
            serves: 0,
        }
    }
}

/// Where something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// What runs on a processor.
    Processor(u32),
    /// The interrupts of a processor.
    Interrupts(u32),
    /// What an activation does.
    Activation(Activation),
    /// What a process serves for an activation.
    Served(u64, Activation),
    /// The calls of a process to other processors that are in that place of that processor.
    Posted(u64, u32, u32),
    /// What a thread of a process notes itself.
    Thread(u64, u32),
}

/// An arrow from one item to another, by a number that both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It leads away from the item.
    From(u64),
    /// It leads to the item.
    To(u64),
}

/// Something to be shown. Times are nanoseconds since the kernel's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where.
    pub track: Track,
    /// What.
    pub name: String,
    /// Which kind of thing.
    pub category: &'static str,
    /// When it began.
    pub start: u64,
    /// When it ended; none for a point in time.
    pub end: Option<u64>,
    /// How many spans it is in.
    pub depth: usize,
    /// What is known of it.
    pub arguments: Vec<(&'static str, String)>,
    /// What it leads to, or what leads to it.
    pub flow: Option<Flow>,
}

impl Item {
    fn new(track: Track, name: String, category: &'static str, start: u64) -> Self {
        Self {
            track,
            name,
            category,
            start,
            end: None,
            depth: 0,
            arguments: Vec::new(),
            flow: None,
        }
    }

    /// The same with what is known of it.
    fn with(self, arguments: Vec<(&'static str, String)>) -> Self {
        Self { arguments, ..self }
    }

    /// The same as a span until then.
    fn until(self, end: u64) -> Self {
        Self {
            end: Some(end.max(self.start)),
            ..self
        }
    }
}

/// All items of a recording, in an order in which what is around comes first.
pub fn items(recording: &Recording, names: &Names) -> Vec<Item> {
    let trusted = recording.events.iter().filter(|noted| !noted.is_user);
    let last = trusted.map(|noted| noted.event.stamp).max().unwrap_or(0);
    let mut events: Vec<&Noted> = recording
        .events
        .iter()
        .filter(|noted| noted.event.stamp <= last)
        .collect();
    events.sort_by_key(|noted| (noted.cpu, noted.event.stamp));
    let tail = u64::try_from(recording.tail.as_nanos()).unwrap_or(u64::MAX);
    let end = recording.clock.ns(last).saturating_add(tail);
    let mut follower = Follower::new(recording, names, &events, end);
    for of_cpu in events.chunk_by(|one, other| one.cpu == other.cpu) {
        let mut processor = Processor::default();
        let cpu = of_cpu.first().map_or(0, |noted| noted.cpu);
        for noted in of_cpu {
            if let Some(kind) = Kind::from_number(noted.event.kind) {
                follower.follow(&mut processor, noted, kind);
            }
        }
        follower.run(&mut processor, cpu, None, end);
        follower.end_interrupt(&mut processor, end);
    }
    let mut items = follower.finish(end);
    items.sort_by(|one, other| {
        let key = |item: &Item| (item.start, std::cmp::Reverse(item.end), item.depth);
        key(one).cmp(&key(other))
    });
    items
}
