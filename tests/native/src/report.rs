//! What the component says, and how it ends when something is wrong.

use alloc::format;
use core::fmt::Arguments;

use kiln_interface::kernel::{Console as _, Machine as _};
use kiln_runtime::{console, machine};

/// Writes a line on the console.
pub fn line(text: Arguments<'_>) {
    let text = format!("{text}\n");
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match console().write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(_) => core::hint::spin_loop(),
        }
    }
}

/// Says what is wrong, and ends the machine.
pub fn failed(text: Arguments<'_>) -> ! {
    line(text);
    loop {
        let _ = machine().power_off(1);
    }
}

/// Ends the machine with `text` if `holds` does not.
#[track_caller]
pub fn check(holds: bool, text: Arguments<'_>) {
    if !holds {
        let place = core::panic::Location::caller();
        failed(format_args!("{place}: {text}"));
    }
}
