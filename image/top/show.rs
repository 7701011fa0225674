//! A picture as a table for people and as JSON for programs.

use std::fmt::Write;

use kiln_object::ProcessId;
use serde_json::json;

use super::{Method, Picture, Process};
use crate::manifest::size::rounded;

/// Processors that have a column of their own.
const COLUMNS: usize = 8;

/// Methods that are shown to people.
const MOST_METHODS: usize = 15;

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
    match &picture.methods {
        Some(methods) => write_methods(methods, picture.lost, out),
        None => Ok(()),
    }
}

fn write_methods(methods: &[Method], lost: u64, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "{:<32}{:<22}{:>10}{:>10}{:>12}{:>8}",
        "method", "of", "calls/s", "errors/s", "us each", "time"
    )?;
    for method in methods.iter().take(MOST_METHODS) {
        writeln!(
            out,
            "{:<32}{:<22}{:>10.0}{:>10.0}{:>12.1}{:>8}",
            cut(&method.name, 31),
            cut(&method.server, 21),
            method.calls,
            method.errors,
            method.mean_ns / 1000.0,
            percent(method.share),
        )?;
    }
    if let Some(more) = methods
        .len()
        .checked_sub(MOST_METHODS)
        .filter(|more| *more > 0)
    {
        writeln!(out, "and {more} more")?;
    }
    if lost > 0 {
        writeln!(out, "{lost} events came too fast to be counted")?;
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
    let method = |method: &Method| {
        json!({
            "name": method.name,
            "server": method.server,
            "id": identity(method.process),
            "calls_per_second": method.calls,
            "errors_per_second": method.errors,
            "mean_ns": method.mean_ns,
            "time_share": method.share,
        })
    };
    let mut value = json!({
        "seconds": picture.seconds,
        "interval": picture.interval,
        "idle": by_cpu(&picture.idle),
        "processes": picture.processes.iter().map(process).collect::<Vec<_>>(),
    });
    if let Some(methods) = &picture.methods {
        value["methods"] = methods.iter().map(method).collect();
        value["events_lost"] = json!(picture.lost);
    }
    format!("{value}\n")
}
