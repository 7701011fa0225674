//! Objects that the kernel serves: memory, processes, console, log, randomness, power.

use kiln_object::{Error, ProcessId, Reference};

use crate::{FourWords, interface};

bitflags::bitflags! {
    /// What accesses a mapping allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// Loads.
        const READ = 1;
        /// Stores; never together with `EXECUTE`.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
    }
}

bitflags::bitflags! {
    /// How a mapping is made.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MapFlags: u32 {
        /// Exactly at the given address, in place of what is there.
        const REPLACE = 1;
        /// Exactly at the given address, or `Error::Occupied`.
        const EXACT = 2;
        /// Stores go to the file's pages, not to a private copy.
        const SHARED = 4;
        /// Memory is filled at once instead of at first touch.
        const POPULATE = 8;
    }
}

/// A process's own memory.
///
/// Addresses and lengths are multiples of the page size. Without `REPLACE` or `EXACT` the address
/// is where the search for room starts, going down; zero leaves the place to the kernel.
#[interface(name = "kiln.address_space")]
pub trait AddressSpace {
    /// Maps zeroed memory and answers where.
    #[method(1, right = CONTROL)]
    fn map_anonymous(
        &self,
        address: u64,
        length: u64,
        protection: u32,
        flags: u32,
    ) -> Result<u64, Error>;

    /// Maps `length` bytes of `cache` from `offset`; what lies beyond its end faults.
    #[method(2, right = CONTROL)]
    fn map_file(
        &self,
        cache: Reference<dyn FileCache>,
        offset: u64,
        address: u64,
        length: u64,
        protection_and_flags: u64,
    ) -> Result<u64, Error>;

    /// Removes whatever is mapped in the range.
    #[method(3, right = CONTROL)]
    fn unmap(&self, address: u64, length: u64) -> Result<(), Error>;

    /// Changes the protection of a range that is mapped throughout (`NotFound` if it is not).
    #[method(4, right = CONTROL, idempotent)]
    fn protect(&self, address: u64, length: u64, protection: u32) -> Result<(), Error>;

    /// Moves a mapping's pages to another address, as `mremap` needs; answers the new address.
    #[method(5, right = CONTROL)]
    fn relocate(
        &self,
        address: u64,
        length: u64,
        new_address: u64,
        new_length: u64,
    ) -> Result<u64, Error>;

    /// Gives the range's memory back; it reads as zeroes (or as the file) afterwards.
    #[method(6, right = CONTROL, idempotent)]
    fn discard(&self, address: u64, length: u64) -> Result<(), Error>;

    /// Stores up to 16 bytes at `address` in a private copy of a page that may be executable, never
    /// leaving a half-written instruction visible; fails on a page that is not mapped.
    #[method(7, right = CONTROL)]
    fn patch(&self, address: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Makes a file of `length` bytes whose pages are kept in the kernel, and answers the only reference
    /// to it, which cannot be passed on. `pager` is the raw name of an object of the caller that has
    /// [`Pager`] and that the kernel may use: it is told of each page that is touched and not there,
    /// with `key`. Zero: there is none, and such pages are zeroes.
    #[method(9, right = CONTROL)]
    fn create_file(
        &self,
        length: u64,
        pager: u64,
        key: u64,
    ) -> Result<Reference<dyn PagedFile>, Error>;

    /// The mapped range at or above `address`: its start and end, then its protection in the low
    /// bits and [`MapFlags`] from bit 32, then the offset in its file.
    #[method(8, right = READ, idempotent)]
    fn region(&self, address: u64) -> Result<FourWords, Error>;
}

/// Packs `protection` and `flags` for [`AddressSpace::map_file`].
#[must_use]
pub const fn protection_and_flags(protection: Protection, flags: MapFlags) -> u64 {
    (flags.bits() as u64) << 32 | protection.bits() as u64
}

/// The pages of one file, or of a range of one.
#[interface(name = "kiln.file_cache")]
pub trait FileCache {
    /// How many bytes there are.
    #[method(1, right = READ, idempotent)]
    fn length(&self) -> Result<u64, Error>;

