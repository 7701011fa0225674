//! Looks at a machine and makes a picture of each interval.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kiln_object::trace::Groups;
use kiln_object::trace::directory::{COUNTERS, Counter};

use super::methods::{self, Method, Methods};
use crate::run::{Memory, Watch};
use crate::trace::directory::{Entry, Subject};
use crate::trace::names::Names;
use crate::trace::rings::Rings;

/// What one process did in an interval. Rates are per second, shares from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Its identity.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it has ended.
    pub ended: bool,
    /// Bytes of memory that only it uses.
    pub memory: u64,
    /// Share of each processor's time, by the processor's number.
    pub processors: BTreeMap<u32, f64>,
    /// Calls that it made to other processes.
    pub calls_out: f64,
    /// Calls that it served.
    pub calls_in: f64,
    /// Calls that it made to the kernel's objects.
    pub kernel_calls: f64,
    /// Its exceptions, page faults above all.
    pub faults: f64,
}

impl Process {
    /// Its share of all processors' time together, where one processor is 1.
    pub fn processor_share(&self) -> f64 {
        self.processors.values().sum()
    }
}

/// What a machine did in an interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// Seconds that the machine has run.
    pub seconds: f64,
    /// Length of the interval in seconds.
    pub interval: f64,
    /// Share of each processor's time in which it had nothing to do.
    pub idle: BTreeMap<u32, f64>,
    /// The processes, the busiest first.
    pub processes: Vec<Process>,
    /// The methods that were called, the busiest first, if they are asked for.
    pub methods: Option<Vec<Method>>,
    /// Events of calls that were overwritten before they were counted, so far.
    pub lost: u64,
}

/// What is to be shown, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Time between two pictures.
    pub interval: Duration,
    /// End the machine after the first.
    pub once: bool,
    /// Show methods, too.
    pub methods: bool,
}

/// Who ran on a processor at the looks of an interval.
#[derive(Debug, Default)]
struct Looks {
    all: u64,
    idle: u64,
    by_token: HashMap<u64, u64>,
}

/// Watches a machine and shows a picture of each interval.
pub struct Sampler<F> {
    names: Names,
    asked: Asked,
    show: F,
    rings: Rings,
    methods: Methods,
    looks: BTreeMap<u32, Looks>,
    /// The counters of each entry at the last picture.
    counted: Vec<[u64; COUNTERS]>,
    started: Option<Instant>,
    since: Option<Instant>,
    pictures: u64,
}

impl<F: FnMut(&Picture) -> bool> Sampler<F> {
    /// A sampler that hands a picture of each interval to `show`, which says whether to go on.
    pub fn new(names: Names, asked: Asked, show: F) -> Self {
        let groups = if asked.methods {
            methods::GROUPS
        } else {
            Groups::empty()
        };
        Self {
            rings: Rings::new(groups, None, names.kernel_data()),
            names,
            asked,
            show,
            methods: Methods::default(),
            looks: BTreeMap::new(),
            counted: Vec::new(),
            started: None,
            since: None,
            pictures: 0,
        }
    }

    fn sample(&mut self, memory: &dyn Memory) {
        for entry in &self.rings.directory.entries {
            if let Subject::Processor { current } = entry.subject
                && let Some(token) = memory.word(current)
            {
                let looks = self.looks.entry(entry.cpu).or_default();
                looks.all += 1;
                if token == 0 {
                    looks.idle += 1;
                } else {
                    *looks.by_token.entry(token).or_default() += 1;
                }
            }
        }
    }

    /// Shows a picture; false if nobody wants another.
    fn picture(&mut self, memory: &dyn Memory, now: Instant) -> bool {
        let interval = self.since.map_or(Duration::ZERO, |since| now - since);
        let seconds = interval.as_secs_f64().max(1e-6);
        let mut processes: BTreeMap<u64, Process> = BTreeMap::new();
        let entries = &self.rings.directory.entries;
        self.counted.resize(entries.len(), [0; COUNTERS]);
        for (entry, before) in entries.iter().zip(&mut self.counted) {
            let Subject::Dispatcher { token, pages } = entry.subject else {
                continue;
            };
            let counters = entry.counters(memory);
            let of = |counter: Counter| {
                counters[counter as usize].saturating_sub(before[counter as usize]) as f64 / seconds
            };
            let process = processes
                .entry(entry.process)
                .or_insert_with(|| first(&self.names, entry, memory, pages));
            process.ended = counters[Counter::Ended as usize] != 0;
            process.calls_out += of(Counter::CallsOut);
            process.calls_in += of(Counter::CallsIn);
            process.kernel_calls += of(Counter::KernelCalls);
            process.faults += of(Counter::Faults);
            if let Some(looks) = self.looks.get(&entry.cpu) {
                let found = looks.by_token.get(&token).copied().unwrap_or(0);
                let share = found as f64 / looks.all.max(1) as f64;
                *process.processors.entry(entry.cpu).or_default() += share;
            }
            *before = counters;
        }
        let mut processes: Vec<Process> = processes.into_values().collect();
        processes.sort_by(|one, other| {
            let (one_share, other_share) = (one.processor_share(), other.processor_share());
            other_share
                .total_cmp(&one_share)
                .then(one.id.cmp(&other.id))
        });
        let idle = self
            .looks
            .iter()
            .map(|(cpu, looks)| (*cpu, looks.idle as f64 / looks.all.max(1) as f64));
        let server = |process: u64| match entries.iter().find(|entry| entry.process == process) {
            Some(entry) => self.names.process(&entry.name),
            None => "?".to_owned(),
        };
        let methods = self
            .asked
            .methods
            .then(|| self.methods.take(seconds, &self.names, server));
        let picture = Picture {
            seconds: self.started.map_or(0.0, |at| (now - at).as_secs_f64()),
            interval: seconds,
            idle: idle.collect(),
            processes,
            methods,
            lost: self.rings.lost(),
        };
        self.looks.clear();
        self.since = Some(now);
        self.pictures += 1;
        (self.show)(&picture) && !self.asked.once
    }
}

/// A process of which nothing has been counted yet.
fn first(names: &Names, entry: &Entry, memory: &dyn Memory, pages: u64) -> Process {
    let pages = memory.word(pages).unwrap_or(0);
    Process {
        id: entry.process,
        name: names.process(&entry.name),
        memory: pages.saturating_mul(4096),
        ..Process::default()
    }
}

impl<F: FnMut(&Picture) -> bool + Send> Watch for Sampler<F> {
    fn command_words(&self) -> Vec<String> {
        self.rings.command_words()
    }

    fn period(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn look(&mut self, memory: &dyn Memory) -> bool {
        let now = Instant::now();
        let clock = self.rings.directory.clock;
        let methods = &mut self.methods;
        self.rings
            .drain(memory, |noted| methods.note(&noted, clock));
        if !self.rings.meet(memory) {
            return true;
        }
        self.started.get_or_insert(now);
        let since = *self.since.get_or_insert(now);
        self.sample(memory);
        now - since < self.asked.interval || self.picture(memory, now)
    }

    fn look_back(&mut self, memory: &dyn Memory) {
        // A machine that ran for less than an interval is shown all the same.
        if self.pictures != 0 {
            return;
        }
        let goes_on = self.look(memory);
        if goes_on && self.since.is_some() && self.pictures == 0 {
            self.picture(memory, Instant::now());
        }
    }
}
