//! One ELF file on its way into memory.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection, protection_and_flags};
use kiln_object::Error;
use kiln_object::layout::PAGE_BYTES;

use super::Failure;
use super::plan::{Header, Plan, Refusal, Segment, page_down, page_up};
use crate::errno::Errno;
use crate::files::{MapSource, Readable};
use crate::memory::{Range, fill};
use crate::{LINUX, program_memory};

/// Bytes read from the start of a file to see what it is: the header and the usual table.
const START_BYTES: usize = 1024;

/// The first bytes of a file: as many as there are, up to [`START_BYTES`].
pub(super) fn read_start(file: &Readable) -> Result<Vec<u8>, Errno> {
    let mut start = vec![0; START_BYTES];
    let length = file.read_at(0, &mut start)?;
    start.truncate(length);
    Ok(start)
}

/// A file that was looked at and can be mapped.
#[derive(Debug)]
pub(super) struct Image {
    /// What is to be done.
    pub plan: Plan,
    /// Path of the interpreter that it asks for.
    pub interpreter: Option<Vec<u8>>,
    source: MapSource,
}

impl Image {
    /// Looks at a file whose first bytes are `start`.
    pub(super) fn prepare(file: &Readable, start: Vec<u8>) -> Result<Self, Failure> {
        let header = Header::parse(&start)?;
        let length = file.length().map_err(Failure::Read)?;
        let table_offset = usize::try_from(header.table_offset).unwrap_or(usize::MAX);
        let inside = table_offset
            .checked_add(header.table_bytes())
            .and_then(|end| start.get(table_offset..end));
        let plan = match inside {
            Some(table) => Plan::make(&header, table, length)?,
            None => {
                let mut table = vec![0; header.table_bytes()];
                let read = file
                    .read_at(header.table_offset, &mut table)
                    .map_err(Failure::Read)?;
                table.truncate(read);
                Plan::make(&header, &table, length)?
            }
        };
        let interpreter = match plan.interpreter {
            Some((offset, bytes)) => {
                let mut path = vec![0; bytes];
                let read = file.read_at(offset, &mut path).map_err(Failure::Read)?;
                path.truncate(read);
                // The path ends at its NUL, and there must be one.
                let end = path
                    .iter()
                    .position(|byte| *byte == 0)
                    .filter(|end| *end > 0);
                path.truncate(end.ok_or(Refusal::Malformed("the path of its interpreter"))?);
                Some(path)
            }
            None => None,
        };
        let source = file.map_source().map_err(Failure::Read)?;
        Ok(Self {
            plan,
            interpreter,
            source,
        })
    }

    /// Maps all segments; answers what to add to the file's addresses. A file that may lie anywhere
    /// is put at `preferred`, or with the other mappings.
    pub(super) fn place(
        &self,
        file: &Readable,
        path: &[u8],
        preferred: Option<u64>,
    ) -> Result<u64, Errno> {
        let space = kiln_runtime::address_space();
        let (first, end) = self.plan.extent();
        // The whole range is taken first, so that no segment lands on something else, and what lies
        // between segments stays inaccessible.
        let bias = if self.plan.relocatable {
            reserve(&space, end - first, self.plan.alignment, preferred)?.wrapping_sub(first)
        } else {
            space.map_anonymous(first, end - first, 0, MapFlags::EXACT.bits())?;
            0
        };
        for segment in &self.plan.segments {
            self.place_segment(&space, file, segment, bias)?;
        }
        let start = first.wrapping_add(bias);
        let length = end - first;
        LINUX
            .memory
            .names
            .lock()
            .insert(Range { start, length }, path);
        Ok(bias)
    }

    fn place_segment(
        &self,
        space: &impl AddressSpace,
        file: &Readable,
        segment: &Segment,
        bias: u64,
    ) -> Result<(), Errno> {
        let address = segment.address.wrapping_add(bias);
        let start = page_down(address);
        let file_end = address + segment.file_bytes;
        let memory_end = page_up(address + segment.memory_bytes);
        let protection = protection(segment);
        let mapped_end = if segment.file_bytes > 0 {
            page_up(file_end)
        } else {
            start
        };
        if mapped_end > start {
            let offset = page_down(segment.file_offset);
            let length = mapped_end - start;
            match &self.source {
                MapSource::Pages(cache, _) => {
                    space.map_file(
                        *cache,
                        offset,
                        start,
                        length,
                        protection_and_flags(protection, MapFlags::REPLACE),
                    )?;
                }
                MapSource::Copy(_) | MapSource::Zero => {
                    map_zeroes(space, start, length, Protection::READ | Protection::WRITE)?;
                    let wanted = file_end - start;
                    fill(start, wanted, file, offset)?;
                    space.protect(start, length, protection.bits())?;
                }
            }
            // The rest of the file's last page belongs to the zeroed memory.
            if segment.memory_bytes > segment.file_bytes && segment.writable {
                program_memory::zero(file_end, mapped_end - file_end)?;
            }
        }
        if memory_end > mapped_end {
            map_zeroes(space, mapped_end, memory_end - mapped_end, protection)?;
        }
        Ok(())
    }
}

fn protection(segment: &Segment) -> Protection {
    let mut protection = Protection::empty();
    protection.set(Protection::READ, segment.readable);
    protection.set(Protection::WRITE, segment.writable);
    protection.set(Protection::EXECUTE, segment.executable);
    protection
}

fn map_zeroes(
    space: &impl AddressSpace,
    start: u64,
    length: u64,
    protection: Protection,
) -> Result<(), Error> {
    space
        .map_anonymous(start, length, protection.bits(), MapFlags::REPLACE.bits())
        .map(|_| ())
}

/// Takes `length` bytes of address space; answers where.
fn reserve(
    space: &impl AddressSpace,
    length: u64,
    alignment: u64,
    preferred: Option<u64>,
) -> Result<u64, Error> {
    if let Some(preferred) = preferred {
        let start = preferred & !(alignment - 1);
        match space.map_anonymous(start, length, 0, MapFlags::EXACT.bits()) {
            Err(Error::Occupied) => {}
            other => return other,
        }
    }
    let ceiling = LINUX.memory.ceiling.load(Relaxed);
    let slack = alignment - PAGE_BYTES;
    let start = space.map_anonymous(ceiling, length + slack, 0, 0)?;
    if slack == 0 {
        return Ok(start);
    }
    // What lies before and behind the aligned part is given back.
    let aligned = start.next_multiple_of(alignment);
    if aligned > start {
        space.unmap(start, aligned - start)?;
    }
    let (end, wanted_end) = (start + length + slack, aligned + length);
    if end > wanted_end {
        space.unmap(wanted_end, end - wanted_end)?;
    }
    Ok(aligned)
}
