//! Saying what was found, and what the command line asks for.

use kiln_runtime::startup;
pub use kiln_test_report::{expect, failed, good, line};

/// What the command line says in the word `NAME=`.
fn said(name: &str) -> Option<&'static str> {
    let mut words = startup().command_line().split(|byte| *byte == b' ');
    let value = words.find_map(|word| {
        let value = word.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })?;
    core::str::from_utf8(value).ok()
}

/// The number that the command line gives the word `NAME=`.
pub fn number(name: &str) -> Option<u64> {
    said(name)?.parse().ok()
}

/// Whether the command line chooses that group, or none.
pub fn is_wanted(group: &str) -> bool {
    said("only").is_none_or(|chosen| chosen == group)
}
