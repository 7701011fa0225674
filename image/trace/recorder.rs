//! Gathers what a machine notes, while it runs and once more when it has ended.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use kiln_object::trace::Groups;

use super::directory::{Clock, Subject};
pub use super::rings::Noted;
use super::rings::Rings;
use crate::run::{Memory, Watch};

/// Events that are kept at most: half a GiB.
const MOST_EVENTS: usize = 8 << 20;

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

/// Watches a machine and records it.
pub struct Recorder {
    rings: Rings,
    recording: Recording,
    excess: u64,
    /// When an event was last found.
    found: Instant,
}

impl Recorder {
    /// A recorder of `groups`; the kernel's data lie at the physical addresses `data`.
    pub fn new(groups: Groups, ring_bytes: Option<u64>, data: Range<u64>) -> Self {
        Self {
            rings: Rings::new(groups, ring_bytes, data),
            recording: Recording::default(),
            excess: 0,
            found: Instant::now(),
        }
    }

    /// What was gathered.
    pub fn finish(mut self) -> Recording {
        self.recording.lost = self.rings.lost() + self.excess;
        self.recording.clock = self.rings.directory.clock;
        self.recording.is_found = self.rings.directory.is_found();
        self.recording.missed = self.rings.missed();
        self.recording
    }

    /// Takes the new events out of all rings.
    fn drain(&mut self, memory: &dyn Memory) {
        let events = &mut self.recording.events;
        let before = events.len();
        self.rings.drain(memory, |noted| {
            if events.len() < MOST_EVENTS {
                events.push(noted);
            } else {
                self.excess += 1;
            }
        });
        if events.len() != before {
            self.found = Instant::now();
        }
    }
}

impl Watch for Recorder {
    fn command_words(&self) -> Vec<String> {
        self.rings.command_words()
    }

    fn period(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn look(&mut self, memory: &dyn Memory) -> bool {
        // What is there now is of those whose rings they were.
        self.drain(memory);
        if self.rings.meet(memory) {
            for entry in &self.rings.directory.entries {
                if !matches!(entry.subject, Subject::Processor { .. })
                    && !self.recording.processes.contains_key(&entry.process)
                {
                    let names = &mut self.recording.processes;
                    names.insert(entry.process, entry.name.clone());
                }
            }
        }
        true
    }

    fn look_back(&mut self, memory: &dyn Memory) {
        self.look(memory);
        // What was met just now is read as well.
        self.drain(memory);
        self.recording.tail = self.found.elapsed();
    }
}
