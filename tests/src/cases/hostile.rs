//! A component that attacks the kernel and the servers, in place of a program.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};

use crate::Tests;

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("hostile::attacks_and_random_calls", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("hostile", &binary)
            .replacen("\"linux\"", "\"hostile\"", 1)
            .replace("writable = false", "writable = true")
            .replace("[machine]", "memory_fs = { home = \"own\" }\n[machine]")
            .replace("memory = \"32M\"", "memory = \"64M\"");
        let manifest = Written::new("hostile", &text)?;
        let output = kiln([
            "run".as_ref(),
            "--timeout".as_ref(),
            "240".as_ref(),
            manifest.path.as_os_str(),
        ])?
        .expect_status(0)?;
        // It ends with another status, and says why, if an attack got an answer that it must not.
        ensure(output.text().trim_end().ends_with(": ok"), || output.text())
    });
}
