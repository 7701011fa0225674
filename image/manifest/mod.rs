//! The manifest: the description of the machine that will run.
//!
//! A [`Manifest`] is complete and within range: defaults are filled in, names are
//! known, numbers are allowed. What can only be seen on the host's disk (is the
//! file there?) is checked where it is read, and complained about at its span.

mod decode;
mod decode_root;
mod fields;
pub mod homes;
pub mod near;
mod placement;
mod policy;
pub mod size;
pub mod source;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::components::{Driver, Home, Personality, Server};
pub use decode::MAXIMUM_CPUS;
pub(crate) use decode::{is_image_name, memory_size};
pub(crate) use decode_root::default_binary_place;
pub(crate) use fields::plain_guest_path;
pub use placement::{Domain, Placement};
pub use policy::{Policy, RestartLimit};
pub use source::{Complaint, Located, Source, Span};
pub(crate) use write::quoted;
pub use write::to_toml;

/// Where programs look for programs when the manifest does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine, as one manifest describes it.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The text this was read from, for complaints.
    pub source: Source,
    /// Host paths in the manifest are relative to this directory.
    pub directory: PathBuf,
    /// Name of the image: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What the program believes to run on.
    pub personality: &'static Personality,
    /// The drivers that are in the kernel.
    pub drivers: Vec<Driver>,
    /// The program to start.
    pub program: Program,
    /// What the root file system is made of.
    pub root: Root,
    /// The servers in the image and where each one lives, in a fixed order.
    pub servers: Vec<(&'static Server, Home)>,
    /// What is to happen when a server fails, by name, where the manifest says more than the default.
    pub policies: BTreeMap<&'static str, Policy>,
    /// Where processes run, as far as the manifest says.
    pub placements: Vec<Placement>,
    /// The resource domains.
    pub domains: Vec<Domain>,
    /// What the machine needs to have.
    pub machine: Machine,
    /// The program's terminal.
    pub console: Console,
}

/// The program to start, and what it is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Absolute path in the root file system.
    pub path: Located<String>,
    /// What the program is told that it was called as; its path if none.
    pub called: Option<String>,
    /// Arguments after the program's own name.
    pub args: Vec<String>,
    /// Environment, in the manifest's order.
    pub env: Vec<(String, String)>,
    /// Working directory: an absolute path in the root file system.
    pub directory: String,
}

impl Program {
    /// What the program is told that it was called as.
    #[must_use]
    pub fn name(&self) -> &str {
        self.called.as_ref().unwrap_or(&self.path.value)
    }
}

/// The root file system.
#[derive(Debug, Clone)]
pub struct Root {
    /// Where its files come from; a later source replaces an earlier one's files.
    pub from: Vec<Located<RootSource>>,
    /// Whether the program may write (to memory, gone at power-off).
    pub writable: bool,
}

/// One source of files for the root file system.
#[derive(Debug, Clone)]
pub enum RootSource {
    /// A directory of the host with all it holds.
    Directory {
        /// Host path.
        path: Located<PathBuf>,
        /// Absolute path in the image where it appears.
        to: String,
        /// Who owns the files.
        owner: Owner,
    },
    /// A program of the host; a dynamic one brings its loader and libraries.
    Binary {
        /// Host path.
        path: Located<PathBuf>,
        /// Absolute path in the image.
        to: String,
    },
    /// Packages of the host's distribution, with their dependencies.
    Packages {
        /// Package names, as apt takes them.
        names: Vec<Located<String>>,
        /// Also every package that the distribution marks essential.
        essential: bool,
        /// Keep manuals, documentation and translations.
        documentation: bool,
    },
    /// Single files of the host.
    Files(Vec<FileSource>),
}

/// Who owns the files taken from a directory of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The same user and group numbers as on the host.
    Keep,
    /// User 0, group 0.
    Root,
}

/// One file of the host and its place in the image.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// Host path.
    pub from: Located<PathBuf>,
    /// Absolute path in the image.
    pub to: String,
    /// Permission bits; the host file's if none.
    pub mode: Option<u16>,
}

/// What the machine needs to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Memory, in bytes.
    pub memory: u64,
    /// Number of processors.
    pub cpus: u32,
    /// The machine model it is run on.
    pub model: MachineModel,
}

/// The machine models that an image is run on under QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MachineModel {
    /// QEMU's minimal machine without PCI.
    Microvm,
    /// The PCI Express chipset.
    Q35,
    /// The older PCI chipset.
    Pc,
}

impl MachineModel {
    /// All models, with the names that manifests and QEMU use.
    pub const NAMES: [&'static str; 3] = ["microvm", "q35", "pc"];

    /// The model's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Microvm => "microvm",
            Self::Q35 => "q35",
            Self::Pc => "pc",
        }
    }

    /// The model called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Microvm, Self::Q35, Self::Pc]
            .into_iter()
            .find(|model| model.name() == name)
    }
}

/// The program's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Columns and rows told to the program when the real size is unknown.
    pub size: (u16, u16),
}

/// A manifest that cannot be used: everything found wrong with it.
#[derive(Debug)]
pub struct ManifestError(pub Vec<Complaint>);

impl std::fmt::Display for ManifestError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, complaint) in self.0.iter().enumerate() {
            if index > 0 {
                write!(out, "\n\nerror: ")?;
            }
            write!(out, "{complaint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestError {}

impl From<Complaint> for ManifestError {
    fn from(complaint: Complaint) -> Self {
        Self(vec![complaint])
    }
}

impl Manifest {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or everything found wrong with it.
    pub fn read(path: &Path) -> Result<Self, crate::Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| crate::Error::io("cannot read the manifest", path, error))?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self::parse(Source::new(path, text), directory)?)
    }

    /// Reads a manifest from its text; host paths are relative to `directory`.
    ///
    /// # Errors
    /// Everything found wrong with it.
    pub fn parse(source: Source, directory: PathBuf) -> Result<Self, ManifestError> {
        decode::decode(source, directory)
    }

    /// A host path of the manifest, made relative to the current directory.
    pub fn host_path(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// Makes the host paths of all sources absolute, as seen from the directory `here`.
    pub fn make_paths_absolute(&mut self, here: &Path) {
        let base = here.join(&self.directory);
        for source in &mut self.root.from {
            match &mut source.value {
                RootSource::Directory { path, .. } | RootSource::Binary { path, .. } => {
                    path.value = base.join(&path.value);
                }
                RootSource::Packages { .. } => {}
                RootSource::Files(files) => {
                    for file in files {
                        file.from.value = base.join(&file.from.value);
                    }
                }
            }
        }
    }

    /// What is to happen when the server of that name fails.
    pub fn policy(&self, server: &str) -> Policy {
        self.policies.get(server).copied().unwrap_or_default()
    }

    /// What is to happen when a home fails: all servers in it end together.
    pub fn home_policy(&self, home: &homes::Shared) -> Policy {
        let policies = home.servers.iter().map(|server| self.policy(server));
        policies.reduce(Policy::and).unwrap_or_default()
    }

    /// A complaint about the value at `span`.
    pub fn complain(&self, span: &Span, message: impl Into<String>) -> Complaint {
        self.source.complain(span, message)
    }
}

#[cfg(test)]
mod tests;
