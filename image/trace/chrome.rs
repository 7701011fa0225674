//! A timeline as the JSON array of Chrome's trace events, which Perfetto and `chrome://tracing` read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use kiln_object::ProcessId;
use serde_json::{Value, json};

use super::names::Names;
use super::recorder::Recording;
use super::timeline::{Item, Track};

/// The group under which processors are shown: no process's number, and not 0, which readers take for
/// the idle process of an operating system.
const PROCESSORS: u64 = 9_999;

/// The number of the first track. Readers take a track with the number of a process for its main thread.
const FIRST_TRACK: usize = 1_000_000;

/// The group that a track belongs to: a process's place in the kernel's table, and its incarnation
/// where that is not the first.
fn group(track: Track) -> u64 {
    match track {
        Track::Processor(_) | Track::Interrupts(_) => PROCESSORS,
        Track::Activation(process, _) | Track::Served(process, _) | Track::Thread(process, _) => {
            number(process)
        }
    }
}

fn number(process: u64) -> u64 {
    let id = ProcessId::from_raw(process);
    let restarts = u64::from(id.incarnation().saturating_sub(1));
    u64::from(id.index()) + restarts * 10_000
}

/// Writes the items, which are in order, with the names of their tracks.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut impl Write,
    items: &[Item],
    recording: &Recording,
    names: &Names,
) -> io::Result<()> {
    let tracks: BTreeSet<Track> = items.iter().map(|item| item.track).collect();
    let numbers: BTreeMap<Track, usize> = tracks.into_iter().zip(FIRST_TRACK..).collect();
    let mut lines = Lines { out, first: true };
    lines.line(&metadata(
        "process_name",
        PROCESSORS,
        None,
        "name",
        json!("processors"),
    ))?;
    let order = json!(-1);
    lines.line(&metadata(
        "process_sort_index",
        PROCESSORS,
        None,
        "sort_index",
        order,
    ))?;
    let process = |process: u64| match recording.processes.get(&process) {
        Some(name) => names.process(name),
        None => format!("process {}", number(process)),
    };
    let mut processes: BTreeSet<u64> = recording.processes.keys().copied().collect();
    for track in numbers.keys() {
        if let Track::Activation(id, _) | Track::Served(id, _) | Track::Thread(id, _) = track {
            processes.insert(*id);
        }
    }
    for id in processes {
        let name = json!(process(id));
        lines.line(&metadata("process_name", number(id), None, "name", name))?;
    }
    for (track, tid) in &numbers {
        let name = match track {
            Track::Processor(cpu) => format!("processor {cpu}"),
            Track::Interrupts(cpu) => format!("interrupts of processor {cpu}"),
            Track::Activation(_, cpu) => format!("on processor {cpu}"),
            Track::Served(_, (client, cpu)) => {
                format!("serves {}, processor {cpu}", process(*client))
            }
            Track::Thread(_, thread) => format!("thread {thread}"),
        };
        let group = group(*track);
        lines.line(&metadata(
            "thread_name",
            group,
            Some(*tid),
            "name",
            json!(name),
        ))?;
        let order = json!(tid);
        lines.line(&metadata(
            "thread_sort_index",
            group,
            Some(*tid),
            "sort_index",
            order,
        ))?;
    }
    for item in items {
        lines.line(&event(item, numbers.get(&item.track).copied().unwrap_or(0)))?;
    }
    if recording.lost > 0 {
        let mut note = metadata(
            "trace_note",
            PROCESSORS,
            None,
            "lost_events",
            json!(recording.lost),
        );
        note["ph"] = json!("M");
        lines.line(&note)?;
    }
    lines.end()
}

fn metadata(kind: &str, pid: u64, tid: Option<usize>, key: &str, value: Value) -> Value {
    let mut event = json!({ "ph": "M", "name": kind, "pid": pid, "args": { key: value } });
    if let Some(tid) = tid {
        event["tid"] = json!(tid);
    }
    event
}

/// Microseconds, exact to the nanosecond.
fn microseconds(ns: u64) -> Value {
    // Up to 2⁵³ ns, more than a hundred days, a float holds all three digits.
    json!(ns as f64 / 1000.0)
}

fn event(item: &Item, tid: usize) -> Value {
    let arguments: serde_json::Map<String, Value> = item
        .arguments
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let mut event = json!({
        "name": item.name,
        "cat": item.category,
        "pid": group(item.track),
        "tid": tid,
        "ts": microseconds(item.start),
        "args": arguments,
    });
    match item.end {
        Some(end) => {
            event["ph"] = json!("X");
            event["dur"] = microseconds(end - item.start);
        }
        None => {
            event["ph"] = json!("i");
            event["s"] = json!("t");
        }
    }
    event
}

/// An array with an element on each line.
struct Lines<'a, W> {
    out: &'a mut W,
    first: bool,
}

impl<W: Write> Lines<'_, W> {
    fn line(&mut self, value: &Value) -> io::Result<()> {
        let before = if self.first { "[\n" } else { ",\n" };
        self.first = false;
        write!(self.out, "{before}{value}")
    }

    fn end(self) -> io::Result<()> {
        self.out
            .write_all(if self.first { b"[]\n" } else { b"\n]\n" })
    }
}
