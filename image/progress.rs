//! What Kiln says about its own work, always on standard error.
//!
//! Standard output belongs to the program that is run, or to the result that was
//! asked for. Steps are told only to a person (a terminal) or on request.

use std::io::{IsTerminal, Write};

/// Tells steps of the work, or keeps silent.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    verbose: bool,
    told: bool,
}

impl Progress {
    /// Talks if standard error is a terminal or `verbose` is wanted.
    pub fn new(verbose: bool) -> Self {
        Self {
            verbose,
            told: verbose || std::io::stderr().is_terminal(),
        }
    }

    /// Never talks.
    pub fn silent() -> Self {
        Self {
            verbose: false,
            told: false,
        }
    }

    /// Whether details are wanted.
    pub fn is_verbose(self) -> bool {
        self.verbose
    }

    /// Tells a step that may take a while.
    pub fn step(self, text: impl std::fmt::Display) {
        if self.told {
            say(format_args!("kiln: {text}"));
        }
    }

    /// Tells something that only matters when looking closely.
    pub fn detail(self, text: impl std::fmt::Display) {
        if self.verbose {
            say(format_args!("kiln: {text}"));
        }
    }

    /// Tells something the user should know in any case.
    pub fn warn(self, text: impl std::fmt::Display) {
        say(format_args!("kiln: warning: {text}"));
    }
}

/// Writes a line to standard error; a closed standard error is not our failure.
pub fn say(text: impl std::fmt::Display) {
    let end = if crate::run::is_raw() { "\r\n" } else { "\n" };
    let _ = write!(std::io::stderr().lock(), "{text}{end}");
}
