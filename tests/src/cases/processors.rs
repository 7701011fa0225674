//! One image on one, two, four and eight processors, and several processes on one.

use std::time::Duration;

use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln};
use kiln_tests::machine::Machine;
use kiln_tests::places;

use crate::Tests;

/// QEMU plays one processor after the other: interleavings are many and the same in each run.
const IN_TURN: &str = "-icount shift=0,sleep=off";

/// A manifest of the component that tests processors.
#[derive(Debug, Default, Clone, Copy)]
struct Image<'a> {
    /// What the program is told.
    args: &'a [&'a str],
    /// Further keys of `[program]`.
    program: &'a str,
    /// Keys of the server `load`.
    load: &'a str,
    /// Further tables.
    tables: &'a str,
    cpus: u32,
    /// What the log has to have.
    said: &'a str,
}

/// The text of a manifest of that component: see [`Image`].
pub fn native_text(
    args: &[&str],
    program: &str,
    load: &str,
    tables: &str,
    cpus: u32,
    model: &str,
) -> String {
    format!(
        "name = \"processors\"\npersonality = \"processors\"\n\
         drivers = [\"serial\", \"debug_console\"]\n\
         [program]\npath = \"/\"\nargs = {args:?}\n{program}\n\
         [root]\nfrom = []\nwritable = false\n\
         [servers]\nname_space = {{}}\nimage_root = {{}}\nload = {{ {load} }}\n\
         [machine]\nmemory = \"64M\"\ncpus = {cpus}\nmodel = \"{model}\"\n{tables}"
    )
}