    /// A reference for `owner` to the bytes `offset..offset + length` as a file of their own, which
    /// may be read and mapped. `offset` is a multiple of the page size. Who pays is as for
    /// [`PagedFile::share`].
    #[method(2, right = GRANT)]
    fn share_range(
        &self,
        offset: u64,
        length: u64,
        owner: ProcessId,
    ) -> Result<Reference<dyn FileCache>, Error>;
}

/// A file whose pages the kernel keeps, as who made it sees it ([`AddressSpace::create_file`]). When this
/// reference goes, nobody brings pages any more.
#[interface(name = "kiln.paged_file")]
pub trait PagedFile {
    /// A reference for `owner` to the file, to read its length, map it, and store to shared mappings, as
    /// far as `rights` has `READ`, `MAP` and `WRITE`. `owner` pays for it if it is a caller whom this
    /// process serves right now, and else this process. In the first case there are at most four in one
    /// call, and the kernel takes them back if that is never answered.
    #[method(1, right = CONTROL)]
    fn share(&self, owner: ProcessId, rights: u32) -> Result<Reference<dyn FileCache>, Error>;

    /// Brings the page at `offset`, asked for or not: `bytes` and then zeroes. `Exists` if it is there,
    /// `BadArgument` beyond the end or with no bytes at all.
    #[method(2, right = CONTROL)]
    fn supply(&self, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Says that the page at `offset` will not come: whoever waits for it gets a bad access. `NotFound`
    /// if nobody does.
    #[method(3, right = CONTROL)]
    fn fail(&self, offset: u64) -> Result<(), Error>;

    /// Reads from pages that are there; ends before the first that is not, `NotFound` if that is the one
    /// at `offset`.
    #[method(4, right = CONTROL, idempotent)]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error>;

    /// Writes to pages that are there, in the same way and not beyond the end.
    #[method(5, right = CONTROL, idempotent)]
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Error>;

    /// Makes the file longer or shorter. What is cut off is gone for everybody who maps it.
    #[method(6, right = CONTROL, idempotent)]
    fn set_length(&self, length: u64) -> Result<(), Error>;

    /// How many others have the file: processes that map it, and references.
    #[method(7, right = CONTROL, idempotent)]
    fn users(&self) -> Result<u64, Error>;
}

/// What brings the pages of files ([`AddressSpace::create_file`]). The kernel is the caller; it waits for
/// nothing but the pages themselves.
#[interface(name = "kiln.pager")]
pub trait Pager {
    /// Somebody waits for the page at `offset` of the file with that key: [`PagedFile::supply`] it, or
    /// say that it will not come.
    #[method(1, right = CONTROL, oneway)]
    fn fill(&self, key: u64, offset: u64) -> Result<(), Error>;
}

/// A process, as it sees itself.
#[interface(name = "kiln.process")]
pub trait Process {
    /// Ends the process; `status` as a shell would see it (128 + signal for a fault).
    #[method(1, right = CONTROL)]
    fn exit(&self, status: u32) -> Result<(), Error>;

    /// Where the kernel enters the process: served calls, reflected system calls, traps. Zero means
    /// that there is no such entry.
    #[method(2, right = CONTROL)]
    fn set_entries(&self, call: u64, reflected: u64, trap: u64) -> Result<(), Error>;

    /// Waits until a soft interrupt is pending or the monotonic time `deadline` (ns; `u64::MAX`
    /// for never) is reached. Answers the pending bits.
    #[method(3, right = CONTROL)]
    fn wait(&self, deadline: u64) -> Result<u64, Error>;

    /// Sets the FS base where the instructions for it are missing.
    #[method(4, right = CONTROL)]
    fn set_thread_pointer(&self, address: u64) -> Result<(), Error>;

    /// Says that a server has set itself up and takes calls.
    #[method(5, right = CONTROL)]
    fn ready(&self) -> Result<(), Error>;

    /// Nanoseconds of processor time that the calling thread of control used, calls included.
    #[method(6, right = READ)]
    fn processor_time(&self) -> Result<u64, Error>;

    /// Raises the soft interrupt `TIMER` at the monotonic time `deadline` (ns; `u64::MAX` for
    /// never), whether the process runs or waits then. There is one timer: this replaces what was
    /// set before.
    #[method(7, right = CONTROL)]
    fn set_timer(&self, deadline: u64) -> Result<(), Error>;

