//! The bytes of regular files, held in memory or left on the host until they are written.
//!
//! At most one file of the host is open per [`Source`], and no more than a buffer of it in memory.

use std::boxed::Box;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::vec;
use std::vec::Vec;

use super::error::{TreeError, WriteError};

const BUFFER: usize = 256 * 1024;

/// The bytes of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// All of a file on the host, read when the image is written.
    HostFile {
        /// The file's path on the host.
        path: PathBuf,
        /// Its length in bytes; another length when it is read is an error.
        length: u64,
    },
    /// A part of a file on the host (a member of an archive, say), read when the image is written.
    HostRange {
        /// The file's path on the host.
        path: PathBuf,
        /// Where the part starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
}

impl Content {
    /// All of the regular file at `path` on the host, which is looked at now and read later.
    pub fn host_file(path: impl Into<PathBuf>) -> Result<Self, TreeError> {
        let path = path.into();
        let status = std::fs::metadata(&path).map_err(|error| TreeError::host(&path, error))?;
        if !status.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(TreeError::host(&path, error));
        }
        Ok(Self::HostFile {
            path,
            length: status.len(),
        })
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::HostFile { length, .. } | Self::HostRange { length, .. } => *length,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// Reads contents one after another, keeping the last host file open: many contents may be parts of
/// one archive.
pub(super) struct Source {
    open: Option<(PathBuf, File)>,
    buffer: Box<[u8]>,
}

impl Source {
    pub fn new() -> Self {
        Self {
            open: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    fn file(&mut self, path: &Path) -> Result<&File, WriteError> {
        let open = self.open.take().filter(|(open, _)| open == path);
        let open = match open {
            Some(open) => open,
            None => {
                let file = File::open(path).map_err(|error| WriteError::host(path, error))?;
                (path.to_path_buf(), file)
            }
        };
        Ok(&self.open.insert(open).1)
    }

    /// Fails if a whole host file no longer has the length that was planned for.
    pub fn check_length(&mut self, content: &Content) -> Result<(), WriteError> {
        let Content::HostFile { path, length } = content else {
            return Ok(());
        };
        let status = self
            .file(path)?
            .metadata()
            .map_err(|error| WriteError::host(path, error))?;
        if status.len() != *length {
            let (path, found) = (path.clone(), status.len());
            return Err(WriteError::HostFileChanged {
                path,
                expected: *length,
                found,
            });
        }
        Ok(())
    }

    /// The bytes from `at` on, as many as a buffer holds; none at the end.
    pub fn piece<'s>(&'s mut self, content: &'s Content, at: u64) -> Result<&'s [u8], WriteError> {
        let (path, start) = match content {
            Content::Bytes(bytes) => {
                let rest = usize::try_from(at)
                    .ok()
                    .and_then(|at| bytes.get(at..))
                    .unwrap_or(&[]);
                return Ok(&rest[..rest.len().min(BUFFER)]);
            }
            Content::HostFile { path, .. } => (path, 0),
            Content::HostRange { path, offset, .. } => (path, *offset),
        };
        let length = content.length().saturating_sub(at).min(BUFFER as u64) as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.file(path).and_then(|file| {
            file.read_exact_at(&mut buffer[..length], start.saturating_add(at))
                .map_err(|error| WriteError::host(path, error))
        });
        self.buffer = buffer;
        read.map(|()| &self.buffer[..length])
    }

    fn hash(&mut self, content: &Content) -> Result<u64, WriteError> {
        self.check_length(content)?;
        // The hash only chooses what to compare, so it need not be the same on every host.
        let mut hasher = DefaultHasher::new();
        let mut at = 0;
        while at < content.length() {
            let piece = self.piece(content, at)?;
            hasher.write(piece);
            at += piece.len() as u64;
        }
        Ok(hasher.finish())
    }
}

fn same_bytes(
    left: (&mut Source, &Content),
    right: (&mut Source, &Content),
) -> Result<bool, WriteError> {
    let ((left_source, left), (right_source, right)) = (left, right);
    if left == right {
        return Ok(true);
    }
    let mut at = 0;
    while at < left.length() {
        let piece = left_source.piece(left, at)?;
        if piece != right_source.piece(right, at)? {
            return Ok(false);
        }
        at += piece.len() as u64;
    }
    Ok(true)
}

/// For each content the index of the first one with the same bytes, itself if there is none.
pub(super) fn first_equals(contents: &[&Content]) -> Result<Vec<usize>, WriteError> {
    let mut first: Vec<usize> = (0..contents.len()).collect();
    let mut by_length: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, content) in contents.iter().enumerate() {
        by_length.entry(content.length()).or_default().push(index);
    }
    let (mut source, mut other) = (Source::new(), Source::new());
    // Only files of equal length are read, which few large ones are.
    for (_, indices) in by_length
        .into_iter()
        .filter(|(_, indices)| indices.len() > 1)
    {
        let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for index in indices {
            let candidates = by_hash.entry(source.hash(contents[index])?).or_default();
            let mut found = None;
            for &candidate in candidates.iter() {
                let left = (&mut source, contents[index]);
                if same_bytes(left, (&mut other, contents[candidate]))? {
                    found = Some(candidate);
                    break;
                }
            }
            match found {
                Some(candidate) => first[index] = candidate,
                None => candidates.push(index),
            }
        }
    }
    Ok(first)
}
