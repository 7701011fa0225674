//! Mapping, unmapping, changing and moving ranges.
//!
//! A range that goes away or becomes writable takes its rewritten call sites with it: the bytes
//! there are no longer the ones that were looked at.

use alloc::vec;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection, protection_and_flags};
use kiln_object::Error;
use kiln_object::layout::PAGE_BYTES;
use linux_raw_sys::general as abi;

use super::{Range, protection};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::files::{self, MapSource, Readable};
use crate::{LINUX, program_memory, rewrite};

/// Flags of `mmap` that change nothing here: hints, history, and what the kernel does anyway.
const HINTS: u32 = abi::MAP_NORESERVE
    | abi::MAP_STACK
    | abi::MAP_NONBLOCK
    | abi::MAP_LOCKED
    | abi::MAP_DENYWRITE
    | abi::MAP_EXECUTABLE
    | abi::MAP_UNINITIALIZED;

/// `MAP_32BIT` asks for the lowest 2 GiB.
const LOW: u64 = 1 << 31;

/// Where a mapping may be put.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// There, in place of what is there.
    Replace(u64),
    /// There, if it is free.
    Exact(u64),
    /// There if it is free, else anywhere below the ceiling.
    Prefer(u64, u64),
    /// Anywhere below the ceiling.
    Below(u64),
}

/// `mmap(address, length, protection, flags, descriptor, offset)`.
///
/// # Errors
/// As the manual page; `EACCES` also for memory to be written and executed at once; `ENODEV` also
/// for a shared writable mapping of a file whose pages cannot be shared.
pub fn mmap(call: &Call<'_>) -> Answer {
    let address = call.pointer(0);
    let flags = call.unsigned(3);
    let offset = call.long(5);
    if call.long(1) == 0 || !offset.is_multiple_of(PAGE_BYTES) {
        return Err(Errno::EINVAL);
    }
    let length = call
        .long(1)
        .checked_next_multiple_of(PAGE_BYTES)
        .ok_or(Errno::ENOMEM)?;
    let shared = match flags & abi::MAP_TYPE {
        abi::MAP_PRIVATE => false,
        abi::MAP_SHARED => true,
        abi::MAP_SHARED_VALIDATE => {
            if flags & abi::MAP_SYNC != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            true
        }
        _ => return Err(Errno::EINVAL),
    };
    if flags & abi::MAP_HUGETLB != 0 {
        return Err(Errno::ENOMEM);
    }
    let known = HINTS
        | abi::MAP_TYPE
        | abi::MAP_FIXED
        | abi::MAP_FIXED_NOREPLACE
        | abi::MAP_ANONYMOUS
        | abi::MAP_32BIT
        | abi::MAP_GROWSDOWN
        | abi::MAP_POPULATE;
    if flags & abi::MAP_TYPE == abi::MAP_SHARED_VALIDATE && flags & !known != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let protection = protection(call.unsigned(2))?;
    let place = place(address, length, flags)?;
    let populate = if flags & abi::MAP_POPULATE != 0 {
        MapFlags::POPULATE
    } else {
        MapFlags::empty()
    };
    if flags & abi::MAP_ANONYMOUS != 0 {
        return anonymous(place, length, protection, populate);
    }
    let descriptor = call.descriptor(4);
    let (source, readable, writable) = files::mapping_of(descriptor)?;
    let end = offset.checked_add(length).ok_or(Errno::EOVERFLOW)?;
    if i64::try_from(end).is_err() {
        return Err(Errno::EOVERFLOW);
    }
    if !readable || (shared && protection.contains(Protection::WRITE) && !writable) {
        return Err(Errno::EACCES);
    }
    let start = match source {
        MapSource::Zero => anonymous(place, length, protection, populate)?,
        MapSource::Pages(cache, _) => {
            let how = if shared {
                populate | MapFlags::SHARED
            } else {
                populate
            };
            put(place, length, |address, placement| {
                kiln_runtime::address_space().map_file(
                    cache,
                    offset,
                    address,
                    length,
                    protection_and_flags(protection, placement | how),
                )
            })?
        }
        MapSource::Copy(file) => {
            if shared && protection.contains(Protection::WRITE) {
                return Err(Errno::ENODEV);
            }
            copied(place, length, protection, &file, offset)?
        }
    };
    if let Ok(path) = files::path_of(descriptor) {
        LINUX
            .memory
            .names
            .lock()
            .insert(Range { start, length }, &path);
    }
    Ok(start)
}

