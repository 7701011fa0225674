//! `read`, `write` and all their forms.

use linux_raw_sys::general::{RWF_APPEND, RWF_DSYNC, RWF_HIPRI, RWF_NOWAIT, RWF_SYNC};

use super::buffer::{Destination, Source};
use super::description::Description;
use super::files;
use super::object::Position;
use super::scratch::Scratch;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory::{self, Slice, Slices};

/// Most bytes that one call moves (`MAX_RW_COUNT`).
const MOST_BYTES: u64 = 0x7fff_f000;

/// The program's memory as where to, checked as a whole before the length is cut.
fn destination(address: u64, bytes: u64) -> Result<Destination<'static>, Errno> {
    program_memory::check(address, bytes)?;
    Ok(Destination::checked(
        address,
        bytes.min(MOST_BYTES) as usize,
    ))
}

/// The same as where from.
fn source(address: u64, bytes: u64) -> Result<Source<'static>, Errno> {
    program_memory::check(address, bytes)?;
    Ok(Source::checked(address, bytes.min(MOST_BYTES) as usize))
}

fn offset(offset: i64) -> Result<u64, Errno> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL)
}

/// read(2)
pub fn read(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    let mut into = destination(call.pointer(1), call.long(2))?;
    Ok(description.read(&mut into)? as u64)
}

/// write(2)
pub fn write(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    let mut from = source(call.pointer(1), call.long(2))?;
    Ok(description.write(&mut from)? as u64)
}

/// pread64(2)
pub fn pread64(call: &Call<'_>) -> Answer {
    let at = offset(call.offset(3))?;
    let description = files().description(call.descriptor(0))?;
    let mut into = destination(call.pointer(1), call.long(2))?;
    Ok(description.read_at(at, &mut into)? as u64)
}

/// pwrite64(2)
pub fn pwrite64(call: &Call<'_>) -> Answer {
    let at = offset(call.offset(3))?;
    let description = files().description(call.descriptor(0))?;
    let mut from = source(call.pointer(1), call.long(2))?;
    Ok(description.write_at(at, &mut from)? as u64)
}

