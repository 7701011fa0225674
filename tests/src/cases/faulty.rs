//! Servers that fail in every way, and what their clients see of it.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};

use crate::Tests;

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("faulty::servers_fail_and_are_started_again", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("faulty", &binary).replacen("\"linux\"", "\"faulty\"", 1);
        let manifest = Written::new("faulty", &text)?;
        let output = kiln([
            "run".as_ref(),
            "--timeout".as_ref(),
            "120".as_ref(),
            manifest.path.as_os_str(),
        ])?
        .expect_status(0)?;
        ensure(output.text().trim_end().ends_with(" checks: ok"), || {
            output.text()
        })
    });
}
