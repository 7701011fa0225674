//! Lines for whoever built the image, formatted without the heap.

use core::fmt::{self, Write};

use kiln_interface::kernel::Log as _;
pub use kiln_interface::kernel::log_level;

/// Longest line; what is longer is cut.
pub const LINE_BYTES: usize = 512;

/// Formats a line about trouble and writes it to the log object; a line that cannot be written is dropped.
#[macro_export]
macro_rules! log_line {
    ($($argument:tt)*) => {
        $crate::diagnostics::write(::core::format_args!($($argument)*))
    };
}

/// As [`log_line!`](crate::log_line), about what its reader may want to change, or should know of.
#[macro_export]
macro_rules! log_warning {
    ($($argument:tt)*) => {
        $crate::diagnostics::write_of(
            $crate::diagnostics::log_level::WARNING,
            ::core::format_args!($($argument)*),
        )
    };
}

/// As [`log_line!`](crate::log_line), about the ordinary course of things: shown to those who look closely.
#[macro_export]
macro_rules! log_information {
    ($($argument:tt)*) => {
        $crate::diagnostics::write_of(
            $crate::diagnostics::log_level::INFORMATION,
            ::core::format_args!($($argument)*),
        )
    };
}

/// What [`log_line!`](crate::log_line) calls.
pub fn write(arguments: fmt::Arguments<'_>) {
    let line = Line::of(arguments);
    // There is nowhere left to report that the log did not take it.
    let _ = crate::log().line(line.bytes());
}

/// What the macros for lines of another level call.
pub fn write_of(level: u32, arguments: fmt::Arguments<'_>) {
    let line = Line::of(arguments);
    // As in `write`.
    let _ = crate::log().line_of(level, line.bytes());
}

/// A line in the making.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            length: 0,
        }
    }
}

impl Line {
    fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut line = Self::default();
        // A full line is cut, which is no failure.
        let _ = line.write_fmt(arguments);
        line
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let taken = text.floor_char_boundary(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..taken), text.as_bytes().get(..taken)) {
            to.copy_from_slice(from);
        }
        self.length += taken;
        if taken == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut line = Line::default();
        let result = write!(line, "{}éy", "x".repeat(LINE_BYTES - 1));
        assert!(result.is_err());
        assert_eq!(line.bytes().len(), LINE_BYTES - 1);
        let mut line = Line::default();
        assert!(write!(line, "{}-é", 1).is_ok());
        assert_eq!(line.bytes(), "1-é".as_bytes());
    }
}
