//! Gathers what a machine notes, while it runs and once more when it has ended.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use kiln_object::trace::{COMMAND_WORD, Event, Groups, Kind, RING_WORD};

use super::directory::{Clock, Directory, Subject};
use super::ring::RingReader;
use crate::run::{Memory, Watch};

/// Events that are kept at most: half a GiB.
const MOST_EVENTS: usize = 8 << 20;

/// An event and where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// The processor.
    pub cpu: u32,
    /// The process in whose ring it was.
    pub owner: u64,
    /// The process wrote it itself.
    pub is_user: bool,
    /// The event.
    pub event: Event,
}

/// Everything that was gathered.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// The clock.
    pub clock: Clock,
    /// Names of processes.
    pub processes: BTreeMap<u64, String>,
    /// Events, in order within each ring only.
    pub events: Vec<Noted>,
    /// Events that were overwritten before they were read, or did not fit.
    pub lost: u64,
    /// Rings or processes that the kernel had no room for.
    pub missed: u64,
    /// How long the machine ran after the last event, about.
    pub tail: Duration,
    /// Whether the kernel noted anything at all.
    pub is_found: bool,
}

struct Reader {
    /// The place of its entry in the directory.
    entry: usize,
    cpu: u32,
    owner: u64,
    is_user: bool,
    ring: RingReader,
}

/// Watches a machine and records it.
pub struct Recorder {
    groups: Groups,
    ring_bytes: Option<u64>,
    data: Range<u64>,
    directory: Directory,
    seen: usize,
    readers: Vec<Reader>,
    recording: Recording,
    excess: u64,
    /// When an event was last found.
    found: Instant,
}

impl Recorder {
    /// A recorder of `groups`; the kernel's data lie at the physical addresses `data`.
    pub fn new(groups: Groups, ring_bytes: Option<u64>, data: Range<u64>) -> Self {
        Self {
            groups,
            ring_bytes,
            data,
            directory: Directory::default(),
            seen: 0,
            readers: Vec::new(),
            recording: Recording::default(),
            excess: 0,
            found: Instant::now(),
        }
    }

    /// What was gathered.
    pub fn finish(mut self) -> Recording {
        let lost = self
            .readers
            .iter()
            .map(|reader| reader.ring.lost)
            .sum::<u64>();
        self.recording.lost = lost + self.excess;
        self.recording.clock = self.directory.clock;
        self.recording.is_found = self.directory.is_found();
        let entries = self.directory.entries.iter();
        let without_ring =
            entries.filter(|entry| entry.subject != Subject::Process && entry.ring.is_none());
        self.recording.missed = self.directory.missed + without_ring.count() as u64;
        self.recording
    }

    /// Takes notice of what is new in the directory.
    fn meet(&mut self) {
        for entry in &self.directory.entries {
            if !matches!(entry.subject, Subject::Processor { .. })
                && !self.recording.processes.contains_key(&entry.process)
            {
                let names = &mut self.recording.processes;
                names.insert(entry.process, entry.name.clone());
            }
        }
        for reader in &mut self.readers {
            if let Some(entry) = self.directory.entries.get(reader.entry) {
                reader.owner = entry.process;
            }
        }
        let new = self.directory.entries.iter().enumerate().skip(self.seen);
        for (place, entry) in new {
            for (ring, is_user) in [(entry.ring, false), (entry.user_ring, true)] {
                self.readers.extend(ring.map(|ring| Reader {
                    entry: place,
                    cpu: entry.cpu,
                    owner: entry.process,
                    is_user,
                    ring: RingReader::new(ring),
                }));
            }
        }
        self.seen = self.directory.entries.len();
    }

    /// Takes the new events out of all rings.
    fn drain(&mut self, memory: &dyn Memory) {
        let (groups, events) = (self.groups, &mut self.recording.events);
        let before = events.len();
        for reader in &mut self.readers {
            let (cpu, owner, is_user) = (reader.cpu, reader.owner, reader.is_user);
            reader.ring.drain(memory, |event| {
                let kind = Kind::from_number(event.kind);
                let is_asked_for =
                    kind.is_some_and(|kind| kind == Kind::Object || groups.contains(kind.group()));
                if !is_asked_for {
                    return;
                }
                if events.len() < MOST_EVENTS {
                    events.push(Noted {
                        cpu,
                        owner,
                        is_user,
                        event,
                    });
                } else {
                    self.excess += 1;
                }
            });
        }
        if events.len() != before {
            self.found = Instant::now();
        }
    }
}

impl Watch for Recorder {
    fn command_words(&self) -> Vec<String> {
        let mut groups = self.groups;
        if groups.intersects(Groups::CALLS | Groups::KERNEL_CALLS) {
            // What is called has its name by what is noted of it.
            groups |= Groups::OBJECTS;
        }
        let names = kiln_object::trace::GROUP_NAMES.iter();
        let names: Vec<_> = names
            .filter(|(_, group)| groups.contains(*group))
            .map(|(name, _)| *name)
            .collect();
        let list = match names.as_slice() {
            [] => "none".to_owned(),
            _ if groups == Groups::all() => "all".to_owned(),
            names => names.join(","),
        };
        let mut words = vec![format!("{COMMAND_WORD}={list}")];
        words.extend(self.ring_bytes.map(|bytes| format!("{RING_WORD}={bytes}")));
        words
    }

    fn period(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn look(&mut self, memory: &dyn Memory) -> bool {
        // What is there now is of those whose rings they were.
        self.drain(memory);
        if !self.directory.update(memory, &self.data) {
            return true;
        }
        self.meet();
        true
    }

    fn look_back(&mut self, memory: &dyn Memory) {
        self.look(memory);
        // What was met just now is read as well.
        self.drain(memory);
        self.recording.tail = self.found.elapsed();
    }
}
