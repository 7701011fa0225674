//! Arguments as text.
//!
//! What an argument points at is read from the program's memory; where that fails the address is
//! shown, as strace does.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use linux_raw_sys::general as abi;

use super::signal_name;
use crate::call::Call;
use crate::errno::Answer;
use crate::program_memory;
use crate::table::Argument;

/// Most bytes of a string that are shown.
const SHOWN_BYTES: usize = 32;

/// Most strings of an array that are shown.
const SHOWN_STRINGS: usize = 16;

const OPEN_FLAGS: &[(u64, &str)] = &[
    (abi::O_CREAT as u64, "O_CREAT"),
    (abi::O_EXCL as u64, "O_EXCL"),
    (abi::O_NOCTTY as u64, "O_NOCTTY"),
    (abi::O_TRUNC as u64, "O_TRUNC"),
    (abi::O_APPEND as u64, "O_APPEND"),
    (abi::O_NONBLOCK as u64, "O_NONBLOCK"),
    (abi::O_SYNC as u64, "O_SYNC"),
    (abi::O_DSYNC as u64, "O_DSYNC"),
    (abi::O_DIRECT as u64, "O_DIRECT"),
    (abi::O_LARGEFILE as u64, "O_LARGEFILE"),
    // O_TMPFILE holds O_DIRECTORY.
    ((abi::O_TMPFILE) as u64, "O_TMPFILE"),
    (abi::O_DIRECTORY as u64, "O_DIRECTORY"),
    (abi::O_NOFOLLOW as u64, "O_NOFOLLOW"),
    (abi::O_NOATIME as u64, "O_NOATIME"),
    (abi::O_CLOEXEC as u64, "O_CLOEXEC"),
    (abi::O_PATH as u64, "O_PATH"),
];

/// Formats the arguments; those that the call answers are left for [`after`].
pub(super) fn before(call: &Call<'_>, arguments: &[Argument]) -> Vec<String> {
    arguments
        .iter()
        .enumerate()
        .take_while(|(n, argument)| !is_left_out(call, *n, arguments, **argument))
        .map(|(n, argument)| {
            let mut text = String::new();
            push(&mut text, call, n, *argument);
            text
        })
        .collect()
}

/// Formats the arguments that the call has answered.
pub(super) fn after(call: &Call<'_>, arguments: &[Argument], answer: Answer, texts: &mut [String]) {
    let Ok(length) = answer else { return };
    for (n, (argument, text)) in arguments.iter().zip(texts).enumerate() {
        if matches!(argument, Argument::BytesOut | Argument::TextOut) {
            text.clear();
            push_bytes(text, call.pointer(n), length);
        }
    }
}

/// Whether the argument is a mode that the flags before it do not ask for.
fn is_left_out(call: &Call<'_>, n: usize, arguments: &[Argument], argument: Argument) -> bool {
    let flags = n.checked_sub(1).and_then(|flags| arguments.get(flags));
    let makes_file = u64::from(abi::O_CREAT | (abi::O_TMPFILE & !abi::O_DIRECTORY));
    matches!(
        (flags, argument),
        (Some(Argument::OpenFlags), Argument::Mode)
    ) && call.long(n - 1) & makes_file == 0
}

// Formatting into a string does not fail, so the results of `write!` are of no interest.
fn push(text: &mut String, call: &Call<'_>, n: usize, argument: Argument) {
    let value = call.long(n);
    match argument {
        Argument::Signed | Argument::Descriptor => {
            let _ = write!(text, "{}", call.integer(n));
        }
        Argument::Unsigned => {
            let _ = write!(text, "{value}");
        }
        Argument::Hexadecimal => push_hexadecimal(text, value),
        Argument::Mode => {
            let _ = write!(text, "0{:o}", call.unsigned(n));
        }
        Argument::Pointer | Argument::BytesOut | Argument::TextOut => push_pointer(text, value),
        Argument::Directory => {
            if call.integer(n) == abi::AT_FDCWD {
                text.push_str("AT_FDCWD");
            } else {
                let _ = write!(text, "{}", call.integer(n));
            }
        }
        Argument::Text => push_string(text, value),
        Argument::BytesIn(length) => push_bytes(text, value, call.long(length)),
        Argument::Strings => push_strings(text, value),
        Argument::Flags(names) => push_flags(text, value, names),
        Argument::Choice(names) => match names.iter().find(|(known, _)| *known == value) {
            Some((_, name)) => text.push_str(name),
            None => push_hexadecimal(text, value),
        },
        Argument::OpenFlags => push_open_flags(text, value),
        Argument::Signal => match signal_name(call.unsigned(n)) {
            Some(name) => text.push_str(name),
            None if call.unsigned(n) > 31 && call.unsigned(n) <= 64 => {
                let _ = write!(text, "SIGRT_{}", call.unsigned(n) - 32);
            }
            None => {
                let _ = write!(text, "{}", call.integer(n));
            }
        },
    }
}