fn place(address: u64, length: u64, flags: u32) -> Result<Place, Errno> {
    if flags & (abi::MAP_FIXED | abi::MAP_FIXED_NOREPLACE) != 0 {
        let range = Range::new(address, length, Errno::ENOMEM)?;
        return Ok(if flags & abi::MAP_FIXED_NOREPLACE != 0 {
            Place::Exact(range.start)
        } else {
            Place::Replace(range.start)
        });
    }
    let ceiling = if flags & abi::MAP_32BIT != 0 {
        LOW
    } else {
        LINUX.memory.ceiling.load(Relaxed)
    };
    // A hint is rounded down and dropped if it cannot be followed.
    let hint = address & !(PAGE_BYTES - 1);
    Ok(match Range::new(hint, length, Errno::ENOMEM) {
        Ok(range) if flags & abi::MAP_32BIT == 0 => Place::Prefer(range.start, ceiling),
        _ => Place::Below(ceiling),
    })
}

/// Maps with `map`, which takes an address and how the kernel is to take it; answers the start.
fn put(
    place: Place,
    length: u64,
    map: impl Fn(u64, MapFlags) -> Result<u64, Error>,
) -> Result<u64, Errno> {
    let start = match place {
        Place::Replace(address) => {
            forget(Range {
                start: address,
                length,
            });
            map(address, MapFlags::REPLACE)
        }
        Place::Exact(address) => map(address, MapFlags::EXACT),
        Place::Prefer(address, ceiling) => match map(address, MapFlags::EXACT) {
            Err(Error::Occupied) => below(ceiling, &map),
            other => other,
        },
        Place::Below(ceiling) => below(ceiling, &map),
    };
    start.map_err(|error| match error {
        Error::Occupied => Errno::EEXIST,
        Error::Exhausted | Error::BadArgument => Errno::ENOMEM,
        other => other.into(),
    })
}

/// Below the ceiling, or wherever the kernel finds room if there is none below it.
fn below(ceiling: u64, map: &impl Fn(u64, MapFlags) -> Result<u64, Error>) -> Result<u64, Error> {
    match map(ceiling, MapFlags::empty()) {
        Err(Error::Exhausted) if ceiling > LOW => map(0, MapFlags::empty()),
        other => other,
    }
}

fn anonymous(
    place: Place,
    length: u64,
    protection: Protection,
    populate: MapFlags,
) -> Result<u64, Errno> {
    put(place, length, |address, placement| {
        kiln_runtime::address_space().map_anonymous(
            address,
            length,
            protection.bits(),
            (placement | populate).bits(),
        )
    })
}

/// A mapping of a file that has no pages: memory with a copy of the bytes.
fn copied(
    place: Place,
    length: u64,
    protection: Protection,
    file: &Readable,
    offset: u64,
) -> Result<u64, Errno> {
    let space = kiln_runtime::address_space();
    let writable = Protection::READ | Protection::WRITE;
    let start = anonymous(place, length, writable, MapFlags::empty())?;
    let filled = fill(start, length, file, offset).and_then(|()| {
        if protection != writable {
            space.protect(start, length, protection.bits())?;
        }
        Ok(())
    });
    if let Err(error) = filled {
        // The range is this call's own: nothing else was there, or it was replaced.
        let _ = space.unmap(start, length);
        return Err(error);
    }
    Ok(start)
}

/// Copies `length` bytes of a file, as far as it goes, to the program's memory.
///
/// # Errors
/// What the file's server answers; `EFAULT` if memory ran out.
pub fn fill(start: u64, length: u64, file: &Readable, offset: u64) -> Result<(), Errno> {
    const CHUNK: usize = 16 << 10;
    let mut buffer = vec![0; CHUNK.min(length as usize)];
    let mut done = 0;
    while done < length {
        let wanted = (buffer.len() as u64).min(length - done) as usize;
        let bytes = buffer.get_mut(..wanted).unwrap_or_default();
        let read = file.read_at(offset + done, bytes)?;
        program_memory::copy_out(start + done, bytes.get(..read).unwrap_or_default())?;
        if read < wanted {
            break;
        }
        done += read as u64;
    }
    Ok(())
}

