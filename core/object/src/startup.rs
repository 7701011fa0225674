//! What a process finds when it starts, and what the kernel tells all processes.

use core::sync::atomic::AtomicU64;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{ObjectName, ProcessId, RawReference};

/// First word of a [`Startup`] block.
pub const STARTUP_MAGIC: u64 = u64::from_le_bytes(*b"KILNSTRT");

/// Places in [`Startup::objects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum InitialObject {
    /// The process's own address space (`AddressSpace`).
    AddressSpace = 0,
    /// The process itself (`Process`).
    Process = 1,
    /// Diagnostics for whoever built the image (`Log`).
    Log = 2,
    /// Random numbers (`Random`).
    Random = 3,
    /// The console; only with the program (`Console`).
    Console = 4,
    /// The pages of the root file system; only with its server (`FileCache`).
    RootPages = 5,
    /// The power switch; only with the program (`Machine`).
    Machine = 6,
    /// The machine's clock; only with the program may it be set (`Clock`).
    Clock = 7,
}

/// A server that this process may bind to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ServerEntry {
    /// The name in the manifest, zero-padded.
    pub name: [u8; 24],
    /// The process that it lives in.
    pub process: ProcessId,
    /// Its bootstrap object there.
    pub object: ObjectName,
}

/// A process that may bind to a server in this one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ClientEntry {
    /// The client.
    pub process: ProcessId,
    /// The rights its reference gets.
    pub rights: u64,
    /// The number of the server in this process: see [`Startup::hosted`].
    pub server: u64,
}

/// The read-only block at [`STARTUP_BASE`](crate::layout::STARTUP_BASE).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Startup {
    /// [`STARTUP_MAGIC`].
    pub magic: u64,
    /// Who this process is.
    pub process: ProcessId,
    /// CPUs of the machine.
    pub cpus: u64,
    /// Bytes of the configuration blob at `CONFIGURATION_BASE`.
    pub configuration_bytes: u64,
    /// Bytes of the root file system at `ROOT_BASE`; zero where it is not mapped.
    pub root_bytes: u64,
    /// Bytes of memory the machine has.
    pub memory_bytes: u64,
    /// Kernel objects given to this process, by [`InitialObject`].
    pub objects: [RawReference; 16],
    /// Servers that this process may bind to.
    pub servers: [ServerEntry; 16],
    /// Names of the servers that live in this process, in starting order, zero-padded.
    pub hosted: [[u8; 24]; 16],
    /// Processes that may bind to servers in this one.
    pub clients: [ClientEntry; 16],
    /// The command line that the boot loader passed, zero-padded.
    pub command_line: [u8; 512],
}

impl Startup {
    /// The reference to an initial kernel object; `NONE` where the process was not given it.
    #[must_use]
    pub fn object(&self, object: InitialObject) -> RawReference {
        self.objects
            .get(object as usize)
            .copied()
            .unwrap_or(RawReference::NONE)
    }

    /// The bootstrap object of the server called `name`, if this process may bind to it.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<RawReference> {
        self.servers
            .iter()
            .find(|entry| entry.process != ProcessId::NONE && trim(&entry.name) == name.as_bytes())
            .map(|entry| RawReference {
                process: entry.process,
                object: entry.object,
            })
    }

    /// The servers that live in this process, in starting order; a server's place is its number.
    pub fn hosted(&self) -> impl Iterator<Item = &str> {
        self.hosted
            .iter()
            .map(|name| trim(name))
            .take_while(|name| !name.is_empty())
            .map(|name| core::str::from_utf8(name).unwrap_or_default())
    }

    /// The boot loader's command line.
    #[must_use]
    pub fn command_line(&self) -> &[u8] {
        trim(&self.command_line)
    }
}

fn trim(padded: &[u8]) -> &[u8] {
    let end = padded
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(padded.len());
    padded.get(..end).unwrap_or_default()
}

/// The read-only page that all processes share: time without a kernel entry.
///
/// Monotonic nanoseconds = `ns_base + ((rdtsc - tsc_base) * multiplier >> 32)`. `version` is odd
/// while the kernel writes; a reader that saw it change reads again.
#[derive(Debug, Default)]
#[repr(C)]
pub struct KernelInformation {
    /// Sequence number of the time fields.
    pub version: AtomicU64,
    /// The counter at `ns_base`.
    pub tsc_base: AtomicU64,
    /// Monotonic time at `tsc_base`, in ns.
    pub ns_base: AtomicU64,
    /// Nanoseconds per tick, 32.32 fixed point.
    pub multiplier: AtomicU64,
    /// Wall-clock time minus monotonic time, in ns since 1970-01-01 UTC.
    pub wall_clock_offset: AtomicU64,
    /// CPUs that run.
    pub cpus_online: AtomicU64,
    /// Bytes of memory not in use.
    pub memory_free: AtomicU64,
    /// Bit 0: FSGSBASE may be used.
    pub features: AtomicU64,
}
