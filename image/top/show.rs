//! A picture as a table for people and as JSON for programs.

use std::fmt::Write;

use kiln_object::ProcessId;
use serde_json::json;

use super::{Picture, Process};
use crate::manifest::size::rounded;

/// Processors that have a column of their own.
const COLUMNS: usize = 8;

/// For people.
pub fn to_text(picture: &Picture) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(picture, &mut out);
    out
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn write_text(picture: &Picture, out: &mut String) -> std::fmt::Result {
    write!(out, "{:.1} s", picture.seconds)?;
    for (cpu, idle) in &picture.idle {
        write!(out, "   processor {cpu}: {} idle", percent(*idle))?;
    }
    writeln!(out)?;
    write!(
        out,
        "{:<28}{:>8}{:>10}{:>8}",
        "process", "id", "memory", "time"
    )?;
    let processors: Vec<u32> = picture.idle.keys().copied().take(COLUMNS).collect();
    let several = processors.len() > 1;
    for cpu in processors.iter().filter(|_| several) {
        write!(out, "{:>8}", format!("on {cpu}"))?;
    }
    writeln!(
        out,
        "{:>12}{:>12}{:>12}{:>12}",
        "calls/s", "served/s", "kernel/s", "faults/s"
    )?;
    for process in picture.processes.iter().filter(|process| !process.ended) {
        write!(
            out,
            "{:<28}{:>8}{:>10}{:>8}",
            cut(&process.name, 27),
            identity(process.id),
            rounded(process.memory),
            percent(process.processor_share()),
        )?;
        for cpu in processors.iter().filter(|_| several) {
            let share = process.processors.get(cpu).copied().unwrap_or(0.0);
            write!(out, "{:>8}", percent(share))?;
        }
        writeln!(
            out,
            "{:>12.0}{:>12.0}{:>12.0}{:>12.0}",
            process.calls_out, process.calls_in, process.kernel_calls, process.faults
        )?;
    }
    Ok(())
}

/// The first `most` characters.
fn cut(name: &str, most: usize) -> String {
    name.chars().take(most).collect()
}

fn identity(id: u64) -> String {
    let id = ProcessId::from_raw(id);
    format!("{}.{}", id.index(), id.incarnation())
}

/// For programs: one line.
pub fn to_json(picture: &Picture) -> String {
    let by_cpu = |shares: &std::collections::BTreeMap<u32, f64>| {
        let shares = shares
            .iter()
            .map(|(cpu, share)| (cpu.to_string(), json!(share)));
        serde_json::Value::Object(shares.collect())
    };
    let process = |process: &Process| {
        json!({
            "name": process.name,
            "id": identity(process.id),
            "ended": process.ended,
            "memory_bytes": process.memory,
            "processor_share": process.processor_share(),
            "processors": by_cpu(&process.processors),
            "calls_per_second": process.calls_out,
            "served_per_second": process.calls_in,
            "kernel_calls_per_second": process.kernel_calls,
            "faults_per_second": process.faults,
        })
    };
    let value = json!({
        "seconds": picture.seconds,
        "interval": picture.interval,
        "idle": by_cpu(&picture.idle),
        "processes": picture.processes.iter().map(process).collect::<Vec<_>>(),
    });
    format!("{value}\n")
}
