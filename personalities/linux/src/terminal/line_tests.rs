//! What a person at the keyboard sees, and what the program reads.

use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec;

struct Terminal {
    settings: Settings,
    side: InputSide,
    echo: Vec<u8>,
}

impl Terminal {
    fn new() -> Self {
        Self {
            settings: Settings::USUAL,
            side: InputSide::new(),
            echo: Vec::new(),
        }
    }

    fn with_local(flags: u32) -> Self {
        let mut terminal = Self::new();
        terminal.settings.local = flags;
        terminal
    }

    fn kind(&mut self, text: &[u8]) -> Option<Signal> {
        text.iter()
            .filter_map(|byte| self.side.receive(&self.settings, *byte, 0, &mut self.echo))
            .last()
    }

    fn read(&mut self, most: usize) -> Option<String> {
        let mut bytes = vec![0; most];
        match self.side.take(&self.settings, &mut bytes) {
            Taken::Bytes(count) => {
                bytes.truncate(count);
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Taken::EndOfFile => Some(String::new()),
            Taken::Nothing => None,
        }
    }

    fn echoed(&mut self) -> String {
        String::from_utf8_lossy(&core::mem::take(&mut self.echo)).into_owned()
    }
}

#[test]
fn a_line_is_read_when_it_is_complete() {
    let mut terminal = Terminal::new();
    terminal.kind(b"one");
    assert_eq!(terminal.read(10), None);
    terminal.kind(b"\rtwo\r");
    assert_eq!(terminal.read(10), Some("one\n".into()));
    assert_eq!(terminal.read(2), Some("tw".into()));
    assert_eq!(terminal.read(2), Some("o\n".into()));
    assert_eq!(terminal.read(2), None);
    assert_eq!(terminal.echoed(), "one\ntwo\n");
}

#[test]
fn a_line_can_be_edited() {
    let mut terminal = Terminal::new();
    terminal.kind(b"catx\x7f\x7fr\n");
    assert_eq!(terminal.read(10), Some("car\n".into()));
    assert_eq!(terminal.echoed(), "catx\x08 \x08\x08 \x08r\n");
    terminal.kind(b"\x7f\x7fa\n");
    assert_eq!(terminal.read(10), Some("a\n".into()));
    terminal.kind(b"all wrong\x15right\n");
    assert_eq!(terminal.read(10), Some("right\n".into()));
    terminal.kind(b"two  words \x17more\n");
    assert_eq!(terminal.read(20), Some("two  more\n".into()));
}

#[test]
fn erasing_takes_whole_characters() {
    let mut terminal = Terminal::new();
    terminal.kind("a\u{e4}".as_bytes());
    terminal.echoed();
    terminal.kind(b"\x7f");
    assert_eq!(terminal.echoed(), "\x08 \x08");
    terminal.kind(b"b\n");
    assert_eq!(terminal.read(10), Some("ab\n".into()));
}

#[test]
fn erasing_a_tab_goes_back_to_where_it_began() {
    let mut terminal = Terminal::new();
    terminal.kind(b"abc\t");
    terminal.echoed();
    terminal.kind(b"\x7f");
    assert_eq!(terminal.echoed(), "\x08".repeat(5));
}

#[test]
fn the_end_of_file_ends_a_line_or_the_file() {
    let mut terminal = Terminal::new();
    terminal.kind(b"part\x04\x04");
    assert_eq!(terminal.read(10), Some("part".into()));
    assert_eq!(terminal.read(10), Some(String::new()));
    assert_eq!(terminal.read(10), None);
}

#[test]
fn an_exactly_full_read_leaves_no_end_of_file_behind() {
    let mut terminal = Terminal::new();
    terminal.kind(b"abc\x04");
    assert_eq!(terminal.read(3), Some("abc".into()));
    assert_eq!(terminal.read(3), None);
}

#[test]
fn the_next_character_can_be_literal() {
    let mut terminal = Terminal::new();
    assert_eq!(terminal.kind(b"\x16\x03\n"), None);
    assert_eq!(terminal.read(10), Some("\x03\n".into()));
}

#[test]
fn reprint_shows_the_line_again() {
    let mut terminal = Terminal::new();
    terminal.kind(b"ab\x12");
    assert_eq!(terminal.echoed(), "ab^R\nab");
}

#[test]
fn characters_raise_signals_and_flush() {
    let mut terminal = Terminal::new();
    assert_eq!(terminal.kind(b"lost\x03"), Some(Signal::Interrupt));
    assert_eq!(terminal.echoed(), "lost^C");
    assert_eq!(terminal.kind(b"\n"), None);
    assert_eq!(terminal.read(10), Some("\n".into()));
    assert_eq!(terminal.kind(b"\x1c"), Some(Signal::Quit));
    assert_eq!(terminal.kind(b"\x1a"), Some(Signal::Suspend));
    let mut raw = Terminal::with_local(0);
    assert_eq!(raw.kind(b"\x03\x04"), None);
    assert_eq!(raw.read(10), Some("\x03\x04".into()));
}

#[test]
fn raw_input_is_read_byte_by_byte() {
    let mut terminal = Terminal::with_local(0);
    terminal.settings.input = 0;
    terminal.kind(b"a\r");
    assert!(terminal.side.is_readable(&terminal.settings));
    assert_eq!(terminal.read(10), Some("a\r".into()));
    assert_eq!(terminal.echoed(), "");
    terminal.settings.characters[character::MINIMUM] = 3;
    terminal.kind(b"ab");
    assert!(!terminal.side.is_readable(&terminal.settings));
    terminal.kind(b"c");
    assert!(terminal.side.is_readable(&terminal.settings));
}

#[test]
fn changing_the_mode_keeps_what_was_typed() {
    let mut terminal = Terminal::new();
    terminal.kind(b"ab");
    let raw = Settings {
        local: 0,
        ..Settings::USUAL
    };
    terminal.side.settings_changed(&terminal.settings, &raw);
    terminal.settings = raw;
    assert_eq!(terminal.read(1), Some("a".into()));
    terminal.side.settings_changed(&raw, &Settings::USUAL);
    terminal.settings = Settings::USUAL;
    assert_eq!(terminal.read(10), Some("b".into()));
}

#[test]
fn flow_control_stops_output() {
    let mut terminal = Terminal::new();
    terminal.kind(b"\x13");
    assert!(terminal.side.output_stopped());
    terminal.kind(b"\x11");
    assert!(!terminal.side.output_stopped());
    assert_eq!(terminal.echoed(), "");
}

#[test]
fn a_line_longer_than_the_queue_still_ends() {
    let mut terminal = Terminal::new();
    terminal.kind(&[b'x'; 5000]);
    terminal.kind(b"\n");
    let line = terminal.read(8192).expect("is complete");
    assert_eq!(line.len(), QUEUE_BYTES);
    assert!(line.ends_with("x\n"));
}

proptest! {
    #[test]
    fn nothing_typed_breaks_the_discipline(
        typed in proptest::collection::vec(any::<u8>(), 0..500),
        input: u32, local: u32, reads in proptest::collection::vec(0usize..20, 0..20),
    ) {
        let mut terminal = Terminal::new();
        terminal.settings.input = input;
        terminal.settings.local = local;
        let mut reads = reads.into_iter();
        for byte in &typed {
            terminal.kind(&[*byte]);
            let queued = terminal.side.ready.len();
            prop_assert!(terminal.side.lines.iter().sum::<usize>() <= queued);
            prop_assert!(queued + terminal.side.edited.len() <= QUEUE_BYTES);
            if byte % 16 == 0 && let Some(most) = reads.next() {
                terminal.read(most);
            }
        }
    }
}
