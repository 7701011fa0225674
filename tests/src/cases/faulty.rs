//! Servers that fail in every way, and what their clients see of it.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};

use crate::Tests;

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for cpus in ["1", "2"] {
        let name = format!("faulty::servers_fail_and_are_started_again_{cpus}");
        tests.add(name, move || boot(cpus));
    }
}

fn boot(cpus: &str) -> Result<(), String> {
    let binary = compile::c("hello", Linkage::Static)?;
    let text = least_manifest("faulty", &binary).replacen("\"linux\"", "\"faulty\"", 1);
    let manifest = Written::new(&format!("faulty_{cpus}"), &text)?;
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
    })
}
