//! The terminal between a fake console and a program.

use super::device::fake::{RAISED, SHOWN, TYPED};
use super::*;

fn kind(bytes: &[u8]) {
    TYPED.with_borrow_mut(|typed| typed.extend(bytes));
}

fn shown() -> String {
    let shown = SHOWN.with_borrow_mut(core::mem::take);
    String::from_utf8(shown).expect("is text")
}

fn read(terminal: &Terminal, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; most];
    let count = terminal.read(&mut Destination::library(&mut bytes))?;
    bytes.truncate(count);
    Ok(bytes)
}

fn write(terminal: &Terminal, bytes: &[u8]) -> Result<usize, Errno> {
    terminal.write(&mut Source::library(bytes))
}

use std::string::String;
use std::vec;

#[test]
fn a_person_types_and_reads() {
    let terminal = Terminal::new();
    assert_eq!(write(&terminal, b"? "), Ok(2));
    kind(b"yes");
    assert_eq!(read(&terminal, 10), Err(Errno::EAGAIN));
    kind(b"\r");
    assert_eq!(terminal.readiness(), readiness::IN | readiness::OUT);
    assert_eq!(read(&terminal, 10), Ok(b"yes\n".to_vec()));
    assert_eq!(shown(), "? yes\r\n");
}

#[test]
fn lines_are_read_one_at_a_time_even_if_long() {
    let terminal = Terminal::new();
    kind(&[b'x'; 1500]);
    kind(b"\nsecond\n");
    assert_eq!(read(&terminal, 4096).map(|line| line.len()), Ok(1501));
    assert_eq!(read(&terminal, 4096), Ok(b"second\n".to_vec()));
}

#[test]
fn control_c_reaches_the_program() {
    let terminal = Terminal::new();
    kind(b"abc\x03");
    terminal.pump();
    assert_eq!(RAISED.take(), [2]);
    assert_eq!(shown(), "abc^C");
}

#[test]
fn streams_pass_bytes_unchanged() {
    let terminal = Terminal::new();
    terminal.initialise(b"quiet stdin=pipe stdout=pipe columns=132 rows=x");
    assert_eq!(terminal.sides(), (false, false));
    assert_eq!(terminal.state.lock().window.columns, 132);
    assert_eq!(terminal.state.lock().window.rows, 24);
    kind(b"\x03\r\x10\x10");
    assert_eq!(read(&terminal, 10), Ok(b"\x03\r\x10".to_vec()));
    assert_eq!(read(&terminal, 10), Err(Errno::EAGAIN));
    kind(b"\x10\x04");
    assert_eq!(read(&terminal, 10), Ok(Vec::new()));
    assert!(terminal.input_is_finished());
    assert_eq!(write(&terminal, b"a\nb"), Ok(3));
    assert_eq!(shown(), "a\nb");
}

#[test]
fn a_long_stream_is_read_in_large_pieces() {
    let terminal = Terminal::new();
    terminal.initialise(b"stdin=pipe");
    let long = vec![b'z'; 300_000];
    kind(&long);
    let mut total = 0;
    while let Ok(bytes) = read(&terminal, 8192) {
        total += bytes.len();
    }
    assert_eq!(total, long.len());
}

#[test]
fn stopped_output_waits() {
    let terminal = Terminal::new();
    kind(b"\x13");
    assert_eq!(write(&terminal, b"x"), Err(Errno::EAGAIN));
    kind(b"\x11");
    assert_eq!(write(&terminal, b"x"), Ok(1));
}
