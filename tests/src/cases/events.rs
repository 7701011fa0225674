//! `kiln trace` and `kiln top`: what a machine notes, as a reader of the file sees it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln};
use kiln_tests::places;
use serde_json::Value;

use crate::Tests;

/// How long a run may take that ends by itself.
const LIMIT: [&str; 2] = ["--timeout", "40"];

/// How often the loop makes its calls if it is to be stopped.
const FOR_EVER: &str = "1000000000000";

/// A span as the file has it, in nanoseconds.
struct Span<'a> {
    event: &'a Value,
    start: u64,
    end: u64,
}

/// A trace that was written.
struct Trace {
    events: Vec<Value>,
}

impl Trace {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let events =
            serde_json::from_slice(&text).map_err(|error| format!("the trace: {error}"))?;
        Ok(Self { events })
    }

    fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        let whole = self.events.iter().filter(|event| event["ph"] == "X");
        whole.map(|event| {
            let ns = |key: &str| (event[key].as_f64().unwrap_or(-1.0) * 1000.0).round() as u64;
            let (start, length) = (ns("ts"), ns("dur"));
            Span {
                event,
                start,
                end: start + length,
            }
        })
    }

    /// The number under which a process is shown.
    fn process(&self, name: &str) -> Result<&Value, String> {
        let named = self
            .events
            .iter()
            .find(|event| event["name"] == "process_name" && event["args"]["name"] == name);
        named
            .map(|event| &event["pid"])
            .ok_or_else(|| format!("no process is called {name}"))
    }

    /// Spans on each track are one in the other or apart; each event has what all must have.
    fn check(&self) -> Result<(), String> {
        for event in &self.events {
            let complete = event["ph"].is_string() && event["name"].is_string();
            ensure(complete && event["pid"].is_u64(), || event.to_string())?;
        }
        let mut open: HashMap<(u64, u64), Vec<u64>> = HashMap::new();
        for span in self.spans() {
            let number = |key: &str| span.event[key].as_u64().unwrap_or(u64::MAX);
            let stack = open.entry((number("pid"), number("tid"))).or_default();
            while stack.pop_if(|end| *end <= span.start).is_some() {}
            let around = stack.last().copied().unwrap_or(u64::MAX);
            ensure(span.end <= around, || {
                format!("{} ends after what is around it", span.event)
            })?;
            stack.push(span.end);
        }
        Ok(())
    }

    fn has(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<&Value, String> {
        let found = self.events.iter().find(|event| fits(event));
        found.ok_or_else(|| {
            let names: std::collections::BTreeSet<String> = self
                .events
                .iter()
                .map(|event| event["name"].to_string())
                .collect();
            format!("there is no {what} among {names:?}")
        })
    }

    /// Some span named `inner` lies within one named `outer`, on the same track.
    fn has_within(&self, outer: &str, inner: &str) -> Result<(), String> {
        let found = self
            .spans()
            .filter(|span| span.event["name"] == inner)
            .any(|inside| {
                self.spans().any(|around| {
                    around.event["name"] == outer
                        && around.event["tid"] == inside.event["tid"]
                        && (around.start..=around.end).contains(&inside.start)
                        && inside.end <= around.end
                })
            });
        ensure(found, || format!("no {inner} within a {outer}"))
    }
}

/// Runs `kiln trace` with these options and words; gives the trace, the output and the status.
fn trace(name: &str, options: &[&str], words: &[&str]) -> Result<(Trace, String, i32), String> {
    let path = places::made().join(format!("{name}.trace.json"));
    let _ = std::fs::remove_file(&path);
    let place = path.to_string_lossy().into_owned();
    let all = ["trace", "-o", &place].into_iter();
    let all = all
        .chain(options.iter().copied())
        .chain(["--"])
        .chain(words.iter().copied());
    let output = kiln(all)?;
    let (text, status) = (output.text(), output.status);
    let trace = Trace::read(&path).map_err(|error| format!("{error}; {}", output.err))?;
    trace.check()?;
    Ok((trace, text, status))
}

fn program(name: &str) -> Result<PathBuf, String> {
    compile::c(name, Linkage::Static)
}

fn hello() -> Result<(), String> {
    let program = compile::c("hello", Linkage::Dynamic)?;
    let (trace, text, status) = trace("events-hello", &LIMIT, &[&program.to_string_lossy()])?;
    ensure(text == "Hello, world\n" && status == 0, || {
        format!("{status}: {text}")
    })?;
    trace.has("call by name", |event| {
        event["cat"] == "call"
            && event["name"] == "file_tree.open"
            && event["args"]["from"] == "linux (hello)"
            && event["args"]["status"] == "ok"
    })?;
    trace.has("call of the kernel", |event| {
        event["cat"] == "kernel" && event["name"] == "process.exit"
    })?;
    trace.has("page fault with a function", |event| {
        event["name"] == "page fault"
            && event["args"]["outcome"] == "resolved"
            && event["args"]["at"]
                .as_str()
                .is_some_and(|at| at.contains("component_entry"))
    })?;
    trace.has("system call", |event| {
        event["cat"] == "user" && event["name"] == "write"
    })?;
    trace.has_within("write", "console.write")?;
    trace.has_within("file_tree.open", "file_tree.attributes")?;
    for name in ["name_space", "image_root", "memory_fs", "linux (hello)"] {
        let process = trace.process(name)?;
        trace.has("start of a process", |event| {
            event["pid"] == *process && event["cat"] == "process"
        })?;
        trace.has("process that ran", |event| {
            event["cat"] == "running" && event["name"] == name
        })?;
    }
    let server = trace.process("image_root")?;
    trace.has("served call", |event| {
        event["cat"] == "call" && event["pid"] == *server
    })?;
    Ok(())
}