    /// Starts the process's dispatcher on another CPU: it begins at `entry` with `stack` as its stack
    /// pointer and `argument` in `rdi`, and all other registers empty. `NotFound` if there is no such
    /// CPU, `Exists` if the dispatcher was started before, `Busy` if the CPU takes no request now.
    #[method(8, right = CONTROL)]
    fn start_dispatcher(
        &self,
        cpu: u32,
        entry: u64,
        stack: u64,
        argument: u64,
    ) -> Result<(), Error>;

    /// Raises the soft interrupt `WAKE` for the process's dispatcher on a CPU where it was started
    /// (`NotFound` if it was not).
    #[method(9, right = CONTROL)]
    fn wake(&self, cpu: u32) -> Result<(), Error>;

    /// Says that the ring of one-way messages of the process's dispatcher on `cpu` has room again, after
    /// somebody wanted some.
    #[method(10, right = CONTROL)]
    fn made_room(&self, cpu: u32) -> Result<(), Error>;

    /// Has the soft interrupt `DEATH` raised whenever a process has ended.
    #[method(20, right = CONTROL, idempotent)]
    fn watch_deaths(&self) -> Result<(), Error>;

    /// Whether that process lives.
    #[method(21, right = READ, idempotent)]
    fn lives(&self, process: ProcessId) -> Result<bool, Error>;
}

/// The machine's console.
#[interface(name = "kiln.console")]
pub trait Console {
    /// Writes as much of `bytes` as the device and the room before it take now, and answers how much
    /// that is; `WouldBlock` if they take nothing, in which case the soft interrupt `CONSOLE_OUTPUT`
    /// will tell when they do, unless a later write tells before.
    #[method(1, right = WRITE)]
    fn write(&self, bytes: &[u8]) -> Result<usize, Error>;

    /// Takes what was typed; `WouldBlock` if there is nothing, in which case the soft interrupt
    /// `CONSOLE` will tell.
    #[method(2, right = READ)]
    fn read(&self, bytes: &mut [u8]) -> Result<usize, Error>;
}

/// Diagnostics for whoever built the image: never the program's own output.
#[interface(name = "kiln.log")]
pub trait Log {
    /// Writes one line of trouble; a line feed is added.
    #[method(1, right = WRITE)]
    fn line(&self, text: &[u8]) -> Result<(), Error>;

    /// Writes one line of a [`log_level`]; what is none is trouble.
    #[method(2, right = WRITE)]
    fn line_of(&self, level: u32, text: &[u8]) -> Result<(), Error>;
}

/// How much a line of the log matters.
pub mod log_level {
    /// Something went wrong.
    pub const ERROR: u32 = 0;
    /// Something that its reader may want to change, or should know of.
    pub const WARNING: u32 = 1;
    /// What happens in the ordinary course of things: shown to those who look closely.
    pub const INFORMATION: u32 = 2;
}

/// The machine's clock. Reading it needs no call: the page that all processes share has it.
#[interface(name = "kiln.clock")]
pub trait Clock {
    /// Nanoseconds since the machine started.
    #[method(1, right = READ, idempotent)]
    fn monotonic(&self) -> Result<u64, Error>;

    /// Nanoseconds since 1970-01-01 UTC.
    #[method(2, right = READ, idempotent)]
    fn wall_clock(&self) -> Result<u64, Error>;

    /// Sets the wall clock, for all processes, to so many nanoseconds since 1970-01-01 UTC.
    #[method(3, right = CONTROL, idempotent)]
    fn set_wall_clock(&self, now: u64) -> Result<(), Error>;
}

/// Random numbers fit for keys.
#[interface(name = "kiln.random")]
pub trait Random {
    /// Fills `bytes`.
    #[method(1, right = READ, idempotent)]
    fn fill(&self, bytes: &mut [u8]) -> Result<usize, Error>;
}

/// The machine itself.
#[interface(name = "kiln.machine")]
pub trait Machine {
    /// Turns the machine off; `status` is what it was for.
    #[method(1, right = CONTROL)]
    fn power_off(&self, status: u32) -> Result<(), Error>;

    /// Starts the machine anew.
    #[method(2, right = CONTROL)]
    fn restart(&self) -> Result<(), Error>;
}
