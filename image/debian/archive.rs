//! From a package file to files in the tree, without writing them to the host's disk.
//!
//! `dpkg-deb` takes the compression off once; the plain archive is kept in the cache by the
//! package's checksum, and files of the image are read straight out of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kiln_erofs::write::{Attributes, Content, Item, Tree};
use kiln_erofs::{Device, Timestamp};
use sha2::{Digest, Sha256};

use super::alternatives::{self, Alternative};
use super::lock::hexadecimal;
use super::{DebianError, Fetched, Package};
use crate::root::RootError;
use crate::{Error, cache};

/// Left out unless documentation is wanted. Licence texts stay.
const DOCUMENTATION: [&str; 8] = [
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/doc-base/",
    "usr/share/bug/",
    "usr/share/gtk-doc/",
];

/// SHA-256 of a file, in hexadecimal digits.
pub fn checksum(path: &Path) -> Result<String, Error> {
    let failed = |error| Error::io("cannot read the package", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

fn places(cache: &Path, package: &Package) -> (PathBuf, PathBuf) {
    let home = cache.join("unpacked");
    let digits = &package.sha256;
    (
        home.join(format!("{digits}.tar")),
        home.join(format!("{digits}.postinst")),
    )
}

/// Whether the plain archive of `package` is in the cache.
pub fn is_prepared(cache: &Path, package: &Package) -> bool {
    let (files, script) = places(cache, package);
    files.exists() && script.exists()
}

/// Checks a package against its pin and takes the compression off, unless done before.
pub fn prepare(cache: &Path, file: &Path, package: Package, lock: &Path) -> Result<Fetched, Error> {
    let (files, script) = places(cache, &package);
    if !is_prepared(cache, &package) {
        let found = checksum(file)?;
        if found != package.sha256 {
            return Err(DebianError::Checksum {
                file: file.to_owned(),
                found,
                pinned: package.sha256,
                lock: lock.to_owned(),
            }
            .into());
        }
        cache::create(&cache.join("unpacked"))?;
        unpack_to(file, &files)?;
        // A package without the script makes dpkg-deb fail: it has no alternatives then.
        let output = Command::new("dpkg-deb")
            .arg("--info")
            .arg(file)
            .arg("postinst")
            .stderr(Stdio::null())
            .output()
            .map_err(|error| DebianError::Start {
                program: "dpkg-deb",
                error,
            })?;
        let text = if output.status.success() {
            output.stdout
        } else {
            Vec::new()
        };
        cache::write_whole(&script, &text)?;
    }
    let text = std::fs::read(&script).map_err(|error| Error::io("cannot read", &script, error))?;
    let alternatives = alternatives::of_script(&String::from_utf8_lossy(&text));
    Ok(Fetched {
        package,
        files,
        alternatives,
    })
}

fn unpack_to(file: &Path, to: &Path) -> Result<(), Error> {
    let failed = |message: String| DebianError::Unpack {
        file: file.to_owned(),
        message,
    };
    let temporary = to.with_extension(format!("{}.new", std::process::id()));
    let out =
        File::create(&temporary).map_err(|error| Error::io("cannot write", &temporary, error))?;
    let output = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(file)
        .stdout(out)
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| DebianError::Start {
            program: "dpkg-deb",
            error,
        })?;
    if !output.status.success() {
        let _ = std::fs::remove_file(&temporary);
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(message).into());
    }
    std::fs::rename(&temporary, to).map_err(|error| Error::io("cannot write", to, error))
}

/// Puts the files of these packages into the tree.
///
/// # Errors
/// An archive is damaged or two packages contradict each other.
pub fn unpack(tree: &mut Tree, fetched: &[Fetched], documentation: bool) -> Result<(), Error> {
    for package in fetched {
        unpack_one(tree, package, documentation)?;
    }
    let mut links: Vec<&Alternative> = fetched
        .iter()
        .flat_map(|package| &package.alternatives)
        .collect();
    // The highest priority first; each link is made once.
    links.sort_by(|left, right| {
        right
            .priority
            .cmp(&left.priority)
            .then(left.link.cmp(&right.link))
    });
    for alternative in links {
        let (link, target) = (alternative.link.as_bytes(), alternative.target.as_bytes());
        if tree.get(link).is_none() && tree.get_following(target).is_ok() {
            let item = Item::Symlink(target.to_vec());
            tree.insert(link, Attributes::new(0o777), item)
                .map_err(RootError::from)?;
        }
    }
    Ok(())
}

fn wanted(path: &[u8], documentation: bool) -> bool {
    documentation
        || path.ends_with(b"/copyright")
        || !DOCUMENTATION.iter().any(|prefix| {
            path.starts_with(prefix.as_bytes()) || path == prefix.trim_end_matches('/').as_bytes()
        })
}