fn chosen() -> Result<(), String> {
    let program = program("hello")?;
    let options = [
        "--events",
        "faults,processes",
        "--ring",
        "16K",
        "--cpus",
        "2",
    ];
    let (trace, _, status) = trace("events-chosen", &options, &[&program.to_string_lossy()])?;
    ensure(status == 0, || format!("status {status}"))?;
    let categories: std::collections::BTreeSet<&str> = trace
        .events
        .iter()
        .filter_map(|event| event["cat"].as_str())
        .collect();
    ensure(categories == ["fault", "process"].into(), || {
        format!("{categories:?}")
    })
}

fn stopped() -> Result<(), String> {
    let program = program("loop")?;
    let options = ["--timeout", "3", "--events", "switches,calls,processes"];
    let words = [&*program.to_string_lossy(), FOR_EVER];
    let (trace, _, status) = trace("events-stopped", &options, &words)?;
    ensure(status == 124, || format!("status {status}"))?;
    trace.has("program that ran until it was stopped", |event| {
        event["cat"] == "running"
            && event["name"] == "linux (loop)"
            && event["dur"].as_f64().is_some_and(|us| us > 500_000.0)
    })?;
    Ok(())
}

/// A call to another processor leads to where it is served, and who waits says for what.
fn waits() -> Result<(), String> {
    let program = compile::c("hello", Linkage::Dynamic)?;
    let text = format!(
        "name = \"events-waits\"\n[program]\npath = \"/bin/hello\"\n\
         [root]\nfrom = [{{ binary = \"{}\", to = \"/bin/hello\" }}]\n\
         [servers]\nname_space = {{}}\nmemory_fs = {{}}\n\
         image_root = {{ cpu = 1, pinned = true }}\n\
         [machine]\ncpus = 2\n",
        program.display()
    );
    let manifest = Written::new("events-waits", &text)?;
    let path = places::made().join("events-waits.trace.json");
    let place = path.to_string_lossy();
    let words = ["trace", "-o", &place, "--timeout", "60"].into_iter();
    kiln(words.chain([&*manifest.path.to_string_lossy()]))?.expect_status(0)?;
    let trace = Trace::read(&path)?;
    trace.check()?;
    trace.has("wait for a start", |event| {
        event["cat"] == "wait" && event["name"] == "waits for the start of memory_fs"
    })?;
    let at = |end: &str| -> HashMap<u64, &Value> {
        let ends = trace.events.iter().filter(|event| event["ph"] == end);
        ends.filter_map(|event| Some((event["id"].as_u64()?, event)))
            .collect()
    };
    let (left, came) = (at("s"), at("f"));
    let server = trace.process("image_root")?;
    let pairs = came.iter().filter_map(|(id, to)| Some((left.get(id)?, to)));
    let to_server = pairs.filter(|(from, to)| {
        let ns = |event: &Value| event["ts"].as_f64().unwrap_or(0.0);
        to["pid"] == *server && from["pid"] != *server && ns(from) < ns(to)
    });
    ensure(to_server.count() > 0, || {
        format!("{} calls left, {} came", left.len(), came.len())
    })?;
    trace.has("call that is posted", |event| {
        event["cat"] == "call"
            && event["name"] == "file_tree.open"
            && event["args"]["to"] == "image_root"
            && event["args"]["status"] == "ok"
    })?;
    Ok(())
}

/// A process spoils its own ring all the time: what the kernel noted of it and of others is whole, and nobody
/// takes the rubbish for more than it is.
fn rubbish() -> Result<(), String> {
    const CALLS: usize = 100;
    let args = ["rubbish", &CALLS.to_string()];
    let text = super::processors::native_text(&args, "", "", "", 1, "microvm");
    let manifest = Written::new("events-rubbish", &text)?;
    let path = places::made().join("events-rubbish.trace.json");
    let place = path.to_string_lossy();
    let words = ["trace", "-o", &place, "--timeout", "60"].into_iter();
    let output = kiln(words.chain([&*manifest.path.to_string_lossy()]))?;
    ensure(
        output.status == 0 && output.text().trim_end().ends_with(": ok"),
        || format!("status {}: {}{}", output.status, output.text(), output.err),
    )?;
    let trace = Trace::read(&path)?;
    trace.check()?;
    let (client, server) = (
        trace.process("processors ()")?,
        trace.process("name_space")?,
    );
    for process in [client, server] {
        let calls = trace.events.iter().filter(|event| {
            event["pid"] == *process
                && event["cat"] == "call"
                && event["name"] == "name_space.version"
                && event["args"]["status"] == "ok"
        });
        let count = calls.count();
        ensure(count == CALLS, || {
            format!("{count} calls instead of {CALLS} of {process}")
        })?;
    }
    // The live picture reads the same rings.
    let words = ["top", "--methods", "--once", "--json", "--timeout", "60"].into_iter();
    let output = kiln(words.chain([&*manifest.path.to_string_lossy()]))?.expect_status(0)?;
    let text = output.text();
    let picture: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    ensure(picture["processes"].is_array(), || text.clone())
}

