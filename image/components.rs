//! The components an image can be composed of, by the names manifests use.
//!
//! Servers and personalities are listed in the [`catalogue`](crate::catalogue). What is listed exists.

pub use crate::catalogue::{Calls, Copy, Needed, PERSONALITIES, Personality, SERVERS, Server, Use};

impl Personality {
    /// Names of all personalities.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        PERSONALITIES.iter().map(|one| one.name).collect()
    }

    /// The one called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        PERSONALITIES.iter().find(|one| one.name == name)
    }

    /// The one of programs that know nothing of Kiln.
    #[must_use]
    pub fn usual() -> &'static Self {
        // The catalogue is not empty: see the tests.
        &PERSONALITIES[0]
    }
}

impl Server {
    /// Names of all servers.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        SERVERS.iter().map(|server| server.name).collect()
    }

    /// The one called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        SERVERS.iter().find(|server| server.name == name)
    }

    /// The symbol that keeps it in a home's link.
    #[must_use]
    pub fn symbol(&self) -> String {
        format!("KILN_SERVER_{}", self.name)
    }

    /// The servers that it calls.
    pub fn calls(&self, writable_root: bool) -> impl Iterator<Item = &'static str> {
        let uses = self.uses.iter();
        let called = uses.filter(move |used| match used.calls {
            Calls::Never => false,
            Calls::Always => true,
            Calls::IfWritableRoot => writable_root,
        });
        called.map(|used| used.server)
    }
}

/// Where a server lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In an address space of its own.
    Own,
    /// In the address space of that name, with all others that live there.
    Shared(String),
    /// In the kernel.
    Kernel,
}

impl Home {
    /// Beginning of the name of a shared home in manifests.
    pub const SHARED: &'static str = "shared:";

    /// Its name in manifests.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Shared(name) => format!("{}{name}", Self::SHARED),
            Self::Kernel => "kernel".to_owned(),
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
#[must_use]
pub fn needed_servers(personality: &Personality, writable: bool) -> Vec<&'static Server> {
    let needed = |server: &&Server| match server.needed {
        Needed::Always => personality.needs_servers,
        Needed::ForWritableRoot => personality.needs_servers && writable,
        Needed::WhenNamed => false,
    };
    SERVERS.iter().filter(needed).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_catalogue_is_sound() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let servers = SERVERS
            .iter()
            .map(|one| (one.name, one.package, one.folder));
        let others = PERSONALITIES
            .iter()
            .map(|one| (one.name, one.package, one.folder));
        let mut names = BTreeSet::new();
        for (name, package, folder) in servers.chain(others) {
            assert!(names.insert(name), "{name} twice");
            assert!(name.len() <= 23, "{name} is too long for a start-up block");
            let text = std::fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
            assert!(text.contains(&format!("name = \"{package}\"")), "{folder}");
        }
        for copy in PERSONALITIES.iter().flat_map(|one| one.copies) {
            assert!(names.insert(copy.name), "{} twice", copy.name);
        }
        for server in SERVERS {
            for used in server.uses {
                assert!(Server::from_name(used.server).is_some(), "{}", used.server);
            }
        }
        assert!(Personality::usual().runs_a_program);
    }
}