/// Moves one slice after another, which were checked, until one is not moved whole.
fn each_slice(
    slices: &[Slice],
    mut step: impl FnMut(u64, usize, u64) -> Result<usize, Errno>,
) -> Answer {
    let mut total = 0_u64;
    for slice in slices {
        let length = slice.length.min(MOST_BYTES - total) as usize;
        // An empty slice still asks whether the descriptor can be used at all.
        match step(slice.address, length, total) {
            Ok(moved) => {
                total += moved as u64;
                if (moved as u64) < slice.length {
                    break;
                }
            }
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

fn read_slices(description: &Description, slices: &[Slice], at: Option<u64>) -> Answer {
    if !description.may_read() {
        return Err(Errno::EBADF);
    }
    each_slice(slices, |address, length, done| {
        if length == 0 {
            return Ok(0);
        }
        // Once something was read, nothing more is waited for.
        if done > 0 && at.is_none() && !description.object().is_seekable() {
            let ready = description.object().readiness();
            if ready & super::object::readiness::IN == 0 {
                return Ok(0);
            }
        }
        let mut into = Destination::checked(address, length);
        match at {
            Some(at) => description.read_at(at.checked_add(done).ok_or(Errno::EINVAL)?, &mut into),
            None => description.read(&mut into),
        }
    })
}

fn write_slices(description: &Description, slices: &[Slice], at: Option<u64>) -> Answer {
    if !description.may_write() {
        return Err(Errno::EBADF);
    }
    each_slice(slices, |address, length, done| {
        if length == 0 {
            return Ok(0);
        }
        let mut from = Source::checked(address, length);
        match at {
            Some(at) => description.write_at(at.checked_add(done).ok_or(Errno::EINVAL)?, &mut from),
            None => description.write(&mut from),
        }
    })
}

/// readv(2)
pub fn readv(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    let mut slices = Slices::new();
    let slices = slices.read(call.pointer(1), call.integer(2))?;
    read_slices(&description, slices, None)
}

/// writev(2)
pub fn writev(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    let mut slices = Slices::new();
    let slices = slices.read(call.pointer(1), call.integer(2))?;
    write_slices(&description, slices, None)
}

/// preadv(2)
pub fn preadv(call: &Call<'_>) -> Answer {
    let at = offset(call.offset(3))?;
    let description = files().description(call.descriptor(0))?;
    let mut slices = Slices::new();
    let slices = slices.read(call.pointer(1), call.integer(2))?;
    read_slices(&description, slices, Some(at))
}

/// pwritev(2)
pub fn pwritev(call: &Call<'_>) -> Answer {
    let at = offset(call.offset(3))?;
    let description = files().description(call.descriptor(0))?;
    let mut slices = Slices::new();
    let slices = slices.read(call.pointer(1), call.integer(2))?;
    write_slices(&description, slices, Some(at))
}

/// The offset of the second forms: -1 is the position.
fn offset_or_position(at: i64) -> Result<Option<u64>, Errno> {
    if at == -1 {
        Ok(None)
    } else {
        offset(at).map(Some)
    }
}

/// Flags that change nothing here: no write is cached, and no read of a file waits.
fn check_flags(flags: u32) -> Result<(), Errno> {
    if flags & !(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

/// preadv2(2)
pub fn preadv2(call: &Call<'_>) -> Answer {
    let at = offset_or_position(call.offset(3))?;
    check_flags(call.unsigned(5))?;
    let description = files().description(call.descriptor(0))?;
    let mut slices = Slices::new();
    let slices = slices.read(call.pointer(1), call.integer(2))?;
    read_slices(&description, slices, at)
}

/// pwritev2(2)
pub fn pwritev2(call: &Call<'_>) -> Answer {
    let at = offset_or_position(call.offset(3))?;
    let flags = call.unsigned(5);
    check_flags(flags)?;
    let description = files().description(call.descriptor(0))?;
    let mut slices = Slices::new();
    let slices = slices.read(call.pointer(1), call.integer(2))?;
    if flags & RWF_APPEND != 0 && description.object().is_seekable() {
        if !description.may_write() {
            return Err(Errno::EBADF);
        }
        return each_slice(slices, |address, length, _| {
            let mut from = Source::checked(address, length);
            let written = description.object().write(Position::End, &mut from)?;
            Ok(written.0)
        });
    }
    write_slices(&description, slices, at)
}

/// Moves up to `most` bytes from one file to another.
fn pump(
    from: &Description,
    from_at: &mut Option<u64>,
    to: &Description,
    to_at: &mut Option<u64>,
    most: u64,
) -> Answer {
    let mut piece = Scratch::take();
    let mut total = 0;
    while total < most {
        let wanted = (most - total).min(piece.len() as u64) as usize;
        let place = piece.get_mut(..wanted).unwrap_or_default();
        let mut into = Destination::library(place);
        let read = match from_at {
            Some(at) => from.read_at(*at, &mut into),
            None => from.read(&mut into),
        };
        let read = match read {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        };
        let mut source = Source::library(place.get(..read).unwrap_or_default());
        let written = match to_at {
            Some(at) => to.write_at(*at, &mut source),
            None => to.write(&mut source),
        };
        // What was read and not written is not lost: the position goes back.
        let moved = *written.as_ref().unwrap_or(&0);
        match from_at {
            Some(at) => *at += moved as u64,
            None if from.object().is_seekable() => {
                *from.position() -= (read - moved) as u64;
            }
            None => {}
        }
        if let Some(at) = to_at {
            *at += moved as u64;
        }
        total += moved as u64;
        match written {
            Ok(moved) if moved == read => {}
            Ok(_) => break,
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

fn read_offset(address: u64) -> Result<Option<u64>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let at: i64 = program_memory::read(address)?;
    offset(at).map(Some)
}

fn write_offset(address: u64, at: Option<u64>) -> Result<(), Errno> {
    match at {
        Some(at) => program_memory::write(address, &at),
        None => Ok(()),
    }
}

/// sendfile(2)
pub fn sendfile(call: &Call<'_>) -> Answer {
    let (to, from) = (
        files().description(call.descriptor(0))?,
        files().description(call.descriptor(1))?,
    );
    if !to.may_write() || !from.may_read() {
        return Err(Errno::EBADF);
    }
    if !from.object().is_seekable() || from.object().is_directory() {
        return Err(Errno::EINVAL);
    }
    let mut at = read_offset(call.pointer(2))?;
    let moved = pump(&from, &mut at, &to, &mut None, call.long(3).min(MOST_BYTES))?;
    write_offset(call.pointer(2), at)?;
    Ok(moved)
}

/// copy_file_range(2)
pub fn copy_file_range(call: &Call<'_>) -> Answer {
    let (from, to) = (
        files().description(call.descriptor(0))?,
        files().description(call.descriptor(2))?,
    );
    if call.unsigned(5) != 0 {
        return Err(Errno::EINVAL);
    }
    if !to.may_write() || !from.may_read() || to.flags() & linux_raw_sys::general::O_APPEND != 0 {
        return Err(Errno::EBADF);
    }
    for end in [&from, &to] {
        let mode = end.object().attributes()?.mode;
        match mode & kiln_interface::file::kind::MASK {
            kiln_interface::file::kind::REGULAR => {}
            kiln_interface::file::kind::DIRECTORY => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    let mut from_at = read_offset(call.pointer(1))?;
    let mut to_at = read_offset(call.pointer(3))?;
    let most = call.long(4).min(MOST_BYTES);
    let moved = pump(&from, &mut from_at, &to, &mut to_at, most)?;
    write_offset(call.pointer(1), from_at)?;
    write_offset(call.pointer(3), to_at)?;
    Ok(moved)
}
