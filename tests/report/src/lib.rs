//! Saying what a component of tests found: the first thing that is wrong ends the machine.
//!
//! For the program's process, which has the console; one that has none, a server, says it on the log and
//! ends itself: what comes of that is the program's to say.
#![no_std]
#![forbid(unsafe_code)]

mod order;

use core::fmt::{self, Arguments, Debug, Write};
use core::panic::Location;

use kiln_interface::kernel::{Console as _, Machine as _};
use kiln_object::startup::InitialObject;
use kiln_runtime::{SpinMutex, console, machine, startup};

pub use order::Order;

/// The part of the test that runs, for the message of one that fails.
static PART: SpinMutex<&'static str> = SpinMutex::new("failed");

/// One line at a time.
static WRITING: SpinMutex<()> = SpinMutex::new(());

struct Out;

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match console().write(rest) {
                Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
                _ => core::hint::spin_loop(),
            }
        }
        Ok(())
    }
}

/// Writes a line to the console.
pub fn line(text: Arguments<'_>) {
    let _writing = WRITING.lock();
    // The console takes all in the end.
    let _ = Out.write_fmt(text);
    let _ = Out.write_str("\n");
}

/// Notes which part of the test runs from here on.
pub fn set_part(name: &'static str) {
    *PART.lock() = name;
}

/// Ends the machine well, with `text` as the last line.
pub fn ended(text: Arguments<'_>) -> ! {
    line(text);
    off(0)
}

/// Says what is wrong and ends the machine with status 1.
pub fn failed(what: Arguments<'_>) -> ! {
    let name = *PART.lock();
    if startup().object(InitialObject::Machine).is_none() {
        kiln_runtime::log_line!("{name}: {what}");
        kiln_runtime::entry::exit(1);
    }
    line(format_args!("{name}: {what}"));
    off(1)
}

fn off(status: u32) -> ! {
    loop {
        let _ = machine().power_off(status);
    }
}

/// Ends the machine unless the two are equal.
#[track_caller]
pub fn expect<T: PartialEq + Debug>(found: T, wanted: T) {
    if found != wanted {
        let place = Location::caller();
        failed(format_args!(
            "{found:x?} instead of {wanted:x?} ({}:{})",
            place.file(),
            place.line()
        ));
    }
}

/// Ends the machine with `text` unless it holds.
#[track_caller]
pub fn check(holds: bool, text: Arguments<'_>) {
    if !holds {
        let place = Location::caller();
        failed(format_args!("{text} ({}:{})", place.file(), place.line()));
    }
}

/// Ends the machine unless it holds.
#[track_caller]
pub fn ensure(holds: bool, what: &str) {
    check(holds, format_args!("{what}"));
}

/// The value of a result that must be good.
#[track_caller]
pub fn good<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            let place = Location::caller();
            failed(format_args!(
                "{error:?} ({}:{})",
                place.file(),
                place.line()
            ))
        }
    }
}
