//! A component that attacks the kernel and the servers, in place of a program.

use kiln_tests::attack::{self, nobody_ended_but};
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};

use crate::Tests;

/// Calls of all processes in an image.
const CALLS: u64 = 150_000;

/// What attacks must have done with success, among much else.
const REACHED: [&str; 12] = [
    "address_space.map_file",
    "address_space.relocate",
    "paged_file.share",
    "paged_file.supply",
    "file_tree.open_writable",
    "file.read",
    "file.write",
    "universal.accept",
    "universal.take_back",
    "page read (BadBuffer: refused)",
    "page written (BadBuffer: refused)",
    "page brought to others",
];

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("hostile::attacks_and_random_calls", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("hostile", &binary)
            .replacen("\"linux\"", "\"hostile\"", 1)
            .replace("writable = false", "writable = true")
            .replace("[machine]", "memory_fs = { home = \"own\" }\n[machine]")
            .replace(
                "{ home = \"own\" }",
                "{ home = \"own\", restart = \"never\" }",
            )
            .replace("memory = \"32M\"", "memory = \"64M\"");
        let manifest = Written::new("hostile", &text)?;
        let output = kiln([
            "run".as_ref(),
            "--timeout".as_ref(),
            "240".as_ref(),
            manifest.path.as_os_str(),
        ])?
        .expect_status(0)?;
        nobody_ended_but("hostile_server", &output.err)?;
        // It ends with another status, and says why, if an attack got an answer that it must not.
        ensure(output.text().trim_end().ends_with(": ok"), || output.text())
    });
    for image in attack::IMAGES {
        let name = format!("hostile::several_processes_at_once_{}", image.name);
        tests.add(name, move || {
            let asked = attack::Asked {
                seed: 1,
                calls: CALLS,
                from: 1,
            };
            let report = image.attack(asked)?;
            let answered = |what: &str| {
                let answers = report.answers.get(what);
                answers.and_then(|answers| answers.get("OK")).copied()
            };
            // Each kind of thing was reached, not only refused.
            for what in REACHED {
                ensure(answered(what).is_some_and(|count| count > 0), || {
                    format!("{what} never went well: {:?}", report.answers)
                })?;
            }
            Ok(())
        });
    }
}
