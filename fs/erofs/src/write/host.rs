//! Taking files, and directories with all that is in them, from the host into a tree.
//!
//! Only names, attributes and links are read here; the bytes of files are read as the image is
//! written.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::vec;
use std::vec::Vec;

use super::contents::Content;
use super::error::TreeError;
use super::tree::{Attributes, Item, Tree};
use crate::format::{Device, Timestamp};

/// Whose the files are that come from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// Theirs who own them on the host.
    Keep,
    /// All root's (0:0).
    #[default]
    Root,
}

/// How files come from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostOptions {
    /// Whose they become.
    pub ownership: Ownership,
    /// The time of last modification that they get, if not the one that they have.
    pub mtime: Option<Timestamp>,
}

/// What came from the host, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostReport {
    /// How many inodes came that are no directories.
    pub files: u64,
    /// How many directories came, the one asked for included.
    pub directories: u64,
    /// Sockets on the host: an image cannot serve them, so they were left out.
    pub skipped_sockets: Vec<PathBuf>,
}

impl HostOptions {
    fn attributes(&self, status: &Metadata) -> Attributes {
        let (uid, gid) = match self.ownership {
            Ownership::Keep => (status.uid(), status.gid()),
            Ownership::Root => (0, 0),
        };
        let mtime = self.mtime.unwrap_or(Timestamp {
            seconds: status.mtime(),
            nanoseconds: status.mtime_nsec() as u32,
        });
        Attributes {
            mode: (status.mode() & 0o7777) as u16,
            uid,
            gid,
            mtime,
        }
    }
}

/// The number as Linux's `stat` gives it to programs: glibc's `gnu_dev_major` and `gnu_dev_minor`.
fn device(raw: u64) -> Device {
    Device {
        major: ((raw >> 32) & 0xffff_f000 | (raw >> 8) & 0xfff) as u32,
        minor: ((raw >> 12) & 0xffff_ff00 | raw & 0xff) as u32,
    }
}

impl Tree {
    /// Takes the directory `host` and all that is in it to `at`.
    ///
    /// Symbolic links stay links, hard links within the directory stay hard links, and what is in
    /// the tree already is handled as [`Tree::insert`] says. File systems mounted inside are
    /// included.
    pub fn add_host_directory(
        &mut self,
        host: impl AsRef<Path>,
        at: impl AsRef<[u8]>,
        options: &HostOptions,
    ) -> Result<HostReport, TreeError> {
        let host = host.as_ref();
        let status = fs::metadata(host).map_err(|error| TreeError::host(host, error))?;
        if !status.is_dir() {
            let error = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(TreeError::host(host, error));
        }
        self.insert(at.as_ref(), options.attributes(&status), Item::Directory)?;

        let mut report = HostReport {
            directories: 1,
            ..HostReport::default()
        };
        let mut linked: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        let mut pending = vec![(host.to_path_buf(), at.as_ref().to_vec())];
        while let Some((directory, at)) = pending.pop() {
            let failed = |error| TreeError::host(&directory, error);
            // Sorted, so that which of several hard links comes first never depends on the host.
            let mut names = Vec::new();
            for entry in fs::read_dir(&directory).map_err(failed)? {
                names.push(entry.map_err(failed)?.file_name());
            }
            names.sort_unstable();
            for name in names {
                let source = directory.join(&name);
                let mut place = at.clone();
                place.push(b'/');
                place.extend_from_slice(name.as_bytes());
                let status = fs::symlink_metadata(&source)
                    .map_err(|error| TreeError::host(&source, error))?;
                if status.file_type().is_socket() {
                    report.skipped_sockets.push(source);
                    continue;
                }
                let identity = (status.dev(), status.ino());
                if let Some(first) = linked.get(&identity) {
                    self.link(first, &place)?;
                    continue;
                }
                self.insert(&place, options.attributes(&status), item(&source, &status)?)?;
                if status.is_dir() {
                    report.directories += 1;
                    pending.push((source, place));
                    continue;
                }
                report.files += 1;
                if status.nlink() > 1 {
                    linked.insert(identity, place);
                }
            }
        }
        report.skipped_sockets.sort_unstable();
        Ok(report)
    }

    /// Takes the regular file `host`, or the one that it is a link to, to `at`.
    pub fn add_host_file(
        &mut self,
        host: impl AsRef<Path>,
        at: impl AsRef<[u8]>,
        options: &HostOptions,
    ) -> Result<(), TreeError> {
        let host = host.as_ref();
        let status = fs::metadata(host).map_err(|error| TreeError::host(host, error))?;
        self.insert(
            at,
            options.attributes(&status),
            Item::File(Content::host_file(host)?),
        )
    }
}

fn item(source: &Path, status: &Metadata) -> Result<Item, TreeError> {
    let file_type = status.file_type();
    Ok(if file_type.is_dir() {
        Item::Directory
    } else if file_type.is_symlink() {
        let target = fs::read_link(source).map_err(|error| TreeError::host(source, error))?;
        Item::Symlink(target.into_os_string().into_vec())
    } else if file_type.is_char_device() {
        Item::CharacterDevice(device(status.rdev()))
    } else if file_type.is_block_device() {
        Item::BlockDevice(device(status.rdev()))
    } else if file_type.is_fifo() {
        Item::Fifo
    } else {
        Item::File(Content::HostFile {
            path: source.to_path_buf(),
            length: status.len(),
        })
    })
}
