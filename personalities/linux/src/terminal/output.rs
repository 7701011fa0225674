//! What a terminal does to bytes on their way out.
//!
//! The column is tracked here, since tabs and the erasing of tabs depend on it.

use alloc::vec::Vec;

use super::settings::{Settings, output};

/// The side of a terminal that the program writes to.
#[derive(Debug)]
pub struct OutputSide {
    column: usize,
}

impl OutputSide {
    /// A terminal whose cursor is at the start of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { column: 0 }
    }

    /// Where the cursor is, counted from 0.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// Appends to `device` what the terminal's device gets for `bytes`.
    pub fn process(&mut self, settings: &Settings, bytes: &[u8], device: &mut Vec<u8>) {
        if settings.output & output::PROCESS == 0 {
            device.extend_from_slice(bytes);
            return;
        }
        for byte in bytes {
            self.byte(settings.output, *byte, device);
        }
    }

    fn byte(&mut self, flags: u32, byte: u8, device: &mut Vec<u8>) {
        match byte {
            b'\n' => {
                if flags & (output::NL_TO_CR_NL | output::NL_RETURNS) != 0 {
                    self.column = 0;
                }
                if flags & output::NL_TO_CR_NL != 0 {
                    device.push(b'\r');
                }
                device.push(b'\n');
            }
            b'\r' if flags & output::CR_TO_NL != 0 => {
                if flags & output::NL_RETURNS != 0 {
                    self.column = 0;
                }
                device.push(b'\n');
            }
            b'\r' => {
                if flags & output::NO_CR_AT_START != 0 && self.column == 0 {
                    return;
                }
                self.column = 0;
                device.push(b'\r');
            }
            b'\t' => {
                let spaces = 8 - self.column % 8;
                self.column += spaces;
                if flags & output::EXPAND_TABS == output::EXPAND_TABS {
                    device.extend(core::iter::repeat_n(b' ', spaces));
                } else {
                    device.push(b'\t');
                }
            }
            0x08 => {
                self.column = self.column.saturating_sub(1);
                device.push(byte);
            }
            _ => {
                let shown = if flags & output::TO_UPPER != 0 {
                    byte.to_ascii_uppercase()
                } else {
                    byte
                };
                // Continuation bytes of UTF-8 take no column.
                if byte >= 0x20 && byte & 0xc0 != 0x80 && byte != 0x7f {
                    self.column += 1;
                }
                device.push(shown);
            }
        }
    }
}

impl Default for OutputSide {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn shown(flags: u32, text: &str) -> String {
        let settings = Settings {
            output: flags,
            ..Settings::USUAL
        };
        let mut device = Vec::new();
        OutputSide::new().process(&settings, text.as_bytes(), &mut device);
        String::from_utf8(device).expect("is text")
    }

    #[test]
    fn ends_lines_as_a_terminal_wants_them() {
        assert_eq!(
            shown(output::PROCESS | output::NL_TO_CR_NL, "a\nb\n"),
            "a\r\nb\r\n"
        );
        assert_eq!(shown(output::PROCESS, "a\nb"), "a\nb");
        assert_eq!(shown(output::NL_TO_CR_NL, "a\nb"), "a\nb");
        assert_eq!(shown(output::PROCESS | output::CR_TO_NL, "a\rb"), "a\nb");
        assert_eq!(
            shown(output::PROCESS | output::NO_CR_AT_START, "\ra\r\r"),
            "a\r"
        );
    }

    #[test]
    fn expands_tabs() {
        let flags = output::PROCESS | output::EXPAND_TABS;
        assert_eq!(shown(flags, "ab\tc"), "ab      c");
        assert_eq!(shown(flags, "12345678\tc"), "12345678        c");
        assert_eq!(shown(flags, "\u{e4}\tc"), "\u{e4}       c");
        assert_eq!(shown(output::PROCESS, "ab\tc"), "ab\tc");
    }
}
