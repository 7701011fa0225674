//! Boots images with unmodified programs, and checks what the programs do.
//!
//! Each test is named `family::what`; a word on the command line picks the tests whose names
//! contain it. Where the host has the same program, the host says what is right.
#![forbid(unsafe_code)]

mod cases;

use std::process::ExitCode;

use kiln_tests::places;
use libtest_mimic::{Arguments, Trial};

/// What a test does; its error is what it found wrong.
type Case = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// The tests, as they are gathered.
#[derive(Default)]
struct Tests(Vec<Trial>);

impl Tests {
    /// Adds a test.
    fn add(
        &mut self,
        name: impl Into<String>,
        case: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) {
        let case: Case = Box::new(case);
        self.0
            .push(Trial::test(name, move || case().map_err(Into::into)));
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A machine has one busy processor for the most part; more machines than processors time out.
    arguments.test_threads.get_or_insert(2);
    if !arguments.list {
        // What packages depend on is asked anew once in each run.
        let _ = std::fs::remove_dir_all(places::locks());
    }
    let mut tests = Tests::default();
    cases::add(&mut tests);
    libtest_mimic::run(&arguments, tests.0).exit_code()
}
