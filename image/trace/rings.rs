//! The rings of a machine: met as they are made, and emptied while it runs.

use std::ops::Range;

use kiln_object::trace::{COMMAND_WORD, Event, GROUP_NAMES, Groups, Kind, RING_WORD};

use super::directory::{Directory, Entry, Subject};
use super::ring::RingReader;
use crate::run::Memory;

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

#[derive(Debug)]
struct Reader {
    /// The place of its entry in the directory.
    entry: usize,
    cpu: u32,
    owner: u64,
    is_user: bool,
    ring: RingReader,
}

/// All rings with events of some groups.
#[derive(Debug)]
pub struct Rings {
    groups: Groups,
    ring_bytes: Option<u64>,
    data: Range<u64>,
    /// Where everything is.
    pub directory: Directory,
    /// Entries of the directory whose rings are read.
    met: usize,
    readers: Vec<Reader>,
}

impl Rings {
    /// Those with events of `groups`; the kernel's data lie at the physical addresses `data`.
    pub fn new(groups: Groups, ring_bytes: Option<u64>, data: Range<u64>) -> Self {
        Self {
            groups,
            ring_bytes,
            data,
            directory: Directory::default(),
            met: 0,
            readers: Vec::new(),
        }
    }

    /// Words of the kernel's command line that ask for the events.
    pub fn command_words(&self) -> Vec<String> {
        let mut groups = self.groups;
        if groups.intersects(Groups::CALLS | Groups::KERNEL_CALLS) {
            // What is called has its name by what is noted of it.
            groups |= Groups::OBJECTS;
        }
        let names: Vec<_> = GROUP_NAMES
            .iter()
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

    /// Reads what is new in the directory; false if there is none yet.
    pub fn meet(&mut self, memory: &dyn Memory) -> bool {
        if !self.directory.update(memory, &self.data) {
            return false;
        }
        for reader in &mut self.readers {
            if let Some(entry) = self.directory.entries.get(reader.entry) {
                reader.owner = entry.process;
            }
        }
        let new = self.directory.entries.iter().enumerate().skip(self.met);
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
        self.met = self.directory.entries.len();
        true
    }

    /// Takes the new events out of all rings, in order within each only.
    pub fn drain(&mut self, memory: &dyn Memory, mut each: impl FnMut(Noted)) {
        let groups = self.groups;
        for reader in &mut self.readers {
            let (cpu, owner, is_user) = (reader.cpu, reader.owner, reader.is_user);
            reader.ring.drain(memory, |event| {
                let kind = Kind::from_number(event.kind);
                let is_asked_for = kind.is_some_and(|kind| {
                    kind.group() == Groups::OBJECTS || groups.contains(kind.group())
                });
                if is_asked_for {
                    each(Noted {
                        cpu,
                        owner,
                        is_user,
                        event,
                    });
                }
            });
        }
    }

    /// Events that were overwritten before they were read.
    pub fn lost(&self) -> u64 {
        self.readers.iter().map(|reader| reader.ring.lost).sum()
    }

    /// Rings or processes that the kernel had no room for.
    pub fn missed(&self) -> u64 {
        let has_none = |entry: &&Entry| entry.subject != Subject::Process && entry.ring.is_none();
        let without_ring = self.directory.entries.iter().filter(has_none);
        self.directory.missed + without_ring.count() as u64
    }
}
