//! Saying what was found: the first thing that is wrong ends the machine.

use core::fmt::{self, Write};

use kiln_interface::kernel::{Console as _, Machine as _};
use kiln_object::startup::InitialObject;
use kiln_runtime::{console, machine, startup};

/// The name of the attack that runs, for the message of one that fails.
static ATTACK: kiln_runtime::SpinMutex<&'static str> = kiln_runtime::SpinMutex::new("start");

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

/// Notes which attack runs from here on.
pub fn attack(name: &'static str) {
    *ATTACK.lock() = name;
    if crate::is_set("verbose") {
        line(format_args!("- {name}"));
    }
}

/// Says what is wrong and ends the machine with status 1.
pub fn failed(what: fmt::Arguments<'_>) -> ! {
    let name = *ATTACK.lock();
    if startup().object(InitialObject::Machine).is_none() {
        // A server: what comes of its end is the program's to say.
        kiln_runtime::log_line!("{name}: {what}");
        kiln_runtime::entry::exit(1);
    }
    line(format_args!("{name}: {what}"));
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

/// Ends the machine unless it holds.
#[track_caller]
pub fn ensure(holds: bool, what: &str) {
    if !holds {
        let place = core::panic::Location::caller();
        failed(format_args!("{what} ({}:{})", place.file(), place.line()));
    }
}
