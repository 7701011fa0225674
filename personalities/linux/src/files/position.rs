//! Positions, lengths, and what makes writes last.

use kiln_interface::file::{Attributes, FileTree, change, kind};
use linux_raw_sys::general::{
    AT_FDCWD, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE, SEEK_CUR, SEEK_DATA,
    SEEK_END, SEEK_HOLE, SEEK_SET,
};
use zerocopy::IntoBytes;

use super::buffer::Source;
use super::description::Description;
use super::files;
use super::object::Position;
use super::open::usable;
use super::walk::{Failed, Place, Walk};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// lseek(2)
pub fn lseek(call: &Call<'_>) -> Answer {
    let description = usable(call.descriptor(0))?;
    let (by, whence) = (call.offset(1), call.unsigned(2));
    let object = description.object();
    if !object.is_seekable() {
        return Err(Errno::ESPIPE);
    }
    if !object.has_positions() {
        return Ok(0);
    }
    let mut position = description.position();
    let base = match whence {
        SEEK_SET => 0,
        SEEK_CUR => *position,
        SEEK_END | SEEK_DATA | SEEK_HOLE => object.attributes()?.length,
        _ => return Err(Errno::EINVAL),
    };
    let target = match whence {
        SEEK_DATA | SEEK_HOLE => {
            // A file without holes has one at its end.
            let by = u64::try_from(by).map_err(|_| Errno::ENXIO)?;
            if by >= base {
                return Err(Errno::ENXIO);
            }
            if whence == SEEK_DATA { by } else { base }
        }
        _ => base.checked_add_signed(by).ok_or(Errno::EINVAL)?,
    };
    if target > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    *position = target;
    Ok(target)
}

fn length(length: i64) -> Result<u64, Errno> {
    u64::try_from(length).map_err(|_| Errno::EINVAL)
}

/// truncate(2)
pub fn truncate(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    let attributes = Attributes {
        length: length(call.offset(1))?,
        ..Attributes::default()
    };
    let start = files().start(AT_FDCWD, &path)?;
    Walk::new(files(), start, true).run(|place, elsewhere| match place {
        Place::Pseudo(node) if node.is_directory() => Err(Failed::Errno(Errno::EISDIR)),
        Place::Pseudo(_) => Err(Failed::Errno(Errno::EINVAL)),
        Place::Stored(place) => {
            place.check_writable()?;
            let bytes = attributes.as_bytes();
            place
                .tree()
                .set_attributes(&place.relative, bytes, change::LENGTH, true, elsewhere)?;
            Ok(0)
        }
    })
}

/// ftruncate(2)
pub fn ftruncate(call: &Call<'_>) -> Answer {
    let length = length(call.offset(1))?;
    let description = usable(call.descriptor(0))?;
    if !description.may_write() {
        return Err(Errno::EINVAL);
    }
    description.object().set_length(length)?;
    Ok(0)
}

/// fallocate(2). Space is not set aside; a file only grows.
pub fn fallocate(call: &Call<'_>) -> Answer {
    let description = usable(call.descriptor(0))?;
    let mode = call.unsigned(1);
    let (start, count) = (length(call.offset(2))?, length(call.offset(3))?);
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    let end = start
        .checked_add(count)
        .filter(|end| *end <= i64::MAX as u64);
    let end = end.ok_or(Errno::EFBIG)?;
    if !description.may_write() {
        return Err(Errno::EBADF);
    }
    if mode & !(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let object = description.object();
    if !object.is_seekable() {
        return Err(Errno::ESPIPE);
    }
    let attributes = object.attributes()?;
    match attributes.mode & kind::MASK {
        kind::REGULAR => {}
        kind::DIRECTORY => return Err(Errno::EISDIR),
        _ => return Err(Errno::ENODEV),
    }
    if mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) != 0 {
        zero(&description, start, end.min(attributes.length))?;
    }
    if mode & FALLOC_FL_KEEP_SIZE == 0 && end > attributes.length {
        object.set_length(end)?;
    }
    Ok(0)
}

fn zero(description: &Description, start: u64, end: u64) -> Result<(), Errno> {
    const ZEROES: [u8; 4096] = [0; 4096];
    let mut at = start;
    while at < end {
        let count = (end - at).min(ZEROES.len() as u64) as usize;
        let mut from = Source::library(ZEROES.get(..count).unwrap_or_default());
        match description.object().write(Position::At(at), &mut from)? {
            (0, _) => return Err(Errno::EIO),
            (written, _) => at += written as u64,
        }
    }
    Ok(())
}

/// fsync(2), fdatasync(2), syncfs(2)
pub fn fsync(call: &Call<'_>) -> Answer {
    usable(call.descriptor(0))?.object().synchronise()?;
    Ok(0)
}

/// sync(2). Nothing is written late.
pub fn sync(_call: &Call<'_>) -> Answer {
    Ok(0)
}

/// sync_file_range(2)
pub fn sync_file_range(call: &Call<'_>) -> Answer {
    let description = usable(call.descriptor(0))?;
    if call.offset(1) < 0 || call.offset(2) < 0 || call.unsigned(3) & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    if !description.object().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    Ok(0)
}

/// fadvise64(2). There is nothing to read ahead or to forget.
pub fn fadvise64(call: &Call<'_>) -> Answer {
    let description = usable(call.descriptor(0))?;
    if !description.object().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    if call.integer(3) > 5 || call.integer(3) < 0 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// readahead(2)
pub fn readahead(call: &Call<'_>) -> Answer {
    let description = usable(call.descriptor(0))?;
    if !description.may_read() {
        return Err(Errno::EBADF);
    }
    if !description.object().is_seekable() {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// flock(2). Nobody else could hold the lock.
pub fn flock(call: &Call<'_>) -> Answer {
    usable(call.descriptor(0))?;
    match call.unsigned(1) & !4 {
        1 | 2 | 8 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
