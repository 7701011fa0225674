//! A timeline as the JSON array of Chrome's trace events, which Perfetto and `chrome://tracing` read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use kiln_object::ProcessId;
use kiln_object::trace::MOST_PLACES;
use serde_json::{Value, json};

use super::names::Names;
use super::recorder::Recording;
use super::timeline::{Activation, Flow, Item, Track};

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
        _ => number(owner(track).unwrap_or(0)),
    }
}

/// The process that a track belongs to.
fn owner(track: Track) -> Option<u64> {
    match track {
        Track::Processor(_) | Track::Interrupts(_) => None,
        Track::Activation(activation) => Some(activation.home),
        Track::Served(process, _) | Track::Posted(process, _, _) | Track::Thread(process, _) => {
            Some(process)
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
    processes.extend(numbers.keys().filter_map(|track| owner(*track)));
    for id in processes {
        let name = json!(process(id));
        lines.line(&metadata("process_name", number(id), None, "name", name))?;
    }
    for (track, tid) in &numbers {
        let name = title(*track, process);
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
        let tid = numbers.get(&item.track).copied().unwrap_or(0);
        lines.line(&event(item, tid))?;
        // An arrow is bound to the span on its track that has just begun.
        if let Some(flow) = item.flow {
            lines.line(&arrow(item, flow, tid))?;
        }
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

/// What a track is called; `process` names processes.
fn title(track: Track, process: impl Fn(u64) -> String) -> String {
    match track {
        Track::Processor(cpu) => format!("processor {cpu}"),
        Track::Interrupts(cpu) => format!("interrupts of processor {cpu}"),
        Track::Activation(Activation { cpu, serves: 0, .. }) => format!("on processor {cpu}"),
        Track::Activation(Activation { cpu, serves, .. }) => {
            let (from, place) = ((serves - 1) / MOST_PLACES, (serves - 1) % MOST_PLACES);
            format!("on processor {cpu} for processor {from}, call {place}")
        }
        Track::Served(_, Activation { home, cpu, .. }) => {
            format!("serves {}, processor {cpu}", process(home))
        }
        Track::Posted(_, cpu, place) => {
            format!("calls from processor {cpu} to others, call {place}")
        }
        Track::Thread(_, thread) => format!("thread {thread}"),
    }
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

/// The end of an arrow at an item that has just been written.
fn arrow(item: &Item, flow: Flow, tid: usize) -> Value {
    let mut event = json!({
        "name": "call to another processor",
        "cat": "flow",
        "pid": group(item.track),
        "tid": tid,
        "ts": microseconds(item.start),
    });
    match flow {
        Flow::From(id) => {
            event["ph"] = json!("s");
            event["id"] = json!(id);
        }
        Flow::To(id) => {
            event["ph"] = json!("f");
            event["bp"] = json!("e");
            event["id"] = json!(id);
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
