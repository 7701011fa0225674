//! The program's address space: `brk`, `mmap` and their kin.
//!
//! What is mapped where is the kernel's knowledge; kept here is only what Linux adds to it: the
//! break, where searches for room start, and the names that `/proc/self/maps` shows. The system's
//! own range is off limits to every call here.

mod advice;
mod mapping;
mod names;
mod program_break;

use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;

use kiln_interface::kernel::Protection;
use kiln_object::layout::PAGE_BYTES;
use kiln_runtime::SpinMutex;
use linux_raw_sys::general as abi;

pub use advice::{
    madvise, mincore, mlock, mlock2, mlockall, msync, munlock, munlockall, pkey_alloc, pkey_free,
    pkey_mprotect,
};
pub use mapping::{fill, mmap, mprotect, mremap, munmap};
pub use names::{Names, STACK_NAME};
pub use program_break::{Break, brk};

use crate::errno::Errno;
use crate::load::plan::place_is_free;
use crate::table::{Argument, SystemCall};

/// This family's state.
#[derive(Debug)]
pub struct Memory {
    /// The program break.
    pub program_break: SpinMutex<Break>,
    /// The address below which mappings without a place are put; zero leaves it to the kernel.
    pub ceiling: AtomicU64,
    /// Lowest address of the program's stack; zero before there is one.
    pub stack_bottom: AtomicU64,
    /// Which file each mapping shows.
    pub names: SpinMutex<Names>,
}

impl Memory {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            program_break: SpinMutex::new(Break::new()),
            ceiling: AtomicU64::new(0),
            stack_bottom: AtomicU64::new(0),
            names: SpinMutex::new(Names::new()),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

const PROTECTION_NAMES: &[(u64, &str)] = &[
    (0, "PROT_NONE"),
    (abi::PROT_READ as u64, "PROT_READ"),
    (abi::PROT_WRITE as u64, "PROT_WRITE"),
    (abi::PROT_EXEC as u64, "PROT_EXEC"),
    (abi::PROT_GROWSDOWN as u64, "PROT_GROWSDOWN"),
    (abi::PROT_GROWSUP as u64, "PROT_GROWSUP"),
];

const MAP_NAMES: &[(u64, &str)] = &[
    (abi::MAP_SHARED_VALIDATE as u64, "MAP_SHARED_VALIDATE"),
    (abi::MAP_SHARED as u64, "MAP_SHARED"),
    (abi::MAP_PRIVATE as u64, "MAP_PRIVATE"),
    (abi::MAP_FIXED as u64, "MAP_FIXED"),
    (abi::MAP_ANONYMOUS as u64, "MAP_ANONYMOUS"),
    (abi::MAP_32BIT as u64, "MAP_32BIT"),
    (abi::MAP_GROWSDOWN as u64, "MAP_GROWSDOWN"),
    (abi::MAP_DENYWRITE as u64, "MAP_DENYWRITE"),
    (abi::MAP_EXECUTABLE as u64, "MAP_EXECUTABLE"),
    (abi::MAP_LOCKED as u64, "MAP_LOCKED"),
    (abi::MAP_NORESERVE as u64, "MAP_NORESERVE"),
    (abi::MAP_POPULATE as u64, "MAP_POPULATE"),
    (abi::MAP_NONBLOCK as u64, "MAP_NONBLOCK"),
    (abi::MAP_STACK as u64, "MAP_STACK"),
    (abi::MAP_HUGETLB as u64, "MAP_HUGETLB"),
    (abi::MAP_FIXED_NOREPLACE as u64, "MAP_FIXED_NOREPLACE"),
];

const REMAP_NAMES: &[(u64, &str)] = &[
    (0, "0"),
    (abi::MREMAP_MAYMOVE as u64, "MREMAP_MAYMOVE"),
    (abi::MREMAP_FIXED as u64, "MREMAP_FIXED"),
    (abi::MREMAP_DONTUNMAP as u64, "MREMAP_DONTUNMAP"),
];

const ADVICE_NAMES: &[(u64, &str)] = &[
    (abi::MADV_NORMAL as u64, "MADV_NORMAL"),
    (abi::MADV_RANDOM as u64, "MADV_RANDOM"),
    (abi::MADV_SEQUENTIAL as u64, "MADV_SEQUENTIAL"),
    (abi::MADV_WILLNEED as u64, "MADV_WILLNEED"),
    (abi::MADV_DONTNEED as u64, "MADV_DONTNEED"),
    (abi::MADV_FREE as u64, "MADV_FREE"),
    (abi::MADV_REMOVE as u64, "MADV_REMOVE"),
    (abi::MADV_DONTFORK as u64, "MADV_DONTFORK"),
    (abi::MADV_DOFORK as u64, "MADV_DOFORK"),
    (abi::MADV_MERGEABLE as u64, "MADV_MERGEABLE"),
    (abi::MADV_UNMERGEABLE as u64, "MADV_UNMERGEABLE"),
    (abi::MADV_HUGEPAGE as u64, "MADV_HUGEPAGE"),
    (abi::MADV_NOHUGEPAGE as u64, "MADV_NOHUGEPAGE"),
    (abi::MADV_DONTDUMP as u64, "MADV_DONTDUMP"),
    (abi::MADV_DODUMP as u64, "MADV_DODUMP"),
    (abi::MADV_COLD as u64, "MADV_COLD"),
    (abi::MADV_PAGEOUT as u64, "MADV_PAGEOUT"),
    (abi::MADV_POPULATE_READ as u64, "MADV_POPULATE_READ"),
    (abi::MADV_POPULATE_WRITE as u64, "MADV_POPULATE_WRITE"),
];

const SYNC_NAMES: &[(u64, &str)] = &[
    (0, "0"),
    (abi::MS_ASYNC as u64, "MS_ASYNC"),
    (abi::MS_INVALIDATE as u64, "MS_INVALIDATE"),
    (abi::MS_SYNC as u64, "MS_SYNC"),
];

/// The calls of this family.
pub const CALLS: &[SystemCall] = {
    use Argument::{Choice, Descriptor, Flags, Hexadecimal, Pointer, Unsigned};
    &[
        SystemCall::new(
            abi::__NR_mmap,
            "mmap",
            mmap,
            &[
                Pointer,
                Unsigned,
                Flags(PROTECTION_NAMES),
                Flags(MAP_NAMES),
                Descriptor,
                Hexadecimal,
            ],
        ),
        SystemCall::new(
            abi::__NR_mprotect,
            "mprotect",
            mprotect,
            &[Pointer, Unsigned, Flags(PROTECTION_NAMES)],
        ),
        SystemCall::new(abi::__NR_munmap, "munmap", munmap, &[Pointer, Unsigned]),
        SystemCall::new(abi::__NR_brk, "brk", brk, &[Pointer]),
        SystemCall::new(
            abi::__NR_mremap,
            "mremap",
            mremap,
            &[Pointer, Unsigned, Unsigned, Flags(REMAP_NAMES), Pointer],
        ),
        SystemCall::new(
            abi::__NR_msync,
            "msync",
            msync,
            &[Pointer, Unsigned, Flags(SYNC_NAMES)],
        ),
        SystemCall::new(
            abi::__NR_mincore,
            "mincore",
            mincore,
            &[Pointer, Unsigned, Pointer],
        ),
        SystemCall::new(
            abi::__NR_madvise,
            "madvise",
            madvise,
            &[Pointer, Unsigned, Choice(ADVICE_NAMES)],
        ),
        SystemCall::new(abi::__NR_mlock, "mlock", mlock, &[Pointer, Unsigned]),
        SystemCall::new(
            abi::__NR_mlock2,
            "mlock2",
            mlock2,
            &[Pointer, Unsigned, Hexadecimal],
        ),
        SystemCall::new(abi::__NR_munlock, "munlock", munlock, &[Pointer, Unsigned]),
        SystemCall::new(abi::__NR_mlockall, "mlockall", mlockall, &[Hexadecimal]),
        SystemCall::new(abi::__NR_munlockall, "munlockall", munlockall, &[]),
        SystemCall::new(
            abi::__NR_pkey_mprotect,
            "pkey_mprotect",
            pkey_mprotect,
            &[Pointer, Unsigned, Flags(PROTECTION_NAMES), Argument::Signed],
        ),
        SystemCall::new(
            abi::__NR_pkey_alloc,
            "pkey_alloc",
            pkey_alloc,
            &[Hexadecimal, Hexadecimal],
        ),
        SystemCall::new(
            abi::__NR_pkey_free,
            "pkey_free",
            pkey_free,
            &[Argument::Signed],
        ),
    ]
};

/// A page-aligned range of the program's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Bytes; a multiple of the page size.
    pub length: u64,
}

