//! The console as objects that can be open: a terminal, an input stream, an output stream.

use alloc::vec::Vec;

use kiln_interface::file::{Attributes, kind};

use crate::LINUX;
use crate::errno::{Answer, Errno};
use crate::files::buffer::{Destination, Source};
use crate::files::object::{Object, Position, readiness};

/// `/dev/console`: major 5, minor 1.
const CONSOLE_DEVICE: u64 = 5 << 32 | 1;

/// Number of the console's file, and those of its streams, in the library's own tree.
const CONSOLE_NUMBER: u64 = 0x7701;

/// The console as a terminal.
#[derive(Debug)]
pub struct ConsoleTerminal;

impl Object for ConsoleTerminal {
    fn read(&self, _offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        LINUX.terminal.read(into)
    }

    fn write(&self, _position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        LINUX.terminal.write(from).map(|count| (count, 0))
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(terminal_attributes())
    }

    fn set_attributes(&self, _attributes: &Attributes, _fields: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn readiness(&self) -> u32 {
        LINUX.terminal.readiness()
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn activity(&self) -> u64 {
        LINUX.terminal.activity()
    }

    fn longest_wait(&self) -> Option<u64> {
        LINUX.terminal.longest_wait()
    }

    fn control(&self, request: u32, argument: u64) -> Answer {
        LINUX.terminal.control(request, argument)
    }
}

/// Standard input that is a pipe at the other end.
#[derive(Debug)]
pub struct ConsoleInput;

impl Object for ConsoleInput {
    fn read(&self, _offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        LINUX.terminal.read(into)
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(stream_attributes(1))
    }

    fn readiness(&self) -> u32 {
        let ready = LINUX.terminal.readiness() & readiness::IN;
        if LINUX.terminal.input_is_finished() {
            readiness::HANG_UP
        } else {
            ready
        }
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn activity(&self) -> u64 {
        LINUX.terminal.activity()
    }

    fn control(&self, request: u32, argument: u64) -> Answer {
        LINUX.terminal.control_stream(request, argument)
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"pipe:[30465]");
    }
}

/// Standard output that is a pipe or a file at the other end.
#[derive(Debug)]
pub struct ConsoleOutput;

impl Object for ConsoleOutput {
    fn write(&self, _position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        LINUX.terminal.write(from).map(|count| (count, 0))
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(stream_attributes(2))
    }

    fn readiness(&self) -> u32 {
        readiness::OUT
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"pipe:[30466]");
    }
}

/// What is known about the terminal.
#[must_use]
pub fn terminal_attributes() -> Attributes {
    Attributes {
        mode: kind::CHARACTER | 0o620,
        links: 1,
        group: 5,
        number: CONSOLE_NUMBER,
        device: CONSOLE_DEVICE,
        ..crate::pseudo::own_attributes()
    }
}

fn stream_attributes(which: u64) -> Attributes {
    Attributes {
        mode: kind::PIPE | 0o600,
        links: 1,
        number: CONSOLE_NUMBER + which,
        ..crate::pseudo::own_attributes()
    }
}
