//! Recordings of a machine's memory made by hand, and of memory that holds anything.

use std::collections::HashMap;

use kiln_object::trace::directory::{
    DIRECTORY_WORDS, DISPATCHER, Directory as Place, ENTRY_WORDS, Entry as Word, MAGIC, PROCESSOR,
};
use kiln_object::trace::{EVENT_BYTES, Groups, Kind, head};
use proptest::prelude::*;

use super::names::Names;
use super::recorder::{Noted, Recorder, Recording};
use super::timeline::{Activation, Item, Track, items};
use super::{chrome, directory::Clock};
use crate::run::{Memory, Watch};

/// Where the kernel's data are said to be.
const DATA: std::ops::Range<u64> = 0x1000..0x2000;
const DIRECTORY: u64 = 0x1040;
const ENTRIES: u64 = 0x3000;
const RINGS: u64 = 0x4000;
/// Events of each ring here.
const CAPACITY: u64 = 16;
/// Bytes from one ring to the next, its position before it.
const RING_BYTES: u64 = 0x1000;

/// Memory of a few pages.
pub(crate) struct Guest(pub Vec<u8>);

impl Memory for Guest {
    fn read(&self, at: u64, bytes: &mut [u8]) -> bool {
        let Ok(start) = usize::try_from(at) else {
            return false;
        };
        let end = start.checked_add(bytes.len());
        match end.and_then(|end| self.0.get(start..end)) {
            Some(found) => {
                bytes.copy_from_slice(found);
                true
            }
            None => false,
        }
    }
}

impl Guest {
    /// A machine with a processor and processes of these names, whose rings are empty.
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut guest = Self(vec![0; 0x10000]);
        guest.put(DIRECTORY + 8 * Place::Address as u64, DIRECTORY);
        guest.put(DIRECTORY + 8 * Place::Multiplier as u64, 1 << 32);
        guest.put(DIRECTORY + 8 * Place::Pages as u64, ENTRIES);
        guest.put(DIRECTORY, MAGIC);
        guest.entry(PROCESSOR, 1 << 32, "kernel");
        for (name, process) in names.iter().zip(1..) {
            guest.entry(DISPATCHER, 1 << 32 | process, name);
        }
        guest
    }

    pub(crate) fn put(&mut self, at: u64, word: u64) {
        let at = at as usize;
        self.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    fn get(&self, at: u64) -> u64 {
        self.word(at).unwrap()
    }

    fn entry(&mut self, kind: u32, process: u64, name: &str) {
        let count = self.get(DIRECTORY + 8 * Place::Entries as u64);
        let at = |word: Word| ENTRIES + (count * ENTRY_WORDS as u64 + word as u64) * 8;
        let ring = RINGS + count * RING_BYTES;
        for (word, value) in [
            (Word::Kind, u64::from(kind)),
            (Word::Process, process),
            (Word::Token, 0xffff_0000 + process),
            (Word::Current, 0x2800),
            (Word::Counters, ring + 8),
            (Word::Pages, ring + 0x80),
            (Word::Ring, ring + 0x100),
            (Word::Position, ring),
            (Word::Events, CAPACITY),
        ] {
            self.put(at(word), value);
        }
        let name_at = at(Word::Name) as usize;
        self.0[name_at..name_at + name.len()].copy_from_slice(name.as_bytes());
        self.put(DIRECTORY + 8 * Place::Entries as u64, count + 1);
    }

    /// Where the position of the ring of the `number`-th entry lies.
    pub(crate) fn ring(number: u64) -> u64 {
        RINGS + number * RING_BYTES
    }

    /// Adds an event to the ring of the `number`-th entry.
    pub(crate) fn note(&mut self, number: u64, stamp: u64, kind: Kind, small: u32, a: u64, b: u64) {
        let ring = Self::ring(number);
        let index = self.get(ring);
        self.put(ring, index + 1);
        let at = ring + 0x100 + index % CAPACITY * EVENT_BYTES as u64;
        let words = [stamp, head(kind, small) | (index + 1), a, b];
        for (place, word) in words.into_iter().enumerate() {
            self.put(at + 8 * place as u64, word);
        }
    }
}

fn recorder() -> Recorder {
    Recorder::new(Groups::all(), None, DATA)
}

pub(crate) fn process(number: u64) -> u64 {
    1 << 32 | number
}

/// The activation of a process on the first processor.
pub(crate) fn own(home: u64) -> Activation {
    Activation {
        home,
        cpu: 0,
        serves: 0,
    }
}

