//! Puts a component of the image into a new process.

use kiln_image_format::{Permissions, Segments};
use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::Error;
use kiln_object::layout::{
    CONFIGURATION_BASE, HEAP_BASE, HEAP_BYTES, KERNEL_INFORMATION_BASE, MAIN_STACK_BYTES,
    MAIN_STACK_TOP, PAGE_BYTES, STARTUP_BASE,
};
use kiln_object::startup::Startup;

use super::Process;
use crate::memory::address_space::AddressSpace;
use crate::memory::cache::Cache;
use crate::memory::frames::{self, Frame};
use crate::memory::region::Backing;

const READ_WRITE: Protection = Protection::READ.union(Protection::WRITE);

/// Maps the segments of `parts` from the image at physical `image`, and the places every process
/// has: heap, stacks, information page.
///
/// # Errors
/// What mapping answers; `Corrupt` for a segment that contradicts itself.
pub fn memory(
    process: &Process,
    parts: [Option<Segments<'_>>; 2],
    image: u64,
    information: Frame,
) -> Result<(), Error> {
    process.change(|space| regions(space, parts, image, information))
}

fn regions(
    space: &mut AddressSpace,
    parts: [Option<Segments<'_>>; 2],
    image: u64,
    information: Frame,
) -> Result<(), Error> {
    for segments in parts.iter().flatten() {
        for segment in *segments {
            let protection = match segment.permissions {
                Permissions::ReadExecute => Protection::READ | Protection::EXECUTE,
                Permissions::Read => Protection::READ,
                Permissions::ReadWrite => READ_WRITE,
            };
            // A program's segment may start and end within a page, whose rest is what the image has there.
            let start = segment.virtual_address & !(PAGE_BYTES - 1);
            let before = segment.virtual_address - start;
            let in_file = segment.file_bytes + before;
            let file_end = in_file.next_multiple_of(PAGE_BYTES);
            if segment.file_bytes != 0 {
                let physical = (image + segment.image_offset).checked_sub(before);
                let cache = Cache::new(physical.ok_or(Error::Corrupt)?, in_file);
                space.map(
                    start,
                    file_end,
                    protection,
                    MapFlags::EXACT,
                    Backing::File { cache, offset: 0 },
                )?;
            }
            let memory_end = (segment.memory_bytes + before).next_multiple_of(PAGE_BYTES);
            if memory_end > file_end {
                space.map(
                    start + file_end,
                    memory_end - file_end,
                    protection,
                    MapFlags::EXACT,
                    Backing::Anonymous,
                )?;
            }
        }
    }
    for (start, bytes) in [
        (HEAP_BASE, HEAP_BYTES),
        (MAIN_STACK_TOP - MAIN_STACK_BYTES, MAIN_STACK_BYTES),
    ] {
        space.map(
            start,
            bytes,
            READ_WRITE,
            MapFlags::EXACT,
            Backing::Anonymous,
        )?;
    }
    space.pin(KERNEL_INFORMATION_BASE, information, Protection::READ)
}

/// Shows `bytes` of the image at `offset` read-only at `address`.
///
/// # Errors
/// What mapping answers.
pub fn show(process: &Process, address: u64, cache: Cache) -> Result<(), Error> {
    if cache.length() == 0 {
        return Ok(());
    }
    let backing = Backing::File { cache, offset: 0 };
    process
        .change(|space| {
            space.map(
                address,
                cache.length(),
                Protection::READ,
                MapFlags::EXACT,
                backing,
            )
        })
        .map(|_| ())
}

/// Shows the configuration blob.
///
/// # Errors
/// What mapping answers.
pub fn configuration(process: &Process, cache: Cache) -> Result<(), Error> {
    show(process, CONFIGURATION_BASE, cache)
}

/// The process's start-up block, cleared: in its page for it, which all its incarnations have.
///
/// # Errors
/// `Exhausted` without memory.
pub fn blank_startup(process: &Process) -> Result<&'static mut Startup, Error> {
    let make = || frames::allocate_zeroed().ok_or(Error::Exhausted);
    let frame = *process.startup.try_call_once(make)?;
    // SAFETY: the frame is the process's for good, a block fits a page, and zeroes are one. The process
    // does not run, and the kernel changes blocks at the start and in the supervisor only, one at a
    // time.
    let startup = unsafe { &mut *frame.pointer().cast::<Startup>() };
    startup.clear();
    Ok(startup)
}

/// Puts the block, which is filled in, where the process sees it. What changes in it later is atomic,
/// unless the process is started again, which none with servers in the kernel is.
///
/// # Errors
/// What pinning answers.
pub fn show_startup(
    process: &Process,
    startup: &'static Startup,
) -> Result<&'static Startup, Error> {
    let frame = process.startup.get().ok_or(Error::NotFound)?;
    process.change(|space| space.pin(STARTUP_BASE, *frame, Protection::READ))?;
    Ok(startup)
}
