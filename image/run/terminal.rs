//! The user's terminal while a program has it: raw, and given back in any case.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Set while the terminal is raw: lines then need a carriage return of their own.
static RAW: AtomicBool = AtomicBool::new(false);

/// Whether the terminal is raw now.
pub fn is_raw() -> bool {
    RAW.load(Ordering::Relaxed)
}

/// The terminal on standard input in raw mode; gives it back when dropped.
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Makes standard input raw; none if that is no terminal.
    pub fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        RAW.store(true, Ordering::Relaxed);
        Some(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
        RAW.store(false, Ordering::Relaxed);
    }
}

/// Columns and rows of the terminal on standard output, if it is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