fn push_hexadecimal(text: &mut String, value: u64) {
    let _ = match value {
        0 => write!(text, "0"),
        value => write!(text, "{value:#x}"),
    };
}

fn push_pointer(text: &mut String, address: u64) {
    let _ = match address {
        0 => write!(text, "NULL"),
        address => write!(text, "{address:#x}"),
    };
}

fn push_flags(text: &mut String, value: u64, names: &[(u64, &str)]) {
    if value == 0 {
        let name = names.iter().find(|(bits, _)| *bits == 0);
        text.push_str(name.map_or("0", |(_, name)| name));
        return;
    }
    let start = text.len();
    let rest = push_names(text, value, names);
    if rest != 0 {
        if text.len() > start {
            text.push('|');
        }
        let _ = write!(text, "{rest:#x}");
    }
}

/// Appends the names of the bits, longest values first as listed; answers the bits without a name.
fn push_names(text: &mut String, value: u64, names: &[(u64, &str)]) -> u64 {
    let start = text.len();
    let mut rest = value;
    for (bits, name) in names {
        if *bits != 0 && rest & bits == *bits {
            if text.len() > start {
                text.push('|');
            }
            text.push_str(name);
            rest &= !bits;
        }
    }
    rest
}

fn push_open_flags(text: &mut String, value: u64) {
    let value = value & u64::from(u32::MAX);
    let access = u64::from(abi::O_ACCMODE);
    text.push_str(match (value & access) as u32 {
        abi::O_RDONLY => "O_RDONLY",
        abi::O_WRONLY => "O_WRONLY",
        abi::O_RDWR => "O_RDWR",
        _ => "O_ACCMODE",
    });
    let rest = value & !access;
    if rest != 0 {
        text.push('|');
        push_flags(text, rest, OPEN_FLAGS);
    }
}

fn push_string(text: &mut String, address: u64) {
    if address == 0 {
        text.push_str("NULL");
        return;
    }
    match program_memory::path(address) {
        Ok(string) => push_quoted(text, &string, false),
        Err(_) => push_pointer(text, address),
    }
}

fn push_bytes(text: &mut String, address: u64, length: u64) {
    if address == 0 {
        text.push_str("NULL");
        return;
    }
    let mut bytes = [0; SHOWN_BYTES];
    let shown = length.min(SHOWN_BYTES as u64) as usize;
    let bytes = bytes.get_mut(..shown).unwrap_or_default();
    match program_memory::copy_in(address, bytes) {
        Ok(()) => push_quoted(text, bytes, length > SHOWN_BYTES as u64),
        Err(_) => push_pointer(text, address),
    }
}

fn push_strings(text: &mut String, address: u64) {
    if address == 0 {
        text.push_str("NULL");
        return;
    }
    text.push('[');
    for index in 0..SHOWN_STRINGS as u64 {
        let Ok(string) = program_memory::read::<u64>(address.wrapping_add(index * 8)) else {
            push_pointer(text, address);
            break;
        };
        if string == 0 {
            text.push(']');
            return;
        }
        if index > 0 {
            text.push_str(", ");
        }
        push_string(text, string);
    }
    text.push_str(", ...]");
}

fn push_quoted(text: &mut String, bytes: &[u8], cut: bool) {
    text.push('"');
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            0x0b => text.push_str("\\v"),
            0x0c => text.push_str("\\f"),
            0x20..=0x7e => text.push(char::from(*byte)),
            byte => {
                // As many digits as tell it from a digit that follows.
                let followed = bytes.get(index + 1).is_some_and(u8::is_ascii_digit);
                let _ = if followed {
                    write!(text, "\\{byte:03o}")
                } else {
                    write!(text, "\\{byte:o}")
                };
            }
        }
    }
    text.push('"');
    if cut {
        text.push_str("...");
    }
}