impl Image<'_> {
    fn boot(&self, name: &str, model: &str, how: &str) -> Result<(), String> {
        let Image {
            args,
            program,
            load,
            tables,
            cpus,
            said,
        } = self;
        let text = native_text(args, program, load, tables, *cpus, model);
        let image = Written::new(name, &text)?.build()?;
        let seen = Machine::new(model)
            .with(&format!("-m 64M -smp {cpus} {how}"))
            .option("-cpu", "qemu64,+fsgsbase,+rdtscp,+smep,+smap")
            .kernel(&image)
            .limit(Duration::from_secs(240))
            .run()?;
        let console = String::from_utf8_lossy(&seen.console).into_owned();
        ensure(
            seen.status == 1 && console.trim_end().ends_with(": ok"),
            || format!("status {}: {console}\n{}", seen.status, seen.messages),
        )?;
        ensure(seen.messages.contains(said), || {
            format!("no {said:?} in {}", seen.messages)
        })
    }
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for (model, cpus) in [("microvm", 1), ("q35", 2), ("microvm", 4), ("q35", 8)] {
        for (test, rounds) in [("calls", "1000"), ("mapping", "1500")] {
            let name = format!("processors::{test}_{cpus}");
            tests.add(name.clone(), move || {
                let args = [test, rounds];
                let image = Image {
                    args: &args,
                    cpus,
                    ..Image::default()
                };
                image.boot(&name.replace("::", "-"), model, IN_TURN)
            });
        }
    }
    // The same at once, as far as the host has processors; it takes long where it has few.
    for (test, rounds) in [("calls", "200"), ("mapping", "20")] {
        tests.add(format!("processors::{test}_at_once"), move || {
            let args = [test, rounds];
            let image = Image {
                args: &args,
                cpus: 4,
                ..Image::default()
            };
            image.boot(&format!("processors-{test}-at-once"), "q35", "")
        });
    }
    let domains = |name: &'static str, args: &'static [&'static str], program, load, tables| {
        (
            name,
            Image {
                args,
                program,
                load,
                tables,
                cpus: 1,
                said: "",
            },
        )
    };
    for (name, image) in [
        domains(
            "one_share_of_four",
            &["domains", "22", "28"],
            "domain = \"a\"",
            "domain = \"b\"",
            "[domains.a]\nshare = 100\n[domains.b]\nshare = 300\n",
        ),
        domains(
            "three_shares_of_four",
            &["domains", "72", "78"],
            "domain = \"b\"",
            "domain = \"a\"",
            "[domains.a]\nshare = 100\n[domains.b]\nshare = 300\n",
        ),
        domains(
            "a_limit_holds_on_an_idle_processor",
            &["alone", "23", "27"],
            "domain = \"a\"",
            "",
            "[domains.a]\nlimit = 25\n",
        ),
        domains(
            "background_delays_nobody",
            &["domains", "98", "100"],
            "",
            "domain = \"b\"",
            "[domains.b]\nclass = \"background\"\n",
        ),
        domains(
            "background_gets_what_is_left",
            &["domains", "48", "52"],
            "domain = \"b\"",
            "domain = \"a\"",
            "[domains.a]\nlimit = 50\n[domains.b]\nclass = \"background\"\n",
        ),
        domains(
            "realtime_runs_first",
            &["domains", "98", "100"],
            "domain = \"a\"",
            "domain = \"b\"",
            "[domains.a]\nclass = \"realtime\"\n[domains.b]\nshare = 10000\n",
        ),
        domains(
            "nobody_runs_beside_realtime_but_for_its_limit",
            &["domains", "38", "42"],
            "domain = \"b\"",
            "domain = \"a\"",
            "[domains.a]\nclass = \"realtime\"\nlimit = 60\n[domains.b]\nshare = 10000\n",
        ),
        domains(
            "idle_delays_nobody_not_even_background",
            &["domains", "98", "100"],
            "domain = \"a\"",
            "domain = \"b\"",
            "[domains.a]\nclass = \"background\"\n[domains.b]\nclass = \"idle\"\nshare = 10000\n",
        ),
        domains(
            "idle_gets_what_is_left",
            &["domains", "48", "52"],
            "domain = \"b\"",
            "domain = \"a\"",
            "[domains.a]\nclass = \"background\"\nlimit = 50\n[domains.b]\nclass = \"idle\"\n",
        ),
        domains(
            "an_endless_call_is_ended",
            &["endless", "100"],
            "",
            "call-limit = \"100ms\"",
            "",
        ),
        domains(
            "an_endless_wait_is_ended",
            &["unanswered", "100"],
            "",
            "answer-limit = \"100ms\"",
            "",
        ),
        (
            "an_endless_wait_of_a_pinned_server_is_ended",
            Image {
                args: &["unanswered", "100"],
                program: "",
                load: "cpu = 1, pinned = true, answer-limit = \"100ms\"",
                tables: "",
                cpus: 2,
                said: "in a call of processors on processor 0: method 5 of object 0x",
            },
        ),
        (
            "a_crowd_calls_a_server_from_2_processors",
            Image {
                args: &["crowd", "5"],
                program: "cpu = 0",
                load: "cpu = 1, pinned = true",
                cpus: 2,
                ..Image::default()
            },
        ),
        (
            "a_crowd_calls_a_server_from_4_processors",
            Image {
                args: &["crowd", "5"],
                program: "cpu = 0",
                load: "cpu = 1, pinned = true",
                cpus: 4,
                ..Image::default()
            },
        ),
        (
            "who_waits_for_room_too_long_is_answered",
            Image {
                args: &["full"],
                program: "cpu = 0",
                load: "cpu = 1, pinned = true, answer-limit = \"50ms\"",
                cpus: 4,
                ..Image::default()
            },
        ),
        (
            "a_thread_that_waits_for_room_too_long_is_answered",
            Image {
                args: &["room", "100"],
                program: "cpu = 0",
                load: "cpu = 1, pinned = true, answer-limit = \"100ms\"",
                cpus: 2,
                ..Image::default()
            },
        ),
        (
            "messages_from_2_processors",
            Image {
                args: &["messages", "300"],
                cpus: 2,
                ..Image::default()
            },
        ),
        (
            "messages_from_3_processors",
            Image {
                args: &["messages", "300"],
                cpus: 3,
                ..Image::default()
            },
        ),
        (
            "messages_from_8_processors",
            Image {
                args: &["messages", "200"],
                cpus: 8,
                ..Image::default()
            },
        ),
        (
            "who_never_takes_its_messages_costs_nobody_1",
            Image {
                args: &["deaf", "10"],
                cpus: 1,
                ..Image::default()
            },
        ),
        (
            "who_never_takes_its_messages_costs_nobody_4",
            Image {
                args: &["deaf", "10"],
                cpus: 4,
                ..Image::default()
            },
        ),
        (
            "a_circle_of_servers_without_room_4",
            Image {
                args: &["circle", "2"],
                cpus: 4,
                ..Image::default()
            },
        ),
        (
            "a_circle_of_servers_without_room_8",
            Image {
                args: &["circle", "2"],
                cpus: 8,
                ..Image::default()
            },
        ),
        (
            "who_never_collects_answers_delays_nobody",
            Image {
                args: &["hoard", "6"],
                program: "cpu = 0",
                load: "cpu = 1, pinned = true",
                cpus: 2,
                ..Image::default()
            },
        ),
        (
            "calls_to_a_pinned_server",
            Image {
                args: &["remote", "200"],
                program: "",
                load: "cpu = 1, pinned = true",
                tables: "",
                cpus: 2,
                said: "",
            },
        ),
    ] {
        tests.add(format!("processors::{name}"), move || {
            image.boot(&format!("processors-{name}"), "microvm", IN_TURN)
        });
    }
    tests.add(
        "processors::a_program_over_a_pinned_file_server",
        pinned_files,
    );
}

/// A Linux program lists and reads files that a server on another processor has, directly and through
/// another server, as it does where all are on one.
fn pinned_files() -> Result<(), String> {
    let list = |name: &str, image_root: &str| {
        let sources = places::sources();
        let text = format!(
            "name = \"{name}\"\n[program]\npath = \"/bin/ls\"\nargs = [\"-lR\", \"/docs\", \"/bin\"]\n\
             [root]\nfrom = [{{ binary = \"/bin/ls\" }}, {{ directory = \"{}\", to = \"/docs\" }}]\n\
             [servers]\nname_space = {{}}\nmemory_fs = {{}}\nimage_root = {{ {image_root} }}\n\
             [machine]\ncpus = 2\n",
            sources.join("docs").display()
        );
        let manifest = Written::new(name, &text)?;
        let output = kiln(["run", "--timeout", "60", &manifest.path.to_string_lossy()])?;
        let listed = String::from_utf8_lossy(&output.out).into_owned();
        ensure(
            output.status == 0 && listed.contains("architecture.md"),
            || format!("status {}: {listed}\n{}", output.status, output.err),
        )?;
        Ok::<_, String>(listed)
    };
    let pinned = list("processors-files-pinned", "cpu = 1, pinned = true")?;
    let together = list("processors-files-together", "cpu = 0")?;
    ensure(pinned == together, || {
        format!("not the same:\n{pinned}\n{together}")
    })
}
