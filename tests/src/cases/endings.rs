//! How programs end: statuses, signals, faults.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::Run;

use super::c_programs::{in_image, on_host};
use crate::Tests;

/// Ends as on the host.
fn ends(words: &[&str]) -> Result<(), String> {
    let program = compile::c("end", Linkage::Static)?;
    let host = on_host(&program, words)?;
    let output = in_image(&Run::new(), &program, words)?.expect_same(&host)?;
    // Whoever runs the image learns why a fault ended the program.
    let asked_for = ["status", "_exit", "abort", "kill", "raise"].contains(&words[0]);
    ensure(asked_for || !output.err.trim().is_empty(), || {
        format!("died with {} and nothing was said", host.status)
    })
}

const WAYS: &[&[&str]] = &[
    &["status", "0"],
    &["status", "3"],
    &["status", "255"],
    &["status", "124"],
    &["status", "128"],
    &["_exit", "42"],
    &["abort"],
    &["kill", "9"],
    &["kill", "15"],
    &["raise", "2"],
    &["raise", "17"],
    &["null-read"],
    &["null-write"],
    &["null-call"],
    &["wild-call"],
    &["wild-read"],
    &["kernel-read"],
    &["non-canonical"],
    &["stack"],
    &["divide"],
    &["illegal"],
    &["breakpoint"],
    &["privileged"],
    &["port"],
    &["text-write"],
    &["data-execute"],
    &["stack-execute"],
    &["read-only"],
    &["unmapped"],
];

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for &words in WAYS {
        tests.add(format!("ends::{}", words.join("_")), move || ends(words));
    }
    tests.add("ends::time_is_up", || {
        // Waits for input that does not come: the pipe stays open as long as the test.
        let program = compile::c("sleep", Linkage::Static)?;
        let run = Run::new().limit(3);
        in_image(&run, &program, &["1000"])?.expect_status(124)?;
        Ok(())
    });
    tests.add("ends::stack_overflow_is_named", || {
        let program = compile::c("end", Linkage::Static)?;
        in_image(&Run::new(), &program, &["stack"])?
            .expect_status(139)?
            .expect_message("stack")?;
        Ok(())
    });
}