/// `munmap(address, length)`.
///
/// # Errors
/// `EINVAL` for a range that is not at a page boundary, empty or not the program's.
pub fn munmap(call: &Call<'_>) -> Answer {
    if call.long(1) == 0 {
        return Err(Errno::EINVAL);
    }
    let range = Range::new(call.pointer(0), call.long(1), Errno::EINVAL)?;
    forget(range);
    kiln_runtime::address_space().unmap(range.start, range.length)?;
    Ok(0)
}

/// `mprotect(address, length, protection)`.
///
/// # Errors
/// As the manual page; `EACCES` also for memory to be written and executed at once.
pub fn mprotect(call: &Call<'_>) -> Answer {
    let range = Range::new(call.pointer(0), call.long(1), Errno::ENOMEM)?;
    let protection = protection(call.unsigned(2))?;
    if range.length == 0 {
        return Ok(0);
    }
    if !protection.contains(Protection::EXECUTE) {
        rewrite::forget(range.start, range.length);
    }
    kiln_runtime::address_space()
        .protect(range.start, range.length, protection.bits())
        .map_err(|error| match error {
            Error::NotFound => Errno::ENOMEM,
            other => other.into(),
        })?;
    Ok(0)
}

/// `mremap(old, old length, new length, flags, new address)`.
///
/// # Errors
/// As the manual page; `EINVAL` also for `MREMAP_DONTUNMAP` and for an old length of zero.
pub fn mremap(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(3);
    if flags & !(abi::MREMAP_MAYMOVE | abi::MREMAP_FIXED) != 0
        || call.long(1) == 0
        || call.long(2) == 0
        || (flags & abi::MREMAP_FIXED != 0 && flags & abi::MREMAP_MAYMOVE == 0)
    {
        return Err(Errno::EINVAL);
    }
    let old = Range::new(call.pointer(0), call.long(1), Errno::EFAULT)?;
    let new_length = call
        .long(2)
        .checked_next_multiple_of(PAGE_BYTES)
        .ok_or(Errno::ENOMEM)?;
    let space = kiln_runtime::address_space();
    if flags & abi::MREMAP_FIXED != 0 {
        let new = Range::new(call.pointer(4), new_length, Errno::EINVAL)?;
        if new.overlaps(old) {
            return Err(Errno::EINVAL);
        }
        forget(new);
        return move_pages(&space, old, new.start, new_length);
    }
    if new_length <= old.length {
        let tail = Range {
            start: old.start + new_length,
            length: old.length - new_length,
        };
        if tail.length > 0 {
            forget(tail);
            space.unmap(tail.start, tail.length)?;
        }
        return Ok(old.start);
    }
    if grows_in_place(&space, old, new_length) {
        return Ok(old.start);
    }
    if flags & abi::MREMAP_MAYMOVE == 0 {
        return Err(Errno::ENOMEM);
    }
    // Room is found by a mapping of nothing, which the move then replaces.
    let start = anonymous(
        Place::Below(LINUX.memory.ceiling.load(Relaxed)),
        new_length,
        Protection::empty(),
        MapFlags::empty(),
    )?;
    move_pages(&space, old, start, new_length).inspect_err(|_| {
        let _ = space.unmap(start, new_length);
    })
}

fn move_pages(
    space: &impl AddressSpace,
    old: Range,
    new_start: u64,
    new_length: u64,
) -> Result<u64, Errno> {
    let start = space
        .relocate(old.start, old.length, new_start, new_length)
        .map_err(|error| match error {
            Error::NotFound => Errno::EFAULT,
            other => other.into(),
        })?;
    forget(old);
    Ok(start)
}

/// Whether `old` could be made longer where it is. Only memory without a file is tried.
fn grows_in_place(space: &impl AddressSpace, old: Range, new_length: u64) -> bool {
    let Ok(((start, end), (bits, _))) = space.region(old.start) else {
        return false;
    };
    let named = LINUX.memory.names.lock().find(old.start).is_some();
    if named || start > old.start || end != old.end() {
        return false;
    }
    let Ok(grown) = Range::new(old.start, new_length, Errno::ENOMEM) else {
        return false;
    };
    let protection = Protection::from_bits_truncate(bits as u32);
    space
        .map_anonymous(
            old.end(),
            grown.length - old.length,
            protection.bits(),
            MapFlags::EXACT.bits(),
        )
        .is_ok()
}

fn forget(range: Range) {
    rewrite::forget(range.start, range.length);
    LINUX.memory.names.lock().remove(range);
}