/// Records what is in the memory now.
pub(crate) fn record(guest: &Guest) -> Recording {
    let mut recorder = recorder();
    recorder.look_back(guest);
    recorder.finish()
}

/// Spans on a track are one within the other or apart.
pub(crate) fn check_nesting(items: &[Item]) {
    let mut open: HashMap<Track, Vec<u64>> = HashMap::new();
    for item in items {
        let Some(end) = item.end else { continue };
        assert!(item.start <= end, "{item:?}");
        let stack = open.entry(item.track).or_default();
        while stack.pop_if(|outer| *outer <= item.start).is_some() {}
        let outer = stack.last().copied().unwrap_or(u64::MAX);
        assert!(end <= outer, "{item:?} ends after {outer}");
        stack.push(end);
    }
}

/// The trace as a reader sees it.
pub(crate) fn written(recording: &Recording, items: &[Item]) -> Vec<serde_json::Value> {
    let mut bytes = Vec::new();
    chrome::write(&mut bytes, items, recording, &Names::default()).unwrap();
    let json: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
    super::reader::check(&json);
    json
}

#[test]
fn a_call_within_a_call_is_shown_within_it() {
    let mut guest = Guest::new(&["client", "middle", "server"]);
    let (client, middle, server) = (process(1), process(2), process(3));
    guest.note(1, 100, Kind::Switch, 0, client, client);
    guest.note(1, 200, Kind::Call, 7, middle, 5);
    guest.note(2, 250, Kind::Call, 1 << 16 | 8, server, 6);
    guest.note(3, 260, Kind::Fault, 6 << 16 | 14, 0x5000, 0x400);
    guest.note(3, 270, Kind::FaultDone, 0, 0, 0);
    guest.note(2, 300, Kind::Return, 1 << 16, server, 0);
    guest.note(1, 400, Kind::Return, 0xff, middle, 0);
    guest.note(0, 500, Kind::Idle, 0, 0, 0);
    let recording = record(&guest);
    assert_eq!((recording.events.len(), recording.lost), (8, 0));
    let recording = Recording {
        tail: std::time::Duration::ZERO,
        ..recording
    };
    let items = items(&recording, &Names::default());
    check_nesting(&items);
    let on = |track: Track| -> Vec<(&str, u64, u64)> {
        let on = items.iter().filter(|item| item.track == track);
        on.map(|item| (item.name.as_str(), item.start, item.end.unwrap()))
            .collect()
    };
    assert_eq!(
        on(Track::Activation(own(client))),
        [
            ("method 7", 200, 400),
            ("method 8", 250, 300),
            ("page fault", 260, 270)
        ]
    );
    assert_eq!(
        on(Track::Served(server, own(client))),
        [("method 8", 250, 300)]
    );
    assert_eq!(
        on(Track::Processor(0)),
        [
            ("client", 100, 200),
            ("middle", 200, 250),
            ("server", 250, 300),
            ("middle", 300, 400),
            ("client", 400, 500)
        ]
    );
    let outer = items.iter().find(|item| item.name == "method 7").unwrap();
    let value = |name| {
        let found = outer.arguments.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (value("from"), value("to")),
        (Some("client"), Some("middle"))
    );
    assert_eq!(value("status"), Some("BadAnswer"));
    let json = written(&recording, &items);
    let call = json
        .iter()
        .find(|event| event["name"] == "method 7")
        .unwrap();
    assert_eq!(
        (&call["ph"], &call["ts"], &call["dur"]),
        (&"X".into(), &0.2.into(), &0.2.into())
    );
}

#[test]
fn what_was_overwritten_is_counted() {
    let mut guest = Guest::new(&["one"]);
    for stamp in 0..CAPACITY + 5 {
        guest.note(1, stamp, Kind::Mark, 0, 0, 0);
    }
    let recording = record(&guest);
    let stamps: Vec<u64> = recording
        .events
        .iter()
        .map(|noted| noted.event.stamp)
        .collect();
    assert_eq!(stamps, (5..CAPACITY + 5).collect::<Vec<_>>());
    assert_eq!(recording.lost, 5);
}

