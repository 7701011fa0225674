//! What a reader of a trace takes for granted, so that tests can say whether a file has it.
//!
//! Perfetto's own importer was given such files, and what it counted as errors when they lacked
//! something of this is what is asked for here.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// An arrow's end as a reader sees it: its kind, number, time and track.
pub fn arrows(json: &[Value]) -> Vec<(&str, u64, f64, u64)> {
    let is_arrow = |event: &&Value| ["s", "f"].iter().any(|end| event["ph"] == *end);
    let arrow = |event: &'_ Value| {
        (
            event["id"].as_u64().unwrap(),
            event["ts"].as_f64().unwrap(),
            event["tid"].as_u64().unwrap(),
        )
    };
    let found = json.iter().filter(is_arrow);
    found
        .map(|event| {
            let (id, at, track) = arrow(event);
            (event["ph"].as_str().unwrap(), id, at, track)
        })
        .collect()
}

/// Panics unless the file has what is asked of one: times that never go back, so that
/// spans that begin together are written from the outermost inwards; names and tracks that were
/// declared; and arrows that begin and end within a span that is written before them.
pub fn check(json: &[Value]) {
    let mut declared = HashSet::new();
    let mut groups = HashSet::new();
    let mut last = f64::MIN;
    let mut open: HashMap<u64, (f64, f64)> = HashMap::new();
    let mut begun = HashSet::new();
    for event in json {
        let kind = event["ph"].as_str().unwrap();
        let track = event["tid"].as_u64();
        if kind == "M" {
            if event["name"] == "thread_name" {
                assert!(declared.insert(track.unwrap()), "{event}");
                assert_ne!(track, event["pid"].as_u64(), "not a main thread");
            } else if event["name"] == "process_name" {
                groups.insert(event["pid"].as_u64().unwrap());
            }
            continue;
        }
        let track = track.unwrap();
        assert!(declared.contains(&track), "{event}");
        assert!(groups.contains(&event["pid"].as_u64().unwrap()), "{event}");
        assert!(!event["name"].as_str().unwrap().is_empty());
        let at = event["ts"].as_f64().unwrap();
        assert!(at >= last, "{event} goes back");
        last = at;
        // What a reader makes of the fraction is the nanosecond that was meant.
        let ns = at * 1000.0;
        assert!((ns - ns.round()).abs() < 1e-3, "{event}");
        match kind {
            "X" => {
                let duration = event["dur"].as_f64().unwrap();
                assert!(duration >= 0.0);
                open.insert(track, (at, at + duration));
            }
            "i" => assert_eq!(event["s"], "t"),
            "s" | "f" => {
                let (start, end) = open[&track];
                assert!(start <= at && at <= end, "{event} is in no span");
                let id = event["id"].as_u64().unwrap();
                assert_eq!(begun.insert(id), kind == "s", "{event}");
            }
            other => panic!("{other}"),
        }
    }
}
