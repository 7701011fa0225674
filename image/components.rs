//! The components an image can be composed of, by the names manifests use.
//!
//! What is listed here exists. A component that is not named by the manifest, nor
//! needed by the personality that is, does not get into the image.

/// What a program believes to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Personality {
    /// The Linux system call interface.
    Linux,
    /// None: in place of a program, object calls are measured.
    BenchNative,
    /// None: in place of a program, the kernel and the servers are attacked.
    Hostile,
}

impl Personality {
    /// Names of all personalities.
    pub const NAMES: [&'static str; 3] = ["linux", "bench_native", "hostile"];

    /// Its name in manifests and images.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::BenchNative => "bench_native",
            Self::Hostile => "hostile",
        }
    }

    /// The one called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Linux, Self::BenchNative, Self::Hostile]
            .into_iter()
            .find(|personality| personality.name() == name)
    }

    /// Whether the manifest's program is started.
    pub fn runs_a_program(self) -> bool {
        match self {
            Self::Linux => true,
            Self::BenchNative | Self::Hostile => false,
        }
    }
}

/// A server: a library with an object interface, given a home by the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// Finds which file system serves a path.
    NameSpace,
    /// Serves the files of the image's root.
    ImageRoot,
    /// Keeps files in memory.
    MemoryFileSystem,
}

impl Server {
    /// All servers, in the order in which they are started.
    pub const ALL: [Self; 3] = [Self::NameSpace, Self::ImageRoot, Self::MemoryFileSystem];
    /// Names of all servers.
    pub const NAMES: [&'static str; 3] = ["name_space", "image_root", "memory_fs"];

    /// Its name in manifests and images.
    pub fn name(self) -> &'static str {
        match self {
            Self::NameSpace => "name_space",
            Self::ImageRoot => "image_root",
            Self::MemoryFileSystem => "memory_fs",
        }
    }

    /// The one called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.name() == name)
    }

    /// What it is there for.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::NameSpace => "finds which file system serves a path",
            Self::ImageRoot => "serves the files of the image's root",
            Self::MemoryFileSystem => "keeps files that are written, in memory",
        }
    }
}

/// Where a server lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In an address space of its own.
    Own,
}

impl Home {
    /// Its name in manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Own => "own",
        }
    }
}

/// A driver in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// The 16550 serial port: the console.
    Serial,
    /// The port that QEMU prints from: Kiln's own messages, and the exit status.
    DebugConsole,
    /// The virtio entropy source.
    VirtioRng,
}

impl Driver {
    /// All drivers.
    pub const ALL: [Self; 3] = [Self::Serial, Self::DebugConsole, Self::VirtioRng];
    /// Names of all drivers.
    pub const NAMES: [&'static str; 3] = ["serial", "debug_console", "virtio_rng"];

    /// Its name in manifests and images.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::DebugConsole => "debug_console",
            Self::VirtioRng => "virtio_rng",
        }
    }

    /// The one called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| driver.name() == name)
    }

    /// The symbol that keeps it in the kernel's link.
    pub fn symbol(self) -> String {
        format!("KILN_DRIVER_{}", self.name().to_uppercase())
    }

    /// What it is there for.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Serial => "the console, on the first serial port",
            Self::DebugConsole => "messages and the exit status, for whoever runs the image",
            Self::VirtioRng => "entropy from the host",
        }
    }
}

/// Which servers an image with this personality cannot do without.
pub fn needed_servers(personality: Personality, writable: bool) -> Vec<Server> {
    match personality {
        Personality::Linux | Personality::BenchNative | Personality::Hostile => {
            let mut needed = vec![Server::NameSpace, Server::ImageRoot];
            if writable {
                needed.push(Server::MemoryFileSystem);
            }
            needed
        }
    }
}
