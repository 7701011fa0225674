//! A terminal's settings: the `termios` of the ABI and what its bits mean.
//!
//! Bit values and the order of the control characters are those of x86-64's `asm/termbits.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits of [`Settings::input`].
pub mod input {
    /// Strip the eighth bit.
    pub const STRIP: u32 = 0x20;
    /// NL becomes CR.
    pub const NL_TO_CR: u32 = 0x40;
    /// CR is ignored.
    pub const IGNORE_CR: u32 = 0x80;
    /// CR becomes NL.
    pub const CR_TO_NL: u32 = 0x100;
    /// Upper case becomes lower case.
    pub const TO_LOWER: u32 = 0x200;
    /// Start and stop characters control output.
    pub const FLOW: u32 = 0x400;
    /// Any character starts output again.
    pub const ANY_STARTS: u32 = 0x800;
    /// A character that finds the line full rings the bell.
    pub const BELL_WHEN_FULL: u32 = 0x2000;
    /// Erasing takes a whole UTF-8 character.
    pub const UTF8: u32 = 0x4000;
}

/// Bits of [`Settings::output`].
pub mod output {
    /// Output is processed at all.
    pub const PROCESS: u32 = 0x1;
    /// Lower case becomes upper case.
    pub const TO_UPPER: u32 = 0x2;
    /// NL becomes CR NL.
    pub const NL_TO_CR_NL: u32 = 0x4;
    /// CR becomes NL.
    pub const CR_TO_NL: u32 = 0x8;
    /// No CR in column 0.
    pub const NO_CR_AT_START: u32 = 0x10;
    /// NL does CR's work too.
    pub const NL_RETURNS: u32 = 0x20;
    /// Tabs become spaces.
    pub const EXPAND_TABS: u32 = 0x1800;
}

/// Bits of [`Settings::local`].
pub mod local {
    /// Characters may mean signals.
    pub const SIGNALS: u32 = 0x1;
    /// Input comes in edited lines.
    pub const CANONICAL: u32 = 0x2;
    /// Input is echoed.
    pub const ECHO: u32 = 0x8;
    /// Erase is shown as backspace, space, backspace.
    pub const ECHO_ERASE: u32 = 0x10;
    /// Kill is followed by a new line.
    pub const ECHO_KILL: u32 = 0x20;
    /// NL is echoed even without `ECHO`.
    pub const ECHO_NL: u32 = 0x40;
    /// Signals do not flush the queues.
    pub const NO_FLUSH: u32 = 0x80;
    /// Control characters are echoed as `^X`.
    pub const ECHO_CONTROL: u32 = 0x200;
    /// Kill erases the line on the screen.
    pub const ECHO_KILL_ERASE: u32 = 0x800;
    /// The extended characters work.
    pub const EXTENDED: u32 = 0x8000;
}

/// Places in [`Settings::characters`].
#[allow(missing_docs, reason = "the names are the characters'")]
pub mod character {
    pub const INTERRUPT: usize = 0;
    pub const QUIT: usize = 1;
    pub const ERASE: usize = 2;
    pub const KILL: usize = 3;
    pub const END_OF_FILE: usize = 4;
    pub const TIME: usize = 5;
    pub const MINIMUM: usize = 6;
    pub const START: usize = 8;
    pub const STOP: usize = 9;
    pub const SUSPEND: usize = 10;
    pub const END_OF_LINE: usize = 11;
    pub const REPRINT: usize = 12;
    pub const WORD_ERASE: usize = 14;
    pub const LITERAL_NEXT: usize = 15;
    pub const SECOND_END_OF_LINE: usize = 16;
}

/// The kernel's `struct termios` (36 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// `c_iflag`.
    pub input: u32,
    /// `c_oflag`.
    pub output: u32,
    /// `c_cflag`.
    pub control: u32,
    /// `c_lflag`.
    pub local: u32,
    /// `c_line`.
    pub discipline: u8,
    /// `c_cc`.
    pub characters: [u8; 19],
}

/// `struct termios2` (44 bytes): the same with speeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SettingsWithSpeeds {
    /// What `termios` has.
    pub settings: Settings,
    /// Bits per second, input.
    pub input_speed: u32,
    /// Bits per second, output.
    pub output_speed: u32,
}

/// `struct winsize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Unused by all.
    pub width: u16,
    /// Unused by all.
    pub height: u16,
}

impl WindowSize {
    /// What a terminal has whose size nobody told.
    pub const USUAL: WindowSize = WindowSize {
        rows: 24,
        columns: 80,
        width: 0,
        height: 0,
    };

    /// Takes the size from a word of the boot command line, `columns=N` or `rows=N`, if it is one.
    pub(super) fn learn(&mut self, word: &[u8]) {
        let number = |text: &[u8]| core::str::from_utf8(text).ok()?.parse::<u16>().ok();
        if let Some(count) = word.strip_prefix(b"columns=") {
            self.columns = number(count).unwrap_or(self.columns);
        } else if let Some(count) = word.strip_prefix(b"rows=") {
            self.rows = number(count).unwrap_or(self.rows);
        }
    }
}

impl Settings {
    /// What a terminal starts with: Linux's `tty_std_termios`, and UTF-8.
    pub const USUAL: Settings = Settings {
        input: input::CR_TO_NL | input::FLOW | input::UTF8,
        output: output::PROCESS | output::NL_TO_CR_NL,
        // B38400, eight bits, receiver on.
        control: 0x0f | 0x30 | 0x80,
        local: local::SIGNALS
            | local::CANONICAL
            | local::ECHO
            | local::ECHO_ERASE
            | local::ECHO_KILL
            | local::ECHO_CONTROL
            | local::ECHO_KILL_ERASE
            | local::EXTENDED,
        discipline: 0,
        characters: [
            0x03, 0x1c, 0x7f, 0x15, 0x04, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0,
            0, 0,
        ],
    };

    /// The control character at `place`; `None` if it is switched off.
    #[must_use]
    pub fn character(&self, place: usize) -> Option<u8> {
        self.characters
            .get(place)
            .copied()
            .filter(|character| *character != 0)
    }

    /// A count in `characters`: `TIME` or `MINIMUM`.
    #[must_use]
    pub fn count(&self, place: usize) -> usize {
        self.characters.get(place).copied().unwrap_or(0).into()
    }

    /// Whether all `bits` of [`local`] are on.
    #[must_use]
    pub const fn has(&self, bits: u32) -> bool {
        self.local & bits == bits
    }
}

const _: () = assert!(size_of::<Settings>() == 36);
const _: () = assert!(size_of::<SettingsWithSpeeds>() == 44);
