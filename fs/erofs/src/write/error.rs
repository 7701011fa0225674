//! What can go wrong while a tree is filled and while it is written.

use std::borrow::ToOwned;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;
use std::{fmt, io};

/// Why a tree could not be read or changed as asked. Paths are paths in the tree.
#[derive(Debug)]
pub enum TreeError {
    /// Nothing has this path.
    NotFound(Vec<u8>),
    /// A directory was needed at this path and something else is there.
    NotDirectory(Vec<u8>),
    /// Something else than a directory was needed at this path, which is one.
    IsDirectory(Vec<u8>),
    /// The last part of this path cannot name anything: it is "/", "." or "..", is longer than 255
    /// bytes, or has a zero in it.
    BadName(Vec<u8>),
    /// Following symbolic links on this path does not end.
    SymlinkLoop(Vec<u8>),
    /// A symbolic link's target is empty, longer than 4095 bytes, or has a zero in it.
    BadTarget(Vec<u8>),
    /// A device's number is too large for the format.
    BadDevice(Vec<u8>),
    /// A file on the host could not be looked at.
    Host {
        /// The file's path on the host.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// Why an image could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// A file on the host could not be read.
    Host {
        /// The file's path on the host.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A file on the host has another length than when it was put into the tree.
    HostFileChanged {
        /// The file's path on the host.
        path: PathBuf,
        /// Its length in bytes when it was put into the tree.
        expected: u64,
        /// Its length in bytes now.
        found: u64,
    },
    /// The image would be larger than the format allows (16 TiB).
    TooLarge,
    /// The image's bytes could not be written to where they go.
    Output(io::Error),
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl TreeError {
    pub(super) fn host(path: &Path, source: io::Error) -> Self {
        Self::Host {
            path: path.to_owned(),
            source,
        }
    }
}

impl WriteError {
    pub(super) fn host(path: &Path, source: io::Error) -> Self {
        Self::Host {
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(path) => write!(out, "{}: no such file or directory", lossy(path)),
            Self::NotDirectory(path) => write!(out, "{}: not a directory", lossy(path)),
            Self::IsDirectory(path) => write!(out, "{}: is a directory", lossy(path)),
            Self::BadName(path) => write!(out, "{}: not a name for a file", lossy(path)),
            Self::SymlinkLoop(path) => {
                write!(
                    out,
                    "{}: too many symbolic links, one after another",
                    lossy(path)
                )
            }
            Self::BadTarget(path) => {
                write!(
                    out,
                    "{}: a symbolic link needs a target of 1 to 4095 bytes",
                    lossy(path)
                )
            }
            Self::BadDevice(path) => {
                write!(out, "{}: device numbers end at 4095:1048575", lossy(path))
            }
            Self::Host { path, source } => write!(out, "{}: {source}", path.display()),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { path, source } => write!(out, "{}: {source}", path.display()),
            Self::HostFileChanged {
                path,
                expected,
                found,
            } => write!(
                out,
                "{}: changed while the image was built ({expected} bytes before, {found} now)",
                path.display()
            ),
            Self::TooLarge => out.write_str("the root file system would be larger than 16 TiB"),
            Self::Output(source) => write!(out, "writing the root file system: {source}"),
        }
    }
}

impl std::error::Error for TreeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Host { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Host { source, .. } | Self::Output(source) => Some(source),
            _ => None,
        }
    }
}
