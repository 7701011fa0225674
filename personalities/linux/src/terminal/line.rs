//! The line discipline: what is typed becomes what is read.
//!
//! In canonical mode a line becomes readable when it is complete; until then it can be edited. A
//! line of length zero among the complete ones is an end of file. Nothing here does I/O: bytes go
//! in one by one, echo comes out as bytes that still want output processing.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::settings::{Settings, character, input, local};

/// Bytes that wait to be read at most, in edited and in complete lines together.
pub const QUEUE_BYTES: usize = 4096;

/// A signal that a character asks for; the numbers are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt = 2,
    /// `SIGQUIT`.
    Quit = 3,
    /// `SIGTSTP`.
    Suspend = 20,
}

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many bytes were stored.
    Bytes(usize),
    /// The end of the file was typed.
    EndOfFile,
    /// Nothing yet.
    Nothing,
}

/// The side of a terminal that the program reads from.
#[derive(Debug)]
pub struct InputSide {
    /// The line being edited.
    edited: Vec<u8>,
    /// Bytes that can be read.
    ready: VecDeque<u8>,
    /// Lengths of the complete lines at the front of `ready`; only in canonical mode.
    lines: VecDeque<usize>,
    /// The next byte is taken as it is.
    literal: bool,
    /// Output is stopped.
    stopped: bool,
    /// Column where the edited line starts on the screen.
    start_column: usize,
}

