//! Saying what was found, and which attack runs.

pub use kiln_test_report::{ensure, expect, failed, line};

/// Notes which attack runs from here on.
pub fn attack(name: &'static str) {
    kiln_test_report::set_part(name);
    if crate::is_set("verbose") {
        line(format_args!("- {name}"));
    }
}
