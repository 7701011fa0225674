//! What waits takes no processor time of the host: every processor of the machine halts.

use std::time::Duration;

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, least_manifest};
use kiln_tests::machine::{Machine, Seen};

use super::processors::native_text;
use crate::Tests;

/// How long the programs wait, in seconds.
const SECONDS: u32 = 3;

/// What the start and the end of a machine may take with all its processors, and a look now and then.
const LEAST: Duration = Duration::from_millis(700);

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for cpus in [1, 4] {
        tests.add(format!("idle::a_sleeping_program_{cpus}"), move || {
            let slept = program("idle-sleeps", &[], cpus)?;
            let computed = program("idle-computes", &["computes"], cpus)?;
            // The measure itself, on a host that is busy with other things.
            ensure(computed > slept + Duration::from_millis(300), || {
                format!("{computed:?} for computing, {slept:?} for sleeping")
            })?;
            halts(slept)
        });
    }
    tests.add("idle::a_thread_that_waits_for_an_answer", || {
        native("idle-answer", "answer")
    });
    tests.add("idle::a_thread_that_waits_for_room", || {
        native("idle-room", "room")
    });
    tests.add("idle::a_call_that_waits_in_a_server", || {
        native("idle-served", "served")
    });
}

fn halts(used: Duration) -> Result<(), String> {
    ensure(used < LEAST, || {
        format!("{used:?} of processor time in {SECONDS} s of waiting")
    })
}

/// Boots an image and gives what it took.
fn boot(image: &Written, cpus: u32) -> Result<Seen, String> {
    let image = image.build()?;
    Machine::new("q35")
        .with(&format!("-m 64M -smp {cpus} -cpu max"))
        .kernel(&image)
        .run()
}

/// What a Linux program takes that waits, or computes, for some time.
fn program(name: &str, words: &[&str], cpus: u32) -> Result<Duration, String> {
    let seconds = SECONDS.to_string();
    let words: Vec<&str> = [&*seconds]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    let binary = compile::c("sleep", Linkage::Static)?;
    let manifest = least_manifest(name, &binary)
        .replace("[root]", &format!("args = {words:?}\n[root]"))
        .replace("memory = \"32M\"", "memory = \"64M\"");
    let seen = boot(&Written::new(&format!("{name}-{cpus}"), &manifest)?, cpus)?;
    seen.expect("slept\n", 0).map(|()| seen.used)
}

/// A native program waits in the way called `how` for a server that is pinned to another processor.
fn native(name: &str, how: &str) -> Result<(), String> {
    let args = ["idle", &(SECONDS * 1000).to_string(), how];
    let text = native_text(&args, "cpu = 0", "cpu = 1, pinned = true", "", 2, "q35");
    let seen = boot(&Written::new(name, &text)?, 2)?;
    let console = String::from_utf8_lossy(&seen.console).into_owned();
    ensure(
        seen.status == 1 && console.trim_end().ends_with(": ok"),
        || format!("status {}: {console}\n{}", seen.status, seen.messages),
    )?;
    halts(seen.used)
}
