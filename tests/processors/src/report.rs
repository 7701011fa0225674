//! Saying what was found: the first thing that is wrong ends the machine.

use core::fmt::{self, Write};

use kiln_interface::kernel::{Console as _, Machine as _};
use kiln_runtime::{SpinMutex, console, machine};

struct Out;

/// One line at a time.
static WRITING: SpinMutex<()> = SpinMutex::new(());

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
    let _writing = WRITING.lock();
    // The console takes all in the end.
    let _ = Out.write_fmt(text);
    let _ = Out.write_str("\n");
}

/// Ends the machine well.
pub fn ended(what: fmt::Arguments<'_>) -> ! {
    line(what);
    off(0)
}

/// Says what is wrong and ends the machine with status 1.
pub fn failed(what: fmt::Arguments<'_>) -> ! {
    line(what);
    off(1)
}

fn off(status: u32) -> ! {
    loop {
        let _ = machine().power_off(status);
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
