//! The lines that an image sends to whoever runs it, on the debug console.
//!
//! `kiln:exit:N` and `kiln:exit:panic` say how it ended, `kiln:strace:TEXT` shows a system
//! call, `kiln:info:TEXT` is for those who look closely. Any other line is trouble.

/// One line from the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The program ended with this status (128 and more: by a signal).
    Exit(u8),
    /// The kernel gave up.
    Panic,
    /// A system call, as strace shows it.
    SystemCall(String),
    /// For those who look closely.
    Info(String),
    /// Trouble: shown in any case.
    Trouble(String),
}

impl Message {
    /// Reads one line, without its end.
    pub fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        let Some(ours) = text.strip_prefix("kiln:") else {
            return Self::Trouble(text.to_owned());
        };
        match ours.split_once(':') {
            Some(("exit", "panic")) => Self::Panic,
            Some(("exit", status)) => match status.trim().parse() {
                Ok(status) => Self::Exit(status),
                Err(_) => Self::Trouble(text.to_owned()),
            },
            Some(("strace", call)) => Self::SystemCall(call.to_owned()),
            Some(("info", words)) => Self::Info(words.to_owned()),
            _ => Self::Trouble(text.to_owned()),
        }
    }
}

/// Cuts a stream of bytes into lines; what is too long for a line is cut there.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// An image must not be able to make Kiln's memory grow without end.
    const LONGEST: usize = 64 << 10;

    /// Adds bytes and hands each line that they complete to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for byte in bytes {
            if *byte == b'\n' || self.partial.len() >= Self::LONGEST {
                each(&self.partial);
                self.partial.clear();
            }
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
        }
    }

    /// Hands the last line to `each` if it had no end.
    pub fn finish(self, mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(Message::parse(b"kiln:exit:0"), Message::Exit(0));
        assert_eq!(Message::parse(b"kiln:exit:139\r"), Message::Exit(139));
        assert_eq!(Message::parse(b"kiln:exit:panic"), Message::Panic);
        assert_eq!(
            Message::parse(b"kiln:strace:read(0, \"a:b\", 4) = 3"),
            Message::SystemCall("read(0, \"a:b\", 4) = 3".to_owned())
        );
        assert_eq!(
            Message::parse(b"kiln:info:up"),
            Message::Info("up".to_owned())
        );
        for odd in [
            "kiln:exit:256",
            "kiln:exit:",
            "kiln:new:x",
            "kiln:",
            "page fault",
        ] {
            assert_eq!(
                Message::parse(odd.as_bytes()),
                Message::Trouble(odd.to_owned())
            );
        }
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in [&b"on"[..], b"e\ntwo\n\nth", b"ree"] {
            lines.feed(piece, |line| {
                seen.push(String::from_utf8_lossy(line).into_owned())
            });
        }
        lines.finish(|line| seen.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!(seen, ["one", "two", "", "three"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let mut longest = 0;
        for _ in 0..40 {
            lines.feed(&[b'x'; 8192], |line| longest = longest.max(line.len()));
        }
        assert_eq!(longest, Lines::LONGEST);
    }

    proptest! {
        #[test]
        fn whatever_an_image_sends_is_lines_of_bounded_length(
            bytes in damaged(
                b"kiln:exit:0\nkiln:exit:panic\nkiln:strace:read(0) = 3\nkiln:info:up\nhello\r\n",
                &["kiln:", "exit:", "strace:", "\n", "\r", "-", "256", "\u{fffd}"],
            ),
            piece in 1..20_usize,
        ) {
            let mut lines = Lines::default();
            let mut whole = Vec::new();
            let mut take = |line: &[u8]| {
                let _ = Message::parse(line);
                whole.extend_from_slice(line);
                whole.push(b'\n');
            };
            for piece in bytes.chunks(piece) {
                lines.feed(piece, &mut take);
            }
            lines.finish(&mut take);
            let mut expected = bytes.clone();
            if !bytes.is_empty() && !bytes.ends_with(b"\n") {
                expected.push(b'\n');
            }
            prop_assert_eq!(whole, expected);
        }
    }
}
