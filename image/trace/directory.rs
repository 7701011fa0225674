//! Where the rings and counters of a machine lie, as its kernel says.
//!
//! The guest writes all of this: every number is checked before it is used, and the worst that a
//! guest can do is to have nothing shown.

use std::ops::Range;

use kiln_object::trace::directory::{
    COUNTERS, DIRECTORY_WORDS, DISPATCHER, Directory as Place, ENTRY_WORDS, Entry as Word, MAGIC,
    MOST_ENTRIES, NAME_BYTES, PAGE_ENTRIES, PROCESS, PROCESSOR,
};

use crate::run::Memory;

/// The directory begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// The kernel's data are searched up to so many bytes.
const MOST_DATA: u64 = 16 << 20;

/// How the time stamp counter becomes time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// The counter at time zero.
    pub base: u64,
    /// Nanoseconds for each count, 32.32 fixed point.
    pub multiplier: u64,
}

impl Clock {
    /// Nanoseconds since the kernel's entry.
    pub fn ns(self, stamp: u64) -> u64 {
        let counts = stamp.saturating_sub(self.base);
        let ns = (u128::from(counts) * u128::from(self.multiplier)) >> 32;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// A ring of events in the machine's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingPlace {
    /// Its first event.
    pub address: u64,
    /// The number of events written.
    pub position: u64,
    /// Events that it holds.
    pub events: u64,
}

impl RingPlace {
    fn of([address, position, events]: [u64; 3]) -> Option<Self> {
        let most = kiln_object::trace::MOST_RING_BYTES / kiln_object::trace::EVENT_BYTES as u64;
        (address != 0 && events.is_power_of_two() && events <= most).then_some(Self {
            address,
            position,
            events,
        })
    }
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A processor; the address tells where the token of what runs there lies.
    Processor {
        /// That address.
        current: u64,
    },
    /// A process, for its name.
    Process,
    /// A process on a processor.
    Dispatcher {
        /// What `current` holds while it runs.
        token: u64,
        /// Where the number of its pages lies.
        pages: u64,
    },
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is about.
    pub subject: Subject,
    /// The processor.
    pub cpu: u32,
    /// The process: the kernel's identity for a processor. It changes when a process is started again.
    pub process: u64,
    /// Where that is told.
    identity: u64,
    /// The process's name.
    pub name: String,
    /// Where the counters lie.
    counters: u64,
    /// The kernel's ring.
    pub ring: Option<RingPlace>,
    /// The process's own ring.
    pub user_ring: Option<RingPlace>,
}

impl Entry {
    /// The entry whose words lie at `at`.
    fn parse(at: u64, words: &[u64; ENTRY_WORDS]) -> Option<Self> {
        let word = |place: Word| words[place as usize];
        let subject = match word(Word::Kind) as u32 {
            PROCESSOR => Subject::Processor {
                current: word(Word::Current),
            },
            DISPATCHER => Subject::Dispatcher {
                token: word(Word::Token),
                pages: word(Word::Pages),
            },
            PROCESS => Subject::Process,
            _ => return None,
        };
        let mut name = Vec::with_capacity(NAME_BYTES);
        for word in &words[Word::Name as usize..] {
            name.extend(word.to_le_bytes());
        }
        let end = name.iter().position(|byte| *byte == 0);
        name.truncate(end.unwrap_or(name.len()));
        Some(Self {
            subject,
            cpu: (word(Word::Kind) >> 32) as u32,
            process: word(Word::Process),
            identity: at.saturating_add(8 * Word::Process as u64),
            name: String::from_utf8_lossy(&name).replace(|c: char| c.is_control(), "?"),
            counters: word(Word::Counters),
            ring: RingPlace::of([Word::Ring, Word::Position, Word::Events].map(word)),
            user_ring: RingPlace::of(
                [Word::UserRing, Word::UserPosition, Word::UserEvents].map(word),
            ),
        })
    }

    /// The counters as they are now; zero where they cannot be read.
    pub fn counters(&self, memory: &dyn Memory) -> [u64; COUNTERS] {
        let mut counters = [0; COUNTERS];
        if !memory.words(self.counters, &mut counters) {
            counters = [0; COUNTERS];
        }
        counters
    }
}

/// What the directory says now.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// Where it lies, once it is found.
    address: Option<u64>,
    /// The clock.
    pub clock: Clock,
    /// The entries, as far as they make sense.
    pub entries: Vec<Entry>,
    /// Entries that have been read.
    read: usize,
    /// Entries that the kernel had no room for.
    pub missed: u64,
}

impl Directory {
    /// Looks for it in the kernel's `data` if it is not known yet, and reads what is new in it. True
    /// if it is there.
    pub fn update(&mut self, memory: &dyn Memory, data: &Range<u64>) -> bool {
        if self.address.is_none() {
            self.address = find(memory, data);
        }
        let Some(address) = self.address else {
            return false;
        };
        let mut words = [0; DIRECTORY_WORDS];
        if !memory.words(address, &mut words) {
            return false;
        }
        let word = |place: Place| words[place as usize];
        self.clock = Clock {
            base: word(Place::CounterBase),
            multiplier: word(Place::Multiplier),
        };
        self.missed = word(Place::Missed);
        for entry in &mut self.entries {
            entry.process = memory.word(entry.identity).unwrap_or(entry.process);
        }
        let count = usize::try_from(word(Place::Entries)).unwrap_or(usize::MAX);
        while self.read < count.min(MOST_ENTRIES) {
            let page = words[Place::Pages as usize + self.read / PAGE_ENTRIES];
            let offset = self.read % PAGE_ENTRIES * ENTRY_WORDS * 8;
            let mut entry = [0; ENTRY_WORDS];
            if let Some(at) = page.checked_add(offset as u64)
                && memory.words(at, &mut entry)
                && let Some(entry) = Entry::parse(at, &entry)
            {
                self.entries.push(entry);
            }
            self.read += 1;
        }
        true
    }

    /// Whether the kernel has been found to note anything.
    pub fn is_found(&self) -> bool {
        self.address.is_some()
    }
}

/// Where the directory begins.
fn find(memory: &dyn Memory, data: &Range<u64>) -> Option<u64> {
    let length = data.end.checked_sub(data.start)?.min(MOST_DATA);
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    if !memory.read(data.start, &mut bytes) {
        return None;
    }
    let skip = (data.start.next_multiple_of(ALIGNMENT as u64) - data.start) as usize;
    let places = bytes.get(skip..)?.chunks_exact(ALIGNMENT).enumerate();
    for (index, place) in places {
        let mut words = place.as_chunks::<8>().0.iter();
        let mut next = || words.next().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let address = data.start + (skip + index * ALIGNMENT) as u64;
        if next() == MAGIC && next() == address {
            return Some(address);
        }
    }
    None
}
