//! The first line of a `#!` script.
//!
//! As in Linux: blanks after `#!` are skipped, the interpreter's path ends at a blank, and all that
//! follows, with blanks at its end cut, is one single argument.

use core::ops::Range;

/// How many bytes of a file the first line is looked for in (`BINPRM_BUF_SIZE`).
pub const LINE_BYTES: usize = 256;

/// How many scripts may run each other before there must be a program.
pub const DEPTH: usize = 4;

/// Why a script cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadScript {
    /// The line names no interpreter.
    NoInterpreter,
    /// The path of the interpreter does not end within the first [`LINE_BYTES`] bytes.
    LineTooLong,
}

/// Where interpreter and argument lie in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The interpreter's path.
    pub interpreter: Range<usize>,
    /// The single argument, if there is one.
    pub argument: Option<Range<usize>>,
}

/// Reads the start of a file (at most [`LINE_BYTES`] are looked at); `None` if it is no script.
///
/// # Errors
/// It is a script, but names no interpreter that can be made out.
pub fn parse(start: &[u8]) -> Option<Result<Script, BadScript>> {
    if !start.starts_with(b"#!") {
        return None;
    }
    let start = start.get(..LINE_BYTES).unwrap_or(start);
    let whole_line = start.iter().position(|byte| *byte == b'\n');
    // A NUL ends the line as well: C strings could not carry what follows.
    let end = whole_line.unwrap_or(start.len());
    let line = start.get(..end).unwrap_or_default();
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(end);
    let line = line.get(..end).unwrap_or_default();

    let first = skip_blanks(line, 2);
    let after = find_blank(line, first);
    if first == after {
        return Some(Err(if whole_line.is_none() && start.len() == LINE_BYTES {
            BadScript::LineTooLong
        } else {
            BadScript::NoInterpreter
        }));
    }
    if after == line.len() && whole_line.is_none() && start.len() == LINE_BYTES {
        return Some(Err(BadScript::LineTooLong));
    }
    let argument = skip_blanks(line, after);
    let mut last = line.len();
    while last > argument && line.get(last - 1).copied().is_some_and(is_blank) {
        last -= 1;
    }
    Some(Ok(Script {
        interpreter: first..after,
        argument: (argument < last).then_some(argument..last),
    }))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip_blanks(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_blank(**byte)).count()
}

fn find_blank(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| !is_blank(**byte)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parts<'a> = (&'a [u8], Option<&'a [u8]>);

    fn expected<'a>(
        path: &'a [u8],
        argument: Option<&'a [u8]>,
    ) -> Option<Result<Parts<'a>, BadScript>> {
        Some(Ok((path, argument)))
    }

    fn parts(line: &[u8]) -> Option<Result<Parts<'_>, BadScript>> {
        parse(line).map(|script| {
            script.map(|script| {
                (
                    &line[script.interpreter],
                    script.argument.map(|range| &line[range]),
                )
            })
        })
    }

    #[test]
    fn interpreter_and_one_argument() {
        assert_eq!(parts(b"#!/bin/sh\necho"), expected(b"/bin/sh", None));
        assert_eq!(parts(b"#! \t/bin/sh"), expected(b"/bin/sh", None));
        assert_eq!(
            parts(b"#!/usr/bin/env  -S python3 -u \t\n"),
            expected(b"/usr/bin/env", Some(b"-S python3 -u"))
        );
        assert_eq!(parts(b"\x7fELF"), None);
        assert_eq!(parts(b"#"), None);
    }

    #[test]
    fn lines_without_an_interpreter_are_refused() {
        assert_eq!(parts(b"#!"), Some(Err(BadScript::NoInterpreter)));
        assert_eq!(
            parts(b"#!  \t \n/bin/sh"),
            Some(Err(BadScript::NoInterpreter))
        );
        assert_eq!(parts(b"#!\0/bin/sh\n"), Some(Err(BadScript::NoInterpreter)));
    }

    #[test]
    fn a_path_must_end_in_the_first_bytes_of_the_file() {
        let mut line = std::vec![b'a'; 400];
        line[..3].copy_from_slice(b"#!/");
        assert_eq!(parts(&line), Some(Err(BadScript::LineTooLong)));
        line[250] = b' ';
        assert_eq!(parts(&line), expected(&line[2..250], Some(&line[251..256])));
    }

    proptest! {
        #[test]
        fn any_bytes_give_ranges_inside_the_line(tail: std::vec::Vec<u8>) {
            let mut line = b"#!".to_vec();
            line.extend(tail);
            if let Some(Ok((interpreter, argument))) = parts(&line) {
                prop_assert!(!interpreter.is_empty());
                prop_assert!(!interpreter.contains(&b'\n') && !interpreter.contains(&b' '));
                prop_assert!(argument.is_none_or(|argument| !argument.contains(&b'\n')));
            }
        }
    }
}
