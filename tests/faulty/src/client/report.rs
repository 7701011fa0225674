//! Saying what was found: the first thing that is wrong ends the machine.

use core::fmt::{self, Write};

use kiln_interface::kernel::{Console as _, Machine as _};
use kiln_runtime::{console, machine, startup};

struct Out;

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match console().write(rest) {
                Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes a line to the console.
pub fn line(text: fmt::Arguments<'_>) {
    // The console takes all in the end.
    let _ = Out.write_fmt(text);
    let _ = Out.write_str("\n");
}

/// Says what is wrong and ends the machine with status 1.
pub fn failed(what: fmt::Arguments<'_>) -> ! {
    line(format_args!("failed: {what}"));
    loop {
        let _ = machine().power_off(1);
    }
}

/// Ends the machine unless the two are equal.
#[track_caller]
pub fn expect<T: PartialEq + fmt::Debug>(found: T, wanted: T) {
    if found != wanted {
        let place = core::panic::Location::caller();
        failed(format_args!(
            "{found:x?} instead of {wanted:x?} ({}:{})",
            place.file(),
            place.line()
        ));
    }
}

/// The value of a result that must be good.
#[track_caller]
pub fn good<T, E: fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            let place = core::panic::Location::caller();
            failed(format_args!(
                "{error:?} ({}:{})",
                place.file(),
                place.line()
            ))
        }
    }
}

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
