//! The first program when the image has it in its process already.
//!
//! The build tool laid it out, its stack too, and the kernel mapped it: what is left is the bytes of
//! the file behind its data, which have to be zero, and what only the running machine knows.

use alloc::borrow::Cow;

use kiln_linux_start::laid_out::Pieces;
use kiln_linux_start::{InitialStack, LaidOut};
use kiln_object::layout::PAGE_BYTES;

use super::Failure;
use super::start::{Placed, Randomness};
use crate::memory::Range;
use crate::{LINUX, program_memory};

/// Makes the rest of the program that the configuration tells of; answers where it starts and its
/// stack pointer.
pub(super) fn complete(program: &LaidOut, pieces: &Pieces<'static>) -> Result<(u64, u64), Failure> {
    let rest = program.clear.next_multiple_of(PAGE_BYTES) - program.clear;
    program_memory::zero(program.clear, rest).map_err(Failure::Map)?;
    let random = Randomness::of_first_program();
    let placed = Placed {
        executable: Cow::Borrowed(pieces.path),
        end: program.end,
        stack: InitialStack::made(pieces.stack, program.places),
    };
    let (pointer, stack) = placed.finish(random.stack_top(), &random)?;
    let range = Range {
        start: program.start,
        length: program.end - program.start,
    };
    LINUX.memory.names.lock().begin(range, pieces.path, stack);
    Ok((program.entry, pointer))
}
