//! System calls written as lines that read like strace's.
//!
//! Arguments that the call takes in are formatted before it runs, what it answers afterwards. The
//! line goes to the log, never to the program's output.

mod format;
mod names;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use kiln_interface::kernel::Log as _;
use linux_raw_sys::general as abi;

pub use names::{call_name, signal_name};

use crate::call::Call;
use crate::errno::Answer;
use crate::process::identity::{PROCESS, USER};
use crate::signal::Information;
use crate::table::{self, Argument};

/// What the lines start with, for whoever reads the log.
const PREFIX: &[u8] = b"kiln:strace:";

/// Runs a call and writes its line.
///
/// # Errors
/// Whatever the call answers.
pub fn run(call: &Call<'_>) -> Answer {
    let entry = table::find(call.number);
    let name = entry
        .map(|entry| entry.name)
        .or_else(|| call_name(call.number));
    let arguments = entry.map_or(UNKNOWN, |entry| entry.arguments);
    let mut before = format::before(call, arguments);
    if ends(call.number) {
        let mut line = line(call.number, name, &before);
        push_column(&mut line);
        line.push('?');
        write(&line);
    }
    let answer = table::run(call);
    format::after(call, arguments, answer, &mut before);
    let mut line = line(call.number, name, &before);
    push_column(&mut line);
    push_answer(&mut line, call.number, answer);
    write(&line);
    answer
}

/// Writes the line of a call that succeeds without coming back.
pub fn write_success(call: &Call<'_>) {
    let entry = table::find(call.number);
    let arguments = entry.map_or(UNKNOWN, |entry| entry.arguments);
    let mut line = line(
        call.number,
        call_name(call.number),
        &format::before(call, arguments),
    );
    push_column(&mut line);
    line.push('0');
    write(&line);
}

/// Goes to where answers stand: in one column, unless the call is longer.
fn push_column(line: &mut String) {
    /// strace's own column.
    const COLUMN: usize = 40;
    line.push(' ');
    while line.len() < COLUMN {
        line.push(' ');
    }
    line.push_str("= ");
}

/// Writes that a signal is delivered.
pub fn write_signal(information: &Information) {
    let signal = information.signal();
    let name = SignalName(signal);
    let mut line = String::new();
    let _ = write!(line, "--- {name} {{si_signo={name}, si_code=");
    let _ = match code_name(signal, information.code()) {
        Some(code) => write!(line, "{code}"),
        None => write!(line, "{}", information.code()),
    };
    if let Some(address) = information.address() {
        let _ = match address {
            0 => write!(line, ", si_addr=NULL"),
            address => write!(line, ", si_addr={address:#x}"),
        };
    } else if let Some((timer, overrun, value)) = information.of_timer() {
        let _ = write!(
            line,
            ", si_timerid={timer:#x}, si_overrun={overrun}, si_value={{sival_int={}, sival_ptr={value:#x}}}",
            value as i32
        );
    } else if information.code() <= 0 {
        let _ = write!(line, ", si_pid={PROCESS}, si_uid={USER}");
    }
    line.push_str("} ---");
    write(&line);
}

/// Writes that the process ends, by a signal or with a status.
pub fn write_end(status: u32, signal: Option<u32>) {
    let mut line = String::new();
    let _ = match signal {
        Some(signal) => write!(line, "+++ killed by {} +++", SignalName(signal)),
        None => write!(line, "+++ exited with {status} +++"),
    };
    write(&line);
}

/// A signal's name, or what strace calls one that has none.
struct SignalName(u32);

impl core::fmt::Display for SignalName {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match signal_name(self.0) {
            Some(name) => formatter.write_str(name),
            None if self.0 >= 32 => write!(formatter, "SIGRT_{}", self.0 - 32),
            None => write!(formatter, "{}", self.0),
        }
    }
}

fn code_name(signal: u32, code: i32) -> Option<&'static str> {
    Some(match (signal, code) {
        (_, 0) => "SI_USER",
        (_, 0x80) => "SI_KERNEL",
        (_, -1) => "SI_QUEUE",
        (_, abi::SI_TIMER) => "SI_TIMER",
        (_, -6) => "SI_TKILL",
        (abi::SIGSEGV, 1) => "SEGV_MAPERR",
        (abi::SIGSEGV, 2) => "SEGV_ACCERR",
        (abi::SIGBUS, 1) => "BUS_ADRALN",
        (abi::SIGBUS, 2) => "BUS_ADRERR",
        (abi::SIGFPE, 1) => "FPE_INTDIV",
        (abi::SIGFPE, 7) => "FPE_FLTINV",
        (abi::SIGILL, 2) => "ILL_ILLOPN",
        (abi::SIGTRAP, 2) => "TRAP_TRACE",
        _ => return None,
    })
}

/// Arguments of a call that Kiln does not have.
const UNKNOWN: &[Argument] = &[Argument::Hexadecimal; 6];

/// Whether the call does not come back.
fn ends(number: u64) -> bool {
    [abi::__NR_exit, abi::__NR_exit_group, abi::__NR_rt_sigreturn]
        .iter()
        .any(|ending| u64::from(*ending) == number)
}

/// Whether the call answers an address.
fn answers_address(number: u64) -> bool {
    [
        abi::__NR_mmap,
        abi::__NR_brk,
        abi::__NR_mremap,
        abi::__NR_shmat,
    ]
    .iter()
    .any(|answering| u64::from(*answering) == number)
}

