//! What a process finds when it starts, and what the kernel tells all processes.

use core::sync::atomic::{AtomicU64, Ordering};

use zerocopy::FromZeros;

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

/// Who has a place in a process's startup block, as of now.
///
/// When a server is started again, the kernel puts the new incarnation here while the process runs.
#[derive(Debug, Default, FromZeros)]
#[repr(transparent)]
pub struct Peer(AtomicU64);

impl Peer {
    /// An entry for `process`.
    #[must_use]
    pub const fn new(process: ProcessId) -> Self {
        Self(AtomicU64::new(process.raw()))
    }

    /// The living incarnation, or the last one that lived; [`ProcessId::NONE`] for an unused entry.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        ProcessId::from_raw(self.0.load(Ordering::Acquire))
    }

    /// Says that it is `process`.
    pub fn set(&self, process: ProcessId) {
        self.0.store(process.raw(), Ordering::Release);
    }
}

/// A server that this process may bind to.
#[derive(Debug, FromZeros)]
#[repr(C)]
pub struct ServerEntry {
    /// The name in the manifest, zero-padded.
    pub name: [u8; 24],
    /// The process that it lives in.
    pub process: Peer,
    /// Its bootstrap object there.
    pub object: ObjectName,
}

/// A process that may bind to a server in this one.
#[derive(Debug, FromZeros)]
#[repr(C)]
pub struct ClientEntry {
    /// The client.
    pub process: Peer,
    /// The rights its reference gets.
    pub rights: u64,
    /// The number of the server in this process: see [`Startup::hosted`].
    pub server: u64,
}

/// The read-only block at [`STARTUP_BASE`](crate::layout::STARTUP_BASE), a page at most. The kernel
/// changes the peers in it, nothing else, as long as the process lives.
#[derive(Debug, FromZeros)]
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
    /// Bytes of the command line.
    pub command_line_bytes: u64,
    /// Random numbers of this process alone, fit for a key; only with the program.
    pub random: [u64; 6],
    /// Grows whenever a peer becomes another incarnation, after the peer's entry has changed.
    pub version: AtomicU64,
    /// Kernel objects given to this process, by [`InitialObject`].
    pub objects: [RawReference; 16],
    /// Servers that this process may bind to.
    pub servers: [ServerEntry; 16],
    /// Names of the servers that live in this process, in starting order, zero-padded.
    pub hosted: [[u8; 24]; 16],
    /// Processes that may bind to servers in this one.
    pub clients: [ClientEntry; 16],
    /// The command line that the boot loader passed.
    pub command_line: [u8; 512],
}

const _: () = assert!(size_of::<Startup>() <= crate::layout::PAGE_BYTES as usize);

impl Startup {
    /// A block that tells nothing and names nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            magic: STARTUP_MAGIC,
            process: ProcessId::NONE,
            cpus: 1,
            configuration_bytes: 0,
            root_bytes: 0,
            memory_bytes: 0,
            command_line_bytes: 0,
            random: [0; 6],
            version: AtomicU64::new(0),
            objects: [RawReference::NONE; 16],
            servers: [const {
                ServerEntry {
                    name: [0; 24],
                    process: Peer::new(ProcessId::NONE),
                    object: ObjectName::BOOTSTRAP,
                }
            }; 16],
            hosted: [[0; 24]; 16],
            clients: [const {
                ClientEntry {
                    process: Peer::new(ProcessId::NONE),
                    rights: 0,
                    server: 0,
                }
            }; 16],
            command_line: [0; 512],
        }
    }

    /// Makes it one that tells nothing and names nobody.
    pub fn clear(&mut self) {
        self.zero();
        self.magic = STARTUP_MAGIC;
        self.cpus = 1;
    }

    /// The reference to an initial kernel object; `NONE` where the process was not given it.
    #[must_use]
    pub fn object(&self, object: InitialObject) -> RawReference {
        self.objects
            .get(object as usize)
            .copied()
            .unwrap_or(RawReference::NONE)
    }

    /// The bootstrap object of the server called `name` as it is now, if this process may bind to it.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<RawReference> {
        self.servers
            .iter()
            .filter(|entry| trim(&entry.name) == name.as_bytes())
            .map(|entry| RawReference {
                process: entry.process.process(),
                object: entry.object,
            })
            .find(|server| server.process != ProcessId::NONE)
    }

    /// The incarnation that lives now, or lived last, where `process` lived, be it `process` itself;
    /// `None` if this process may bind to nothing there. A process that is started again keeps its
    /// place in the kernel's table.
    #[must_use]
    pub fn successor(&self, process: ProcessId) -> Option<ProcessId> {
        self.servers
            .iter()
            .map(|entry| entry.process.process())
            .find(|now| *now != ProcessId::NONE && now.index() == process.index())
    }

    /// The rights of `process`'s references to what the server of that number serves; `None` if it
    /// may not bind.
    #[must_use]
    pub fn client(&self, process: ProcessId, server: u32) -> Option<u64> {
        self.clients
            .iter()
            .find(|entry| {
                process != ProcessId::NONE
                    && entry.process.process() == process
                    && entry.server == u64::from(server)
            })
            .map(|entry| entry.rights)
    }

    /// Puts `process` in place of its earlier incarnations; says whether there were any.
    pub fn replace_peer(&self, process: ProcessId) -> bool {
        let servers = self.servers.iter().map(|entry| &entry.process);
        let clients = self.clients.iter().map(|entry| &entry.process);
        let mut found = false;
        for peer in servers.chain(clients) {
            let before = peer.process();
            if before != ProcessId::NONE && before.index() == process.index() {
                peer.set(process);
                found = true;
            }
        }
        if found {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        found
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
        let length = self.command_line_bytes as usize;
        self.command_line.get(..length).unwrap_or_default()
    }
}

impl Default for Startup {
    fn default() -> Self {
        Self::new()
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
    /// How many processes have ended; it grows when nobody finds the process any more.
    pub deaths: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_was_started_again_takes_the_place_of_the_old_one() {
        let mut startup = Startup::new();
        let (old, new) = (ProcessId::new(3, 1), ProcessId::new(3, 2));
        startup.servers[1].name[..4].copy_from_slice(b"disk");
        startup.servers[1].process.set(old);
        startup.clients[0].process.set(old);
        startup.clients[0].rights = 5;
        let found = |startup: &Startup| startup.server("disk").map(|server| server.process);
        assert_eq!(found(&startup), Some(old));
        assert!(startup.replace_peer(new));
        assert_eq!(startup.version.load(Ordering::Relaxed), 1);
        assert_eq!(found(&startup), Some(new));
        assert_eq!(startup.successor(old), Some(new));
        assert_eq!(startup.successor(new), Some(new));
        assert_eq!(startup.successor(ProcessId::new(2, 1)), None);
        assert_eq!(startup.client(old, 0), None);
        assert_eq!(startup.client(new, 0), Some(5));
        assert_eq!(startup.client(new, 1), None);
        assert!(!startup.replace_peer(ProcessId::new(4, 9)));
        assert_eq!(startup.client(ProcessId::NONE, 0), None);
    }
}
