//! What can keep Kiln from doing what it was asked.

use std::path::{Path, PathBuf};

use crate::compose::ComposeError;
use crate::debian::DebianError;
use crate::manifest::{Complaint, ManifestError};
use crate::program_files::ProgramError;
use crate::root::RootError;
use crate::run::RunError;

/// A failure of Kiln's own; its text says what to do about it where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file of the host could not be used.
    #[error("{doing} `{}`: {error}", path.display())]
    Io {
        /// What was tried, as in "cannot read the manifest".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The request makes no sense.
    #[error("{message}\n  = help: {remedy}")]
    Usage {
        /// What is wrong with it.
        message: String,
        /// What to write instead.
        remedy: String,
    },
    /// A program of the host cannot be taken along.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Packages could not be had.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The root file system could not be put together.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The image could not be linked.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The machine could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    /// A failure with a file of the host.
    pub fn io(doing: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            error,
        }
    }

    /// A request that makes no sense, and what to write instead.
    pub fn usage(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl From<Complaint> for Error {
    fn from(complaint: Complaint) -> Self {
        Self::Manifest(complaint.into())
    }
}
