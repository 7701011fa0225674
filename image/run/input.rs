//! What is sent to the program's console for what Kiln reads from its own input.
//!
//! From a terminal, keys go as they are, except the escape key that reaches Kiln. From
//! anything else the end of input must be told apart from a byte of data, so DLE is an
//! escape: `DLE DLE` is one DLE, `DLE EOT` is the end.

/// Data link escape.
const DLE: u8 = 0x10;
/// End of transmission.
const EOT: u8 = 0x04;
/// Ctrl-A.
const ESCAPE: u8 = 0x01;

/// The bytes that end the input.
pub const END: [u8; 2] = [DLE, EOT];

/// Escapes a piece of data that does not come from a terminal.
pub fn escaped(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        if *byte == DLE {
            out.push(DLE);
        }
        out.push(*byte);
    }
    out
}

/// Looks for the escape key among keys from a terminal.
#[derive(Debug, Default)]
pub struct Keys {
    after_escape: bool,
}

/// What keys ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Send these to the program.
    Send(Vec<u8>),
    /// Stop the machine.
    Quit,
}

impl Keys {
    /// Takes a piece of what was typed.
    pub fn feed(&mut self, data: &[u8]) -> Typed {
        let mut out = Vec::with_capacity(data.len());
        for byte in data {
            match (self.after_escape, *byte) {
                (true, b'x' | b'X') => return Typed::Quit,
                (true, b'a' | ESCAPE) => out.push(ESCAPE),
                (true, other) => out.extend([ESCAPE, other]),
                (false, ESCAPE) => {
                    self.after_escape = true;
                    continue;
                }
                (false, other) => out.push(other),
            }
            self.after_escape = false;
        }
        Typed::Send(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dle_is_escaped() {
        assert_eq!(escaped(b"a\x04\x10b"), b"a\x04\x10\x10b");
    }

    #[test]
    fn the_escape_key_works_across_pieces() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"ls\x01"), Typed::Send(b"ls".to_vec()));
        assert_eq!(keys.feed(b"\x01\x03"), Typed::Send(b"\x01\x03".to_vec()));
        assert_eq!(keys.feed(b"\x01b"), Typed::Send(b"\x01b".to_vec()));
        assert_eq!(keys.feed(b"\x01"), Typed::Send(Vec::new()));
        assert_eq!(keys.feed(b"x"), Typed::Quit);
    }
}
