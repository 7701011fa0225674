//! What the runtime gives native processes, tested by a component in place of a program.

use std::time::Duration;

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};
use kiln_tests::machine::Machine;

use crate::Tests;

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("native::threads_on_1_processor", || threads("1"));
    tests.add("native::threads_on_2_processors", || threads("2"));
    tests.add("native::threads_on_4_processors", || threads("4"));
    tests.add("native::threads_on_8_processors", || threads("8"));
    tests.add("native::threads_on_an_old_processor", || {
        let seen = Machine::new("microvm")
            .with("-cpu qemu64 -m 128M -smp 2")
            .kernel(&manifest("native_old")?.build()?)
            .limit(Duration::from_secs(120))
            .run()?;
        let text = String::from_utf8_lossy(&seen.console);
        // QEMU's status for the image's 0.
        let is_good = seen.status == 1 && text.trim_end().ends_with("all: ok");
        ensure(is_good, || text.clone().into_owned())
    });
}

fn manifest(name: &str) -> Result<Written, String> {
    let binary = compile::c("hello", Linkage::Static)?;
    let text = least_manifest("native", &binary)
        .replacen("\"linux\"", "\"native_test\"", 1)
        .replace("memory = \"32M\"", "memory = \"128M\"");
    Written::new(name, &text)
}

/// Runs the component with so many processors.
fn threads(cpus: &str) -> Result<(), String> {
    let manifest = manifest(&format!("native_{cpus}"))?;
    let output = kiln([
        "run".as_ref(),
        "--cpus".as_ref(),
        cpus.as_ref(),
        "--timeout".as_ref(),
        "120".as_ref(),
        manifest.path.as_os_str(),
    ])?
    .expect_status(0)?;
    // It ends with another status, and says why, if something is wrong.
    ensure(output.text().trim_end().ends_with("all: ok"), || {
        output.text()
    })
}
