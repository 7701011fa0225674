//! Advice about ranges, what is resident, and locking: mostly things the kernel has no need of.
//!
//! Nothing is ever paged out, so locked and unlocked memory are the same.

use alloc::vec;

use kiln_interface::kernel::AddressSpace;
use kiln_object::layout::PAGE_BYTES;
use linux_raw_sys::general as abi;

use super::Range;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Fails with `ENOMEM` unless all of `range` is mapped.
fn check_mapped(space: &impl AddressSpace, range: Range) -> Result<(), Errno> {
    let mut address = range.start;
    while address < range.end() {
        match space.region(address) {
            Ok(((start, end), _)) if start <= address && end > address => address = end,
            _ => return Err(Errno::ENOMEM),
        }
    }
    Ok(())
}

/// `madvise(address, length, advice)`.
///
/// # Errors
/// `EINVAL` for unknown advice; `ENOMEM` if part of the range is not mapped.
pub fn madvise(call: &Call<'_>) -> Answer {
    let advice = call.unsigned(2);
    let discards = match advice {
        abi::MADV_DONTNEED | abi::MADV_FREE => true,
        abi::MADV_NORMAL
        | abi::MADV_RANDOM
        | abi::MADV_SEQUENTIAL
        | abi::MADV_WILLNEED
        | abi::MADV_DONTFORK
        | abi::MADV_DOFORK
        | abi::MADV_MERGEABLE
        | abi::MADV_UNMERGEABLE
        | abi::MADV_HUGEPAGE
        | abi::MADV_NOHUGEPAGE
        | abi::MADV_DONTDUMP
        | abi::MADV_DODUMP
        | abi::MADV_COLD
        | abi::MADV_PAGEOUT
        | abi::MADV_POPULATE_READ
        | abi::MADV_POPULATE_WRITE => false,
        _ => return Err(Errno::EINVAL),
    };
    let range = Range::new(call.pointer(0), call.long(1), Errno::ENOMEM)?;
    let space = kiln_runtime::address_space();
    check_mapped(&space, range)?;
    if discards && range.length > 0 {
        space.discard(range.start, range.length)?;
    }
    Ok(0)
}

/// `mincore(address, length, vector)`: every mapped page counts as resident.
///
/// # Errors
/// As the manual page.
pub fn mincore(call: &Call<'_>) -> Answer {
    let range = Range::new(call.pointer(0), call.long(1), Errno::ENOMEM)?;
    check_mapped(&kiln_runtime::address_space(), range)?;
    let chunk = vec![1_u8; PAGE_BYTES as usize];
    let mut address = call.pointer(2);
    let mut pages = range.length / PAGE_BYTES;
    while pages > 0 {
        let now = pages.min(chunk.len() as u64);
        let bytes = chunk.get(..now as usize).unwrap_or_default();
        program_memory::copy_out(address, bytes)?;
        address += now;
        pages -= now;
    }
    Ok(0)
}

/// `msync(address, length, flags)`: no shared mapping is ever dirty.
///
/// # Errors
/// As the manual page.
pub fn msync(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(2);
    let both = abi::MS_ASYNC | abi::MS_SYNC;
    if flags & !(both | abi::MS_INVALIDATE) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let range = Range::new(call.pointer(0), call.long(1), Errno::ENOMEM)?;
    check_mapped(&kiln_runtime::address_space(), range)?;
    Ok(0)
}

fn check_lock(call: &Call<'_>) -> Answer {
    let start = call.pointer(0) & !(PAGE_BYTES - 1);
    let length = call
        .long(1)
        .checked_add(call.pointer(0) - start)
        .ok_or(Errno::EINVAL)?;
    let range = Range::new(start, length, Errno::ENOMEM)?;
    check_mapped(&kiln_runtime::address_space(), range)?;
    Ok(0)
}

/// `mlock(address, length)`.
///
/// # Errors
/// `ENOMEM` if part of the range is not mapped.
pub fn mlock(call: &Call<'_>) -> Answer {
    check_lock(call)
}

/// `mlock2(address, length, flags)`.
///
/// # Errors
/// As [`mlock`]; `EINVAL` for unknown flags.
pub fn mlock2(call: &Call<'_>) -> Answer {
    if call.unsigned(2) & !abi::MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    check_lock(call)
}

/// `munlock(address, length)`.
///
/// # Errors
/// As [`mlock`].
pub fn munlock(call: &Call<'_>) -> Answer {
    check_lock(call)
}

/// `mlockall(flags)`.
///
/// # Errors
/// `EINVAL` for no or unknown flags.
pub fn mlockall(call: &Call<'_>) -> Answer {
    let known = abi::MCL_CURRENT | abi::MCL_FUTURE | abi::MCL_ONFAULT;
    match call.unsigned(0) {
        0 => Err(Errno::EINVAL),
        flags if flags & !known != 0 => Err(Errno::EINVAL),
        _ => Ok(0),
    }
}

/// `munlockall()`.
///
/// # Errors
/// None.
pub fn munlockall(_call: &Call<'_>) -> Answer {
    Ok(0)
}

/// `pkey_mprotect(address, length, protection, key)`: only without a key.
///
/// # Errors
/// As [`mprotect`](super::mprotect); `EINVAL` for a key.
pub fn pkey_mprotect(call: &Call<'_>) -> Answer {
    if call.integer(3) != -1 {
        return Err(Errno::EINVAL);
    }
    super::mprotect(call)
}

/// `pkey_alloc(flags, rights)`: there are no keys to give.
///
/// # Errors
/// `ENOSPC` always, as on a processor without protection keys.
pub fn pkey_alloc(_call: &Call<'_>) -> Answer {
    Err(Errno::ENOSPC)
}

/// `pkey_free(key)`.
///
/// # Errors
/// `EINVAL` always: no key was given.
pub fn pkey_free(_call: &Call<'_>) -> Answer {
    Err(Errno::EINVAL)
}
