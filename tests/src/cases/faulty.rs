//! Servers that fail in every way, and what their clients see of it.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};

use crate::Tests;

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for cpus in ["1", "2"] {
        let name = format!("faulty::servers_fail_and_are_started_again_{cpus}");
        tests.add(name, move || boot(cpus, "own"));
        let name = format!("faulty::a_post_mortem_has_the_last_events_{cpus}");
        tests.add(name, move || last_events(cpus));
    }
    // The clients of servers in the kernel die.
    tests.add("faulty::beside_servers_in_the_kernel", || {
        boot("2", "kernel")
    });
}

/// While events are noted, a post-mortem ends with the last ones of the server that died.
fn last_events(cpus: &str) -> Result<(), String> {
    let binary = compile::c("hello", Linkage::Static)?;
    let text = least_manifest("faulty", &binary).replacen("\"linux\"", "\"faulty\"", 1);
    let manifest = Written::new(&format!("faulty_events_{cpus}"), &text)?;
    let trace = manifest.path.with_extension("trace.json");
    let words = ["trace", "--timeout", "120", "--cpus", cpus, "-o"];
    let words = words.map(AsRef::<std::ffi::OsStr>::as_ref);
    let place = [trace.as_os_str(), manifest.path.as_os_str()];
    let log = kiln(words.into_iter().chain(place))?.expect_status(0)?.err;
    let death = "faulty_server: page fault reading 0x123456789000";
    let start = log.find(death).ok_or(format!("{death}: not in {log}"))?;
    let mortem = log.get(start..).unwrap_or_default();
    let end = mortem.find(" was started again").unwrap_or(mortem.len());
    let mortem = mortem.get(..end).unwrap_or_default();
    let events: Vec<(u64, &str)> = mortem.lines().filter_map(event).collect();
    // It was called, and its access faulted; 16 events at most are shown, in their order.
    for kind in ["Call", "Fault"] {
        ensure(events.iter().any(|(_, name)| *name == kind), || {
            format!("no {kind} among {events:?} in\n{mortem}")
        })?;
    }
    ensure(
        events.len() <= 16 && events.is_sorted_by_key(|(time, _)| *time),
        || format!("not the last in their order: {events:?}"),
    )
}

/// Time in us and kind of an event in a line of a post-mortem: `... 1234 us, processor 0: Call ...`.
fn event(line: &str) -> Option<(u64, &str)> {
    let (before, after) = line.split_once(" us, processor ")?;
    let time = before.rsplit(' ').next()?.parse().ok()?;
    let (_, kind) = after.split_once(": ")?;
    Some((time, kind.split(' ').next()?))
}

/// The file servers, which are clean, live in `home`.
fn boot(cpus: &str, home: &str) -> Result<(), String> {
    let binary = compile::c("hello", Linkage::Static)?;
    let text = least_manifest("faulty", &binary)
        .replacen("\"linux\"", "\"faulty\"", 1)
        .replace("home = \"own\"", &format!("home = {home:?}"));
    let manifest = Written::new(&format!("faulty_{home}_{cpus}"), &text)?;
    let output = kiln([
        "run".as_ref(),
        "--timeout".as_ref(),
        "120".as_ref(),
        "--cpus".as_ref(),
        cpus.as_ref(),
        manifest.path.as_os_str(),
    ])?
    .expect_status(0)?;
    ensure(output.text().trim_end().ends_with(" checks: ok"), || {
        output.text()
    })?;
    let warning = "kiln:warning:faulty_server: it is going to fail";
    ensure(
        output.err.contains(warning) && !output.err.contains("it begins"),
        || format!("not {warning} alone"),
    )?;
    post_mortems(&output.err)
}

/// What the log has of the servers that died.
fn post_mortems(log: &str) -> Result<(), String> {
    let after = |what: &str| {
        let start = log.find(what).ok_or(format!("{what}: not in {log}"))?;
        Ok::<&str, String>(log.get(start..).unwrap_or_default())
    };
    let call = "  in a call of faulty: method ";
    for (death, parts) in [
        (
            "faulty_server: page fault reading 0x123456789000 (error 0x4): nothing is mapped there",
            &[
                "  rip 00006",
                " in faulty_server: kiln_faulty::failures::",
                call,
            ][..],
        ),
        (
            "faulty_server: divide error (exception 0, error 0x0)",
            &["  rax 0000000000000001", ": kiln_faulty::failures::", call],
        ),
        (
            "faulty_server: panic: panicked at ",
            &["told to", " in faulty_server: ", call],
        ),
        (
            "faulty_server ends itself with status 3",
            &[" in faulty_server: ", call],
        ),
        (
            "faulty_server served one call for more than",
            &["  rip 00006", call],
        ),
        (
            "faulty_server waited in one call for more than 400 ms",
            &[" in faulty_server: ", "perhaps called from", call],
        ),
        (
            "faulty_server did not bring the page at 0x1000 of its file 7 within 400 ms",
            &[" in faulty_server: ", "perhaps called from"],
        ),
        (
            "faulty_server did not bring the page at 0xe000 of its file 7 within 400 ms",
            &["  rip 00006"],
        ),
        (
            "faulty_second did not bring the page at 0x1000 of its file 7 within 400 ms",
            &[" in faulty_second: "],
        ),
        (
            "faulty_late did not get ready within 300 ms",
            &[" in faulty_late: ", "kiln_runtime::entry::run"],
        ),
        (
            "faulty_second: page fault reading 0x123456789000",
            &["  in a call of faulty_server: method 2 of object 0x", call],
        ),
    ] {
        let mut rest = after(death)?;
        for part in parts {
            let end = rest.find(" was started again").unwrap_or(rest.len());
            let place = rest.get(..end).and_then(|mortem| mortem.find(part));
            let place =
                place.ok_or_else(|| format!("{death}: no {part:?} in\n{}", &rest[..end]))?;
            rest = rest.get(place..).unwrap_or_default();
        }
    }
    let stays = "faulty_stuck was started 3 times in a row without getting ready: it stays ended";
    ensure(log.contains(stays), || format!("not said: {stays}"))?;
    // Where the client called.
    let line = log.lines().find(|line| line.contains(call));
    ensure(
        line.is_some_and(|line| line.contains(" in faulty: kiln_")),
        || format!("no name of the function that called: {line:?}"),
    )
}