impl Range {
    /// The pages from `start`, which must be at a page boundary, that `length` bytes touch.
    ///
    /// # Errors
    /// `EINVAL` if `start` is not at a page boundary; `refusal` if the range is not the program's.
    pub fn new(start: u64, length: u64, refusal: Errno) -> Result<Self, Errno> {
        if !start.is_multiple_of(PAGE_BYTES) {
            return Err(Errno::EINVAL);
        }
        let length = length.checked_next_multiple_of(PAGE_BYTES).ok_or(refusal)?;
        let end = start.checked_add(length).ok_or(refusal)?;
        if length > 0 && !place_is_free(start, end) {
            return Err(refusal);
        }
        Ok(Self { start, length })
    }

    /// The address after the last.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start + self.length
    }

    /// Whether the two have a page in common.
    #[must_use]
    pub fn overlaps(self, other: Range) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// `PROT_*` as the kernel's protection.
///
/// # Errors
/// `EINVAL` for unknown bits; `EACCES` for memory to be written and executed at once, which Kiln
/// never maps.
pub fn protection(bits: u32) -> Result<Protection, Errno> {
    if bits & !(abi::PROT_READ | abi::PROT_WRITE | abi::PROT_EXEC | abi::PROT_SEM) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut protection = Protection::empty();
    protection.set(Protection::READ, bits & abi::PROT_READ != 0);
    protection.set(Protection::WRITE, bits & abi::PROT_WRITE != 0);
    protection.set(Protection::EXECUTE, bits & abi::PROT_EXEC != 0);
    if protection.contains(Protection::WRITE | Protection::EXECUTE) {
        return Err(Errno::EACCES);
    }
    Ok(protection)
}

/// A mapped range as `/proc/self/maps` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
    /// What may be done.
    pub protection: Protection,
    /// Offset in the file, if it shows one.
    pub offset: u64,
    /// The file's path, or a name in brackets; empty if it has none.
    pub name: Vec<u8>,
}

/// The program's mapped ranges by ascending address, without the system's own.
#[must_use]
pub fn regions() -> Vec<Region> {
    use kiln_interface::kernel::AddressSpace;

    let space = kiln_runtime::address_space();
    let mut names = crate::LINUX.memory.names.lock();
    let mut regions = Vec::new();
    let mut address = kiln_object::layout::USER_START;
    while let Ok(((start, end), (bits, offset))) = space.region(address) {
        if end <= address {
            break;
        }
        address = end;
        if place_is_free(start, end) {
            regions.push(Region {
                start,
                end,
                protection: Protection::from_bits_truncate(bits as u32),
                offset,
                name: names.find(start).map(<[u8]>::to_vec).unwrap_or_default(),
            });
        }
    }
    regions
}