fn line(number: u64, name: Option<&str>, arguments: &[String]) -> String {
    let mut line = String::new();
    match name {
        Some(name) => line.push_str(name),
        // Formatting into a string does not fail.
        None => drop(write!(line, "syscall_{number:#x}")),
    }
    line.push('(');
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        line.push_str(argument);
    }
    line.push(')');
    line
}

fn push_answer(line: &mut String, number: u64, answer: Answer) {
    let _ = match answer {
        Ok(value) if answers_address(number) => write!(line, "{value:#x}"),
        Ok(value) => write!(line, "{}", value as i64),
        Err(errno) => write!(line, "-1 {errno:?} ({})", errno.text()),
    };
}

fn write(line: &str) {
    let mut bytes = Vec::with_capacity(PREFIX.len() + line.len());
    bytes.extend_from_slice(PREFIX);
    bytes.extend_from_slice(line.as_bytes());
    bytes.truncate(kiln_object::call::MESSAGE_BYTES);
    // A line that the log does not take is lost; there is nowhere else to say so.
    let _ = kiln_runtime::log().line(&bytes);
}

/// The answer's line for tests and for calls that the entry refuses.
#[cfg(test)]
fn line_of(call: &Call<'_>, arguments: &[Argument], answer: Answer) -> String {
    let mut parts = format::before(call, arguments);
    format::after(call, arguments, answer, &mut parts);
    let mut line = line(call.number, call_name(call.number), &parts);
    push_column(&mut line);
    push_answer(&mut line, call.number, answer);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::SavedRegisters;
    use crate::errno::Errno;

    fn traced(number: u32, arguments: [u64; 6], answer: Answer) -> String {
        let registers = SavedRegisters::default();
        let mut call = Call::new(&registers);
        call.number = u64::from(number);
        call.arguments = arguments;
        let kinds = table::find(call.number).map_or(UNKNOWN, |entry| entry.arguments);
        line_of(&call, kinds, answer)
    }

    #[test]
    fn answers_stand_in_one_column() {
        let line = traced(abi::__NR_getpid, [0; 6], Ok(1));
        assert_eq!(line.find("= 1"), Some(40));
    }

    fn address(bytes: &[u8]) -> u64 {
        bytes.as_ptr() as u64
    }

    #[test]
    fn lines_read_like_strace() {
        assert_eq!(
            traced(
                abi::__NR_mmap,
                [0, 4096, 3, 0x22, u64::MAX, 0],
                Ok(0x7f00_0000)
            ),
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f000000"
        );
        assert_eq!(
            traced(
                abi::__NR_mprotect,
                [0x1000, 4096, 0, 0, 0, 0],
                Err(Errno::ENOMEM)
            ),
            "mprotect(0x1000, 4096, PROT_NONE)       = -1 ENOMEM (Cannot allocate memory)"
        );
        assert_eq!(
            traced(abi::__NR_getpid, [0; 6], Ok(1)),
            "getpid()                                = 1"
        );
        assert_eq!(
            traced(abi::__NR_kill, [1, 15, 0, 0, 0, 0], Ok(0)),
            "kill(1, SIGTERM)                        = 0"
        );
        assert_eq!(
            traced(
                abi::__NR_clock_gettime,
                [1, 0, 0, 0, 0, 0],
                Err(Errno::EFAULT)
            ),
            "clock_gettime(CLOCK_MONOTONIC, NULL)    = -1 EFAULT (Bad address)"
        );
    }

    #[test]
    fn unknown_calls_show_all_arguments() {
        assert_eq!(
            traced(abi::__NR_clone3, [0x10, 88, 0, 0, 0, 0], Err(Errno::ENOSYS)),
            "clone3(0x10, 0x58, 0, 0, 0, 0)          = -1 ENOSYS (Function not implemented)"
        );
        assert_eq!(
            traced(500, [0; 6], Err(Errno::ENOSYS)),
            "syscall_0x1f4(0, 0, 0, 0, 0, 0)         = -1 ENOSYS (Function not implemented)"
        );
    }

    #[test]
    fn strings_and_buffers_are_quoted() {
        let registers = SavedRegisters::default();
        let mut call = Call::new(&registers);
        let path = b"/etc/pass\"wd\n\0";
        call.arguments = [-100_i64 as u64, address(path), 0o2_000_000, 0, 0, 0];
        call.number = u64::from(abi::__NR_openat);
        assert_eq!(
            line_of(
                &call,
                &[Argument::Directory, Argument::Text, Argument::OpenFlags],
                Ok(3)
            ),
            "openat(AT_FDCWD, \"/etc/pass\\\"wd\\n\", O_RDONLY|O_CLOEXEC) = 3"
        );
        let bytes = [b'x'; 100];
        call.arguments = [1, address(&bytes), 100, 0, 0, 0];
        call.number = u64::from(abi::__NR_write);
        let kinds = [
            Argument::Descriptor,
            Argument::BytesIn(2),
            Argument::Unsigned,
        ];
        assert_eq!(
            line_of(&call, &kinds, Ok(100)),
            "write(1, \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., 100) = 100"
        );
        call.number = u64::from(abi::__NR_read);
        let kinds = [Argument::Descriptor, Argument::BytesOut, Argument::Unsigned];
        assert_eq!(
            line_of(&call, &kinds, Ok(3)),
            "read(1, \"xxx\", 100)                     = 3"
        );
        assert_eq!(
            line_of(&call, &kinds, Err(Errno::EBADF)),
            alloc::format!(
                "read(1, {:#x}, 100)            = -1 EBADF (Bad file descriptor)",
                address(&bytes)
            )
        );
    }
}