impl InputSide {
    /// A terminal at which nothing was typed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            edited: Vec::new(),
            ready: VecDeque::new(),
            lines: VecDeque::new(),
            literal: false,
            stopped: false,
            start_column: 0,
        }
    }

    /// Whether the stop character holds output back.
    #[must_use]
    pub const fn output_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether more bytes can be taken in without losing any.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.edited.len() + self.ready.len() < QUEUE_BYTES
    }

    /// Takes one byte from the device. `column` is where the cursor is.
    pub fn receive(
        &mut self,
        settings: &Settings,
        byte: u8,
        column: usize,
        echo: &mut Vec<u8>,
    ) -> Option<Signal> {
        let mut byte = byte;
        if settings.input & input::STRIP != 0 {
            byte &= 0x7f;
        }
        if settings.input & input::TO_LOWER != 0 && settings.has(local::EXTENDED) {
            byte = byte.to_ascii_lowercase();
        }
        if self.edited.is_empty() {
            self.start_column = column;
        }
        if core::mem::take(&mut self.literal) {
            self.insert(settings, byte, echo);
            return None;
        }
        let is = |place| settings.character(place) == Some(byte);

        if settings.input & input::FLOW != 0 {
            if is(character::START) {
                self.stopped = false;
                return None;
            }
            if is(character::STOP) {
                self.stopped = true;
                return None;
            }
            if settings.input & input::ANY_STARTS != 0 {
                self.stopped = false;
            }
        }
        if settings.has(local::SIGNALS) {
            let signal = if is(character::INTERRUPT) {
                Some(Signal::Interrupt)
            } else if is(character::QUIT) {
                Some(Signal::Quit)
            } else if is(character::SUSPEND) {
                Some(Signal::Suspend)
            } else {
                None
            };
            if let Some(signal) = signal {
                if !settings.has(local::NO_FLUSH) {
                    self.flush();
                }
                self.stopped = false;
                show(settings, byte, echo);
                return Some(signal);
            }
        }
        match byte {
            b'\r' if settings.input & input::IGNORE_CR != 0 => return None,
            b'\r' if settings.input & input::CR_TO_NL != 0 => byte = b'\n',
            b'\n' if settings.input & input::NL_TO_CR != 0 => byte = b'\r',
            _ => {}
        }
        if settings.has(local::CANONICAL) {
            self.edit(settings, byte, echo);
        } else {
            self.insert(settings, byte, echo);
        }
        None
    }

    fn edit(&mut self, settings: &Settings, byte: u8, echo: &mut Vec<u8>) {
        let is = |place| settings.character(place) == Some(byte);
        let extended = settings.has(local::EXTENDED);
        if is(character::ERASE) {
            self.erase_character(settings, echo);
        } else if extended && is(character::WORD_ERASE) {
            self.erase_word(settings, echo);
        } else if is(character::KILL) {
            self.kill(settings, byte, echo);
        } else if extended && is(character::LITERAL_NEXT) {
            self.literal = true;
            if settings.has(local::ECHO | local::ECHO_CONTROL) {
                echo.extend_from_slice(b"^\x08");
            }
        } else if extended && settings.has(local::ECHO) && is(character::REPRINT) {
            show(settings, byte, echo);
            echo.push(b'\n');
            self.start_column = 0;
            for typed in &self.edited {
                show(settings, *typed, echo);
            }
        } else if byte == b'\n' {
            if settings.has(local::ECHO) || settings.has(local::ECHO_NL) {
                echo.push(b'\n');
            }
            self.edited.push(byte);
            self.complete();
        } else if is(character::END_OF_FILE) {
            self.complete();
        } else if is(character::END_OF_LINE) || (extended && is(character::SECOND_END_OF_LINE)) {
            show(settings, byte, echo);
            self.edited.push(byte);
            self.complete();
        } else {
            self.insert(settings, byte, echo);
        }
    }

    fn insert(&mut self, settings: &Settings, byte: u8, echo: &mut Vec<u8>) {
        // One place stays free for the character that ends the line.
        if self.edited.len() + self.ready.len() >= QUEUE_BYTES - 1 {
            if settings.input & input::BELL_WHEN_FULL != 0 {
                echo.push(0x07);
            }
            return;
        }
        if byte == b'\n' && settings.has(local::ECHO) {
            echo.push(b'\n');
        } else {
            show(settings, byte, echo);
        }
        if settings.has(local::CANONICAL) {
            self.edited.push(byte);
        } else {
            self.ready.push_back(byte);
        }
    }

    fn complete(&mut self) {
        self.lines.push_back(self.edited.len());
        self.ready.extend(self.edited.drain(..));
    }

    fn erase_character(&mut self, settings: &Settings, echo: &mut Vec<u8>) -> Option<u8> {
        let mut first = self.edited.pop()?;
        if settings.input & input::UTF8 != 0 {
            while first & 0xc0 == 0x80 {
                match self.edited.pop() {
                    Some(byte) => first = byte,
                    None => break,
                }
            }
        }
        if settings.has(local::ECHO) {
            if settings.has(local::ECHO_ERASE) {
                for _ in 0..self.width(settings, first) {
                    if first == b'\t' {
                        echo.push(0x08);
                    } else {
                        echo.extend_from_slice(b"\x08 \x08");
                    }
                }
            } else if let Some(erase) = settings.character(character::ERASE) {
                show(settings, erase, echo);
            }
        }
        Some(first)
    }

    /// Columns that `byte` takes if it was typed after what is in the edited line.
    fn width(&self, settings: &Settings, byte: u8) -> usize {
        match byte {
            b'\t' => {
                let column =
                    self.edited
                        .iter()
                        .fold(self.start_column, |column, typed| match typed {
                            b'\t' => column + 8 - column % 8,
                            typed => column + plain_width(settings, *typed),
                        });
                8 - column % 8
            }
            byte => plain_width(settings, byte),
        }
    }

    fn erase_word(&mut self, settings: &Settings, echo: &mut Vec<u8>) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        while self.edited.last().is_some_and(|byte| !is_word(byte)) {
            self.erase_character(settings, echo);
        }
        while self.edited.last().is_some_and(is_word) {
            self.erase_character(settings, echo);
        }
    }

    fn kill(&mut self, settings: &Settings, byte: u8, echo: &mut Vec<u8>) {
        if settings.has(local::ECHO | local::ECHO_KILL | local::ECHO_KILL_ERASE | local::ECHO_ERASE)
        {
            while self.erase_character(settings, echo).is_some() {}
            return;
        }
        self.edited.clear();
        if settings.has(local::ECHO) {
            show(settings, byte, echo);
            if settings.has(local::ECHO_KILL) {
                echo.push(b'\n');
            }
        }
    }

    /// Forgets everything that was typed and not read.
    pub fn flush(&mut self) {
        self.edited.clear();
        self.ready.clear();
        self.lines.clear();
        self.literal = false;
    }

    /// Takes over new settings: what waits changes between lines and single bytes.
    pub fn settings_changed(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (old.has(local::CANONICAL), new.has(local::CANONICAL));
        if was && !is {
            self.lines.clear();
            self.ready.extend(self.edited.drain(..));
            self.literal = false;
        } else if is && !was && !self.ready.is_empty() {
            self.lines.push_back(self.ready.len());
        }
        if new.input & input::FLOW == 0 {
            self.stopped = false;
        }
    }

    /// Bytes that a read could take now.
    #[must_use]
    pub fn available(&self, settings: &Settings) -> usize {
        if settings.has(local::CANONICAL) && self.lines.is_empty() {
            0
        } else {
            self.ready.len()
        }
    }

    /// Whether a read would not wait.
    #[must_use]
    pub fn is_readable(&self, settings: &Settings) -> bool {
        if settings.has(local::CANONICAL) {
            return !self.lines.is_empty();
        }
        let minimum = match settings.count(character::TIME) {
            0 => settings.count(character::MINIMUM).max(1),
            _ => 1,
        };
        self.ready.len() >= minimum
    }

    /// Takes what can be read: at most one line in canonical mode.
    pub fn take(&mut self, settings: &Settings, bytes: &mut [u8]) -> Taken {
        let mut most = self.ready.len();
        if settings.has(local::CANONICAL) {
            match self.lines.front_mut() {
                None => return Taken::Nothing,
                Some(0) => {
                    self.lines.pop_front();
                    return Taken::EndOfFile;
                }
                Some(line) => {
                    most = *line;
                    *line -= most.min(bytes.len());
                }
            }
            if most <= bytes.len() {
                self.lines.pop_front();
            }
        }
        if most == 0 {
            return Taken::Nothing;
        }
        let count = most.min(bytes.len());
        for (place, byte) in bytes.iter_mut().zip(self.ready.drain(..count)) {
            *place = byte;
        }
        Taken::Bytes(count)
    }
}

impl Default for InputSide {
    fn default() -> Self {
        Self::new()
    }
}

fn plain_width(settings: &Settings, byte: u8) -> usize {
    match byte {
        0..0x20 | 0x7f if settings.has(local::ECHO_CONTROL) => 2,
        0..0x20 | 0x7f => 0,
        byte if byte & 0xc0 == 0x80 && settings.input & input::UTF8 != 0 => 0,
        _ => 1,
    }
}

/// Echoes `byte` as the settings want a typed character shown.
fn show(settings: &Settings, byte: u8, echo: &mut Vec<u8>) {
    if !settings.has(local::ECHO) {
        return;
    }
    if settings.has(local::ECHO_CONTROL) && (byte < 0x20 || byte == 0x7f) && byte != b'\t' {
        echo.extend_from_slice(&[b'^', byte ^ 0x40]);
    } else {
        echo.push(byte);
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