fn unpack_one(tree: &mut Tree, fetched: &Fetched, documentation: bool) -> Result<(), Error> {
    let archive_path = &fetched.files;
    let failed = |error: std::io::Error| DebianError::Unpack {
        file: archive_path.clone(),
        message: error.to_string(),
    };
    let file = File::open(archive_path).map_err(failed)?;
    let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(256 << 10, file));
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.path_bytes().into_owned();
        let path = name.strip_prefix(b".").unwrap_or(&name);
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        if path.is_empty() || !wanted(path, documentation) {
            continue;
        }
        let header = entry.header();
        let number = |value: u64| {
            u32::try_from(value).map_err(|_| failed(std::io::ErrorKind::InvalidData.into()))
        };
        let attributes = Attributes {
            mode: (header.mode().map_err(failed)? & 0o7777) as u16,
            uid: number(header.uid().map_err(failed)?)?,
            gid: number(header.gid().map_err(failed)?)?,
            mtime: Timestamp::from_seconds(header.mtime().map_err(failed)?.cast_signed()),
        };
        let device = || -> Result<Device, DebianError> {
            let major = header.device_major().map_err(failed)?.unwrap_or(0);
            let minor = header.device_minor().map_err(failed)?.unwrap_or(0);
            Ok(Device { major, minor })
        };
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let kind = header.entry_type();
        let item = if kind.is_dir() {
            Item::Directory
        } else if kind.is_symlink() {
            Item::Symlink(target)
        } else if kind.is_hard_link() {
            let existing = target.strip_prefix(b".").unwrap_or(&target);
            tree.link(existing, path).map_err(RootError::from)?;
            continue;
        } else if kind.is_character_special() {
            Item::CharacterDevice(device()?)
        } else if kind.is_block_special() {
            Item::BlockDevice(device()?)
        } else if kind.is_fifo() {
            Item::Fifo
        } else {
            Item::File(Content::HostRange {
                path: archive_path.clone(),
                offset: entry.raw_file_position(),
                length: entry.size(),
            })
        };
        tree.insert(path, attributes, item)
            .map_err(RootError::from)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged;

    #[test]
    fn documentation_is_left_out_but_licences_stay() {
        assert!(!wanted(b"usr/share/doc/hello/README", false));
        assert!(!wanted(b"usr/share/man", false));
        assert!(wanted(b"usr/share/doc/hello/README", true));
        assert!(wanted(b"usr/share/doc/hello/copyright", false));
        assert!(wanted(b"usr/share/documents", false));
        assert!(wanted(b"usr/bin/hello", false));
    }

    /// An archive of one of each kind.
    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |kind, path: &str, target: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_uid(1);
            header.set_gid(2);
            header.set_mtime(3);
            header.set_size(content.len() as u64);
            if target.is_empty() {
                builder.append_data(&mut header, path, content).unwrap();
            } else {
                builder.append_link(&mut header, path, target).unwrap();
            }
        };
        use tar::EntryType;
        add(EntryType::Directory, "./usr/", "", b"");
        add(EntryType::Regular, "./usr/a", "", &[b'a'; 700]);
        add(
            EntryType::Regular,
            &format!("./usr/{}", "long".repeat(40)),
            "",
            b"b",
        );
        add(EntryType::Symlink, "./usr/link", "a", b"");
        add(EntryType::Link, "./usr/same", "./usr/a", b"");
        add(EntryType::Fifo, "./usr/pipe", "", b"");
        builder.into_inner().unwrap()
    }

    fn tree_of(bytes: &[u8]) -> Result<Tree, Error> {
        let files = std::env::temp_dir().join(format!("kiln-archive-{}", std::process::id()));
        std::fs::write(&files, bytes).unwrap();
        let fetched = Fetched {
            package: Package {
                name: "a".to_owned(),
                version: "1".to_owned(),
                architecture: "amd64".to_owned(),
                sha256: String::new(),
                file: "a_1_amd64.deb".to_owned(),
            },
            files: files.clone(),
            alternatives: Vec::new(),
        };
        let mut tree = Tree::default();
        let done = unpack(&mut tree, &[fetched], true);
        let written = done.and_then(|()| crate::root::write(&tree, "x").map(|_| tree));
        std::fs::remove_file(&files).unwrap();
        written
    }

    #[test]
    fn an_archive_becomes_a_tree() {
        let tree = tree_of(&archive()).unwrap();
        for path in ["usr/a", "usr/link", "usr/same", "usr/pipe"] {
            assert!(tree.get(path.as_bytes()).is_some(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_archive_is_a_tree_or_an_error(
            mut bytes in damaged(&archive(), &["../", "/", "5", "7777777777", "\u{80}", "L", "x"]),
        ) {
            // Each header has the sum of its bytes, or nothing is looked at.
            for start in (0..bytes.len().saturating_sub(511)).step_by(512) {
                let header = &mut bytes[start..start + 512];
                header[148..156].fill(b' ');
                let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            if let Err(error) = tree_of(&bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