#[test]
fn an_event_that_is_not_whole_yet_is_waited_for() {
    let mut guest = Guest::new(&["one"]);
    guest.note(1, 1, Kind::Mark, 0, 0, 0);
    let mut recorder = recorder();
    assert!(recorder.look(&guest));
    recorder.look(&guest);
    // The next place is reserved, and filled after the second look.
    let ring = Guest::ring(1);
    guest.put(ring, 2);
    recorder.look(&guest);
    guest.put(ring, 1);
    guest.note(1, 2, Kind::Mark, 0, 0, 0);
    recorder.look(&guest);
    // A place that is never filled does not hold the later ones up for ever.
    guest.put(ring, 3);
    guest.note(1, 4, Kind::Mark, 0, 0, 0);
    for _ in 0..=super::ring::PATIENCE {
        recorder.look(&guest);
    }
    let recording = recorder.finish();
    let stamps: Vec<u64> = recording
        .events
        .iter()
        .map(|noted| noted.event.stamp)
        .collect();
    assert_eq!(stamps, [1, 2, 4]);
    assert_eq!(recording.lost, 1);
}

#[test]
fn a_lost_return_does_not_hold_anything_open() {
    let mut guest = Guest::new(&["client", "server"]);
    let (client, server) = (process(1), process(2));
    guest.note(1, 1, Kind::Switch, 0, client, client);
    guest.note(1, 10, Kind::Call, 1, server, 5);
    // Its return is missing.
    guest.note(1, 30, Kind::Call, 2, server, 5);
    guest.note(1, 40, Kind::Return, 0, server, 0);
    // A return without a call.
    guest.note(1, 50, Kind::Return, 3 << 16, server, 0);
    let recording = record(&guest);
    let items = items(&recording, &Names::default());
    check_nesting(&items);
    let calls: Vec<_> = items
        .iter()
        .filter(|item| item.track == Track::Activation(own(client)))
        .map(|item| (item.name.as_str(), item.start, item.end.unwrap()))
        .collect();
    assert_eq!(calls, [("method 1", 10, 30), ("method 2", 30, 40)]);
}

#[test]
fn a_process_that_is_started_again_is_another() {
    let mut guest = Guest::new(&["server"]);
    let mut recorder = recorder();
    guest.note(1, 1, Kind::Mark, 0, 0, 0);
    recorder.look(&guest);
    let next = 2 << 32 | 1;
    guest.put(
        ENTRIES + 8 * (ENTRY_WORDS as u64 + Word::Process as u64),
        next,
    );
    recorder.look(&guest);
    guest.note(1, 2, Kind::Mark, 0, 0, 0);
    recorder.look(&guest);
    let recording = recorder.finish();
    let owners: Vec<u64> = recording.events.iter().map(|noted| noted.owner).collect();
    assert_eq!(owners, [process(1), next]);
    assert_eq!(recording.processes[&next], "server");
}

fn any_event() -> impl Strategy<Value = Noted> {
    let word = prop_oneof![0..6_u64, (1..5_u64).prop_map(process), any::<u64>()];
    let words = (0..400_u64, 0..27_u8, 0..0x5_0006_u32, word.clone(), word);
    (0..2_u32, 1..4_u64, any::<bool>(), words).prop_map(
        |(cpu, owner, is_user, (stamp, kind, small, a, b))| Noted {
            cpu,
            owner: process(owner),
            is_user,
            event: kiln_object::trace::Event {
                stamp,
                sequence: 0,
                kind,
                small,
                a,
                b,
            },
        },
    )
}

proptest! {
    #[test]
    fn whatever_was_noted_is_nested(events in proptest::collection::vec(any_event(), 0..300)) {
        let recording = Recording {
            clock: Clock { base: 0, multiplier: 1 << 32 },
            events,
            ..Recording::default()
        };
        let items = items(&recording, &Names::default());
        check_nesting(&items);
        written(&recording, &items);
    }

    #[test]
    fn spoiled_memory_breaks_nothing(
        changes in proptest::collection::vec((0..0x10000_usize - 8, any::<u64>()), 0..40),
        near in proptest::collection::vec((0..512_usize, any::<u64>(), any::<bool>()), 0..40),
    ) {
        let mut guest = Guest::new(&["one", "two"]);
        for stamp in 0..20 {
            guest.note(stamp % 3, stamp, Kind::Call, 1, process(1), 2);
        }
        let mut recorder = recorder();
        recorder.look(&guest);
        for (at, word) in changes {
            guest.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        for (place, word, in_entries) in near {
            let base = if in_entries { ENTRIES } else { DIRECTORY } as usize;
            let word = if place % 3 == 0 { word % 0x10000 } else { word };
            let span = if in_entries { ENTRY_WORDS * 4 } else { DIRECTORY_WORDS };
            let at = base + place % span * 8;
            guest.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        recorder.look(&guest);
        recorder.look_back(&guest);
        let recording = recorder.finish();
        let items = items(&recording, &Names::default());
        check_nesting(&items);
        record(&guest);
    }
}