/// The picture that `kiln top --once --json` shows of a program that computes.
fn top() -> Result<(), String> {
    // Its loader looks for libraries: servers are started by the first call to them.
    let program = compile::c("loop", Linkage::Dynamic)?;
    let words = [
        "top",
        "--once",
        "--json",
        "--interval",
        "0.8",
        "--cpus",
        "2",
        "--timeout",
        "40",
    ];
    let program = program.to_string_lossy();
    let output = kiln(words.iter().copied().chain(["--", &program, FOR_EVER]))?.expect_status(0)?;
    let text = output.text();
    let picture: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let processes = picture["processes"].as_array().ok_or("no processes")?;
    let named = |name: &str| {
        let found = processes.iter().find(|process| process["name"] == name);
        found.ok_or_else(|| format!("no {name} in {text}"))
    };
    let number = |value: &Value| value.as_f64().unwrap_or(-1.0);
    let busy = named("linux (loop)")?;
    ensure(number(&busy["processor_share"]) > 0.4, || text.clone())?;
    ensure(number(&busy["memory_bytes"]) >= 4096.0, || text.clone())?;
    ensure(number(&busy["kernel_calls_per_second"]) > 0.0, || {
        text.clone()
    })?;
    ensure(
        number(&named("image_root")?["served_per_second"]) > 0.0,
        || text.clone(),
    )?;
    ensure(named("name_space")?["ended"] == false, || text.clone())?;
    for cpu in ["0", "1"] {
        let shares = processes
            .iter()
            .map(|process| number(&process["processors"][cpu]).max(0.0));
        let all = shares.sum::<f64>() + number(&picture["idle"][cpu]);
        ensure((0.99..=1.01).contains(&all), || {
            format!("{all} of processor {cpu}: {text}")
        })?;
    }
    Ok(())
}

/// The methods that `kiln top --methods` finds, of servers in processes of their own and in the kernel.
fn top_of_methods() -> Result<(), String> {
    let program = compile::c("hello", Linkage::Dynamic)?;
    for (name, home) in [("own", "own"), ("kernel", "kernel")] {
        let text = format!(
            "name = \"top-methods-{name}\"\n[program]\npath = \"/bin/hello\"\n\
             [root]\nfrom = [{{ binary = \"{}\", to = \"/bin/hello\" }}]\n\
             [servers]\nname_space = {{ home = \"{home}\" }}\n\
             memory_fs = {{ home = \"{home}\" }}\nimage_root = {{ home = \"{home}\" }}\n",
            program.display()
        );
        let manifest = Written::new(&format!("top-methods-{name}"), &text)?;
        let words = ["top", "--methods", "--once", "--json", "--timeout", "40"].into_iter();
        let output = kiln(words.chain([&*manifest.path.to_string_lossy()]))?.expect_status(0)?;
        let text = output.text();
        let picture: Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let methods = picture["methods"].as_array().ok_or("no methods")?;
        let all_are_named = methods.iter().all(|method| {
            let name = method["name"].as_str().unwrap_or("method");
            !name.starts_with("method")
        });
        ensure(all_are_named, || text.clone())?;
        for wanted in ["file_tree.open", "address_space.map_file"] {
            let found = methods.iter().any(|method| {
                let positive = |key: &str| method[key].as_f64().is_some_and(|value| value > 0.0);
                method["name"] == wanted && positive("calls_per_second") && positive("mean_ns")
            });
            ensure(found, || format!("no {wanted}: {text}"))?;
        }
        let calls = picture["processes"].as_array().is_some_and(|processes| {
            processes.iter().any(|process| {
                process["name"] == "linux (hello)"
                    && process["calls_per_second"]
                        .as_f64()
                        .is_some_and(|calls| calls > 0.0)
            })
        });
        ensure(calls, || text.clone())?;
    }
    Ok(())
}

fn top_of_a_short_run() -> Result<(), String> {
    let program = program("hello")?;
    let program = program.to_string_lossy();
    let output = kiln(["top", "--once", "--timeout", "40", "--", &program])?.expect_status(0)?;
    let text = output.text();
    ensure(
        text.contains("linux (hello)") && text.contains("calls/s"),
        || text.clone(),
    )
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("trace::hello", hello);
    tests.add("trace::chosen_events", chosen);
    tests.add("trace::stopped_machine", stopped);
    tests.add("trace::waits_and_calls_to_other_processors", waits);
    tests.add("trace::rubbish_of_one_process", rubbish);
    tests.add("top::busy_program", top);
    tests.add("top::methods", top_of_methods);
    tests.add("top::short_run", top_of_a_short_run);
}
