//! The log as an object: what servers and the personality say about themselves.

use alloc::sync::Arc;
use core::fmt::{self, Write};

use kiln_interface::kernel::{Log, LogDispatch, log_level};
use kiln_object::{Dispatch, Error};

use crate::process::Process;

struct Lines(&'static Process);

/// The object for `process`; its name stands before each line that is not a record.
#[must_use]
pub fn log(process: &'static Process) -> Arc<dyn Dispatch> {
    Arc::new(LogDispatch(Lines(process)))
}

impl Lines {
    fn say(&self, prefix: &str, text: &[u8]) {
        crate::log::line(prefix, format_args!("{}: {}", self.0.name(), Lossy(text)));
    }
}

impl Log for Lines {
    fn line(&self, text: &[u8]) -> Result<(), Error> {
        // Only the program's process may speak in records, and not in those that are the kernel's.
        if self.0.is_program() && text.starts_with(b"kiln:strace:") {
            crate::log::line("", format_args!("{}", Lossy(text)));
        } else {
            self.say("kiln:error:", text);
        }
        Ok(())
    }

    fn line_of(&self, level: u32, text: &[u8]) -> Result<(), Error> {
        self.say(prefix(level), text);
        Ok(())
    }
}

fn prefix(level: u32) -> &'static str {
    match level {
        log_level::INFORMATION => "kiln:info:",
        log_level::WARNING => "kiln:warning:",
        _ => "kiln:error:",
    }
}

/// Bytes shown as text on one line: what is no character, or ends the line, becomes a mark.
struct Lossy<'a>(&'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                let shown = if character.is_control() && character != '\t' {
                    char::REPLACEMENT_CHARACTER
                } else {
                    character
                };
                formatter.write_char(shown)?;
            }
            if !chunk.invalid().is_empty() {
                formatter.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lossy, log_level, prefix};
    use alloc::string::ToString;

    #[test]
    fn what_is_no_level_is_trouble() {
        assert_eq!(prefix(log_level::INFORMATION), "kiln:info:");
        assert_eq!(prefix(log_level::WARNING), "kiln:warning:");
        for level in [log_level::ERROR, 3, u32::MAX] {
            assert_eq!(prefix(level), "kiln:error:");
        }
    }

    #[test]
    fn a_line_stays_one_line_of_text() {
        let shown = Lossy(b"a\xff b\nkiln:exit:0").to_string();
        assert_eq!(shown, "a\u{fffd} b\u{fffd}kiln:exit:0");
    }
}
