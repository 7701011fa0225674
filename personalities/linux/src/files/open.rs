//! `open` and its kin, and `close`.

use alloc::sync::Arc;

use linux_raw_sys::general::{
    AT_FDCWD, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL, O_CLOEXEC, O_CREAT,
    O_LARGEFILE, O_PATH, O_RDWR, O_TRUNC, O_WRONLY, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::description::Description;
use super::files;
use super::memory_file::MemoryFile;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Flags of `close_range`.
const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

fn open_at(directory: i32, path: u64, flags: u32, mode: u32) -> Answer {
    let files = files();
    let path = program_memory::path(path)?;
    let start = files.start(directory, &path)?;
    let description = files.open(start, flags, mode)?;
    Ok(files.add(description, flags & O_CLOEXEC != 0)? as u64)
}

/// open(2)
pub fn open(call: &Call<'_>) -> Answer {
    open_at(
        AT_FDCWD,
        call.pointer(0),
        call.unsigned(1),
        call.unsigned(2),
    )
}

/// openat(2)
pub fn openat(call: &Call<'_>) -> Answer {
    open_at(
        call.descriptor(0),
        call.pointer(1),
        call.unsigned(2),
        call.unsigned(3),
    )
}

/// creat(2)
pub fn creat(call: &Call<'_>) -> Answer {
    open_at(
        AT_FDCWD,
        call.pointer(0),
        O_CREAT | O_WRONLY | O_TRUNC,
        call.unsigned(1),
    )
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// openat2(2). Of its restrictions only those are known that a walk here keeps anyway.
pub fn openat2(call: &Call<'_>) -> Answer {
    let size = call.long(3);
    if size < size_of::<How>() as u64 {
        return Err(Errno::EINVAL);
    }
    if size > size_of::<How>() as u64 {
        return Err(Errno::E2BIG);
    }
    let how: How = program_memory::read(call.pointer(2))?;
    let flags = u32::try_from(how.flags).map_err(|_| Errno::EINVAL)?;
    let mode = u32::try_from(how.mode).map_err(|_| Errno::EINVAL)?;
    if mode & !0o7777 != 0 || (mode != 0 && flags & O_CREAT == 0) {
        return Err(Errno::EINVAL);
    }
    let kept = u64::from(RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
    if how.resolve & !kept != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    open_at(call.descriptor(0), call.pointer(1), flags, mode)
}

/// close(2)
pub fn close(call: &Call<'_>) -> Answer {
    // Dropped after the table is unlocked: the last close of a file calls its server.
    let closed = files().descriptors.lock().remove(call.descriptor(0))?;
    drop(closed);
    Ok(0)
}

/// close_range(2)
pub fn close_range(call: &Call<'_>) -> Answer {
    let (first, last, flags) = (call.unsigned(0), call.unsigned(1), call.unsigned(2));
    if first > last || flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 {
        return Err(Errno::EINVAL);
    }
    let files = files();
    let open: alloc::vec::Vec<i32> = files
        .descriptors
        .lock()
        .open_from(first as usize)
        .take_while(|descriptor| *descriptor as u32 <= last)
        .collect();
    for descriptor in open {
        let mut descriptors = files.descriptors.lock();
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            descriptors.set_close_on_exec(descriptor, true)?;
        } else {
            let closed = descriptors.remove(descriptor);
            drop(descriptors);
            drop(closed);
        }
    }
    Ok(0)
}

/// memfd_create(2)
pub fn memfd_create(call: &Call<'_>) -> Answer {
    const NAME_BYTES: usize = 250;
    let flags = call.unsigned(1);
    if flags & !(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC | MFD_NOEXEC_SEAL) != 0 {
        return Err(Errno::EINVAL);
    }
    let name =
        program_memory::c_string(call.pointer(0), NAME_BYTES).map_err(|error| match error {
            Errno::ENAMETOOLONG => Errno::EINVAL,
            error => error,
        })?;
    let file = Arc::new(MemoryFile::new(&name));
    let description = Description::new(file, O_RDWR | O_LARGEFILE, alloc::vec::Vec::new());
    Ok(files().add(description, flags & MFD_CLOEXEC != 0)? as u64)
}

/// Whether a descriptor is only a place, for calls that such a one refuses.
///
/// # Errors
/// `EBADF` if it is, or is not open at all.
pub fn usable(descriptor: i32) -> Result<Arc<Description>, Errno> {
    let description = files().description(descriptor)?;
    if description.flags() & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    Ok(description)
}
