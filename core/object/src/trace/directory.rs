//! Where a reader of the machine's memory finds rings and counters.
//!
//! The kernel's data hold one directory, which begins with [`MAGIC`] and its own physical address.
//! It leads to pages of entries, one for each processor and one for each process on each processor.
//! Everything is words of 64 bits; addresses are physical. Words are written before the count that
//! makes them valid, and an entry's words change only as told there.

/// First word of the directory.
pub const MAGIC: u64 = u64::from_le_bytes(*b"KILNTRC1");

/// Words of the directory.
pub const DIRECTORY_WORDS: usize = 32;

/// Places in the directory, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Directory {
    /// [`MAGIC`]; written last.
    Magic = 0,
    /// The directory's own address.
    Address = 1,
    /// The groups that are noted, as their bits.
    Groups = 2,
    /// The clock: see `KernelInformation`.
    CounterBase = 3,
    /// Nanoseconds per count of the time stamp counter, 32.32 fixed point.
    Multiplier = 4,
    /// Valid entries.
    Entries = 5,
    /// Entries that there was no room for.
    Missed = 6,
    /// From here on the addresses of the pages with entries.
    Pages = 8,
}

/// Pages with entries at most.
pub const PAGES: usize = DIRECTORY_WORDS - Directory::Pages as usize;

/// Words of an entry.
pub const ENTRY_WORDS: usize = 16;

/// Entries on a page.
pub const PAGE_ENTRIES: usize = 4096 / (8 * ENTRY_WORDS);

/// Entries at most.
pub const MOST_ENTRIES: usize = PAGES * PAGE_ENTRIES;

/// Bytes of a name; the rest is zero.
pub const NAME_BYTES: usize = 32;

/// Places in an entry, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Entry {
    /// [`PROCESSOR`], [`DISPATCHER`] or [`PROCESS`], and the processor's number from bit 32.
    Kind = 0,
    /// The process; of a processor the kernel.
    Process = 1,
    /// What the word at `Current` of the processor holds while this dispatcher runs.
    Token = 2,
    /// Of a processor: the address of the word that tells which dispatcher runs; 0 if none does.
    Current = 3,
    /// Address of the counters: see [`Counter`].
    Counters = 4,
    /// Address of the number of pages that the process alone uses; 0 for a processor.
    Pages = 5,
    /// Address of the kernel's ring; 0 if there is none.
    Ring = 6,
    /// Address of its position.
    Position = 7,
    /// Events that it holds.
    Events = 8,
    /// Address of the process's own ring; 0 if there is none.
    UserRing = 9,
    /// Address of its position.
    UserPosition = 10,
    /// Events that it holds.
    UserEvents = 11,
    /// The name of the process, in [`NAME_BYTES`].
    Name = 12,
}

const _: () = assert!(Entry::Name as usize * 8 + NAME_BYTES == ENTRY_WORDS * 8);

/// [`Entry::Kind`] of a processor.
pub const PROCESSOR: u32 = 1;

/// [`Entry::Kind`] of a process on a processor.
pub const DISPATCHER: u32 = 2;

/// [`Entry::Kind`] of a process, wherever it runs: for its name alone.
pub const PROCESS: u32 = 3;

/// Counters of a process on a processor, in words; they only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Calls that the process made to other processes.
    CallsOut = 0,
    /// Calls that it served.
    CallsIn = 1,
    /// Calls that it made to the kernel's objects.
    KernelCalls = 2,
    /// Exceptions in it.
    Faults = 3,
    /// Not zero once the process has ended.
    Ended = 4,
}

/// Words of the counters.
pub const COUNTERS: usize = 5;
