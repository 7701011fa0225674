//! `execve`: another program takes the place of the running one.
//!
//! Everything that can fail is tried while the old program is still there; after that it is gone,
//! and a failure ends the process, as in Linux.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::AddressSpace;
use kiln_linux_start::strings::{STRING_BYTES, Strings};
use kiln_object::layout::USER_END;
use linux_raw_sys::general as abi;

use super::{Prepared, Randomness, files, open_files};
use crate::call::Call;
use crate::entry::TRACING;
use crate::entry::start::start_program;
use crate::errno::{Answer, Errno};
use crate::memory::{self, Break, Names};
use crate::{LINUX, process, program_memory, rewrite, signal, strace, time};

/// Most strings that `execve` takes; their bytes are bounded by the stack.
const STRINGS: usize = 1 << 18;

/// Most bytes of all strings.
const ALL_BYTES: usize = 2 << 20;

/// `execve(path, arguments, environment)`.
///
/// # Errors
/// As the manual page; `ENOSYS` never.
pub fn execve(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    execute(call, path, 1)
}

/// `execveat(directory, path, arguments, environment, flags)`.
///
/// # Errors
/// As [`execve`]; `EINVAL` for unknown flags.
pub fn execveat(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(4);
    if flags & !(abi::AT_EMPTY_PATH | abi::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = program_memory::path(call.pointer(1))?;
    let path = if path.is_empty() && flags & abi::AT_EMPTY_PATH != 0 {
        files::path_of(call.descriptor(0))?
    } else {
        open_files().start(call.descriptor(0), &path)?.path
    };
    execute(call, path, 2)
}

fn execute(call: &Call<'_>, path: Vec<u8>, first_array: usize) -> Answer {
    let mut room = ALL_BYTES;
    let mut arguments = strings(call.pointer(first_array), &mut room)?;
    let environment = strings(call.pointer(first_array + 1), &mut room)?;
    if arguments.count() == 0 {
        // A program always has a name.
        arguments.push(b"");
    }
    let random = Randomness::draw()?;
    let prepared =
        Prepared::find(&path, arguments, environment, random).map_err(|failure| failure.errno())?;
    if TRACING.load(Relaxed) {
        strace::write_success(call);
    }
    leave_old_program();
    match prepared.map() {
        Ok((entry, stack)) => start_program(entry, stack),
        Err(failure) => {
            kiln_runtime::log_line!("the new program: {}", failure.text());
            signal::terminate(abi::SIGKILL)
        }
    }
}

/// A NULL-terminated array of strings.
fn strings(mut address: u64, room: &mut usize) -> Result<Strings, Errno> {
    let mut strings = Strings::default();
    if address == 0 {
        return Ok(strings);
    }
    loop {
        let string: u64 = program_memory::read(address)?;
        if string == 0 {
            return Ok(strings);
        }
        if strings.count() == STRINGS {
            return Err(Errno::E2BIG);
        }
        let string =
            program_memory::c_string(string, STRING_BYTES).map_err(|errno| match errno {
                Errno::ENAMETOOLONG => Errno::E2BIG,
                other => other,
            })?;
        *room = room.checked_sub(string.len() + 9).ok_or(Errno::E2BIG)?;
        strings.push(&string);
        address += 8;
    }
}

/// Takes the old program out of the process.
fn leave_old_program() {
    rewrite::forget(0, USER_END);
    let space = kiln_runtime::address_space();
    for region in memory::regions() {
        // A range that stays is in nobody's way unless the new program wants its place, which then
        // fails.
        let _ = space.unmap(region.start, region.end - region.start);
    }
    *LINUX.memory.names.lock() = Names::new();
    *LINUX.memory.program_break.lock() = Break::new();
    open_files().close_for_execution();
    signal::reset_for_execution();
    process::reset_for_execution();
    time::reset_for_execution();
}
