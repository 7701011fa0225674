//! The first program when the image has it in its process already.
//!
//! The build tool laid it out and the kernel mapped it: what is left is the bytes of the file behind
//! its data, which have to be zero, and what every program finds.

use kiln_object::layout::PAGE_BYTES;
use kiln_object::program::LaidOut;

use super::Failure;
use super::plan::Refusal;
use super::start::{Placed, Randomness, Start};
use super::strings::Strings;
use crate::memory::Range;
use crate::{LINUX, program_memory};

/// Makes the rest of the program that `value` of the configuration tells of; answers where it starts
/// and its stack pointer.
pub(super) fn complete(
    value: &[u8],
    path: &[u8],
    arguments: Strings,
    environment: Strings,
) -> Result<(u64, u64), Failure> {
    let bad = Refusal::Malformed("what the image says of it");
    let (program, executable) = LaidOut::parse(value).ok_or(bad)?;
    let random = Randomness::draw().map_err(Failure::Map)?;
    let rest = program.clear.next_multiple_of(PAGE_BYTES) - program.clear;
    program_memory::zero(program.clear, rest).map_err(Failure::Map)?;
    let range = Range {
        start: program.start,
        length: program.end - program.start,
    };
    LINUX.memory.names.lock().insert(range, executable);
    let stack_top = random.stack_top();
    let start = Start {
        path,
        executable: executable.to_vec(),
        arguments,
        environment,
        random,
    };
    start.finish(
        stack_top,
        &Placed {
            entry: program.entry,
            program_entry: program.entry,
            interpreter_base: 0,
            table_address: program.table_address,
            table_entries: program.table_entries,
            end: program.end,
        },
    )
}
