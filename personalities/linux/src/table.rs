//! The system calls: number, name, function, and what the arguments are.
//!
//! Each family lists its own calls in a `CALLS` constant; the table is put together from those at
//! compile time, and two families that claim one number do not compile. A number that nobody
//! claims answers `ENOSYS`.

use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{files, futex, memory, process, signal, terminal, time};

/// Numbers below this may have a call; all of x86-64's do.
pub const NUMBERS: usize = 512;

/// What an argument is, for a reader of a trace.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// An `int` or a `long`, shown with its sign.
    Signed,
    /// A count, shown without a sign.
    Unsigned,
    /// Bits without names.
    Hexadecimal,
    /// Permission bits.
    Mode,
    /// An address that is not looked at; zero is `NULL`.
    Pointer,
    /// A file descriptor.
    Descriptor,
    /// A file descriptor or `AT_FDCWD`.
    Directory,
    /// A NUL-terminated string.
    Text,
    /// Bytes that the call takes in; as many as the given argument says.
    BytesIn(usize),
    /// Bytes that the call answers; as many as its result says.
    BytesOut,
    /// A string that the call answers; as many bytes as its result says.
    TextOut,
    /// A NULL-terminated array of strings.
    Strings,
    /// Names of bits, joined by `|`; what is left is shown in hexadecimal. The first name of a
    /// zero value, if there is one, stands for no bits at all.
    Flags(&'static [(u64, &'static str)]),
    /// One name of several; a number without a name is shown in hexadecimal.
    Choice(&'static [(u64, &'static str)]),
    /// Flags of `open`: an access mode and bits.
    OpenFlags,
    /// A signal number.
    Signal,
}

/// A function that is a system call. The name is the manual page's.
pub type Function = fn(&Call<'_>) -> Answer;

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct SystemCall {
    /// Its number (`__NR_*` of x86-64).
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What runs.
    pub function: Function,
    /// What the arguments are; as many as it takes.
    pub arguments: &'static [Argument],
}

impl SystemCall {
    /// An entry of a family's list.
    #[must_use]
    pub const fn new(
        number: u32,
        name: &'static str,
        function: Function,
        arguments: &'static [Argument],
    ) -> Self {
        Self {
            number,
            name,
            function,
            arguments,
        }
    }
}

const FAMILIES: [&[SystemCall]; 7] = [
    files::CALLS,
    terminal::CALLS,
    memory::CALLS,
    process::CALLS,
    signal::CALLS,
    time::CALLS,
    futex::CALLS,
];

static TABLE: [Option<&SystemCall>; NUMBERS] = assemble();

const fn assemble() -> [Option<&'static SystemCall>; NUMBERS] {
    let mut table = [None; NUMBERS];
    let mut family = 0;
    while family < FAMILIES.len() {
        let calls = FAMILIES[family];
        let mut index = 0;
        while index < calls.len() {
            let number = calls[index].number as usize;
            assert!(table[number].is_none(), "two calls have one number");
            table[number] = Some(&calls[index]);
            index += 1;
        }
        family += 1;
    }
    table
}

/// The call of that number, if Kiln has it.
#[must_use]
pub fn find(number: u64) -> Option<&'static SystemCall> {
    *TABLE.get(usize::try_from(number).ok()?)?
}

/// Runs a call.
///
/// # Errors
/// Whatever the call answers; `ENOSYS` if there is none of that number.
#[inline]
pub fn run(call: &Call<'_>) -> Answer {
    match find(call.number) {
        Some(entry) => (entry.function)(call),
        None => Err(Errno::ENOSYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_at_their_numbers() {
        for (number, entry) in TABLE.iter().enumerate() {
            if let Some(entry) = entry {
                assert_eq!(entry.number as usize, number, "{}", entry.name);
                assert!(entry.arguments.len() <= 6, "{}", entry.name);
            }
        }
        assert!(find(u64::MAX).is_none());
        assert!(find(NUMBERS as u64).is_none());
    }
}
