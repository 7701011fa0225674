//! Initial file systems for Linux: the `newc` form of cpio archives.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// An archive that grows.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    directories: BTreeSet<String>,
    entries: u32,
}

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

impl Archive {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory, and those above it.
    pub fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.directories.contains(path) {
            return;
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.directories.insert(path.to_owned());
        self.entry(path, DIRECTORY, &[]);
    }

    /// Adds a file that may be executed.
    pub fn file(&mut self, path: &str, contents: &[u8]) {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.entry(path, PROGRAM, contents);
    }

    /// Adds a file of the host.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn host_file(&mut self, host: &Path, path: &str) -> Result<(), String> {
        let contents =
            std::fs::read(host).map_err(|error| format!("{}: {error}", host.display()))?;
        self.file(path, &contents);
        Ok(())
    }

    /// The finished archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let (number, length) = (self.entries, contents.len());
        let mut header = String::from("070701");
        // Inode, mode, owner, group, links, time, length, device, device of a node, name, checksum.
        let fields = [
            number,
            mode,
            0,
            0,
            1,
            0,
            length as u32,
            0,
            0,
            0,
            0,
            path.len() as u32 + 1,
            0,
        ];
        for field in fields {
            // Writing to a String cannot fail.
            let _ = write!(header, "{field:08x}");
        }
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_parents_come_first() {
        let mut archive = Archive::new();
        archive.file("/a/b/c", b"12345");
        archive.file("/a/d", b"");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}"));
        assert!(at("a\0") < at("a/b\0") && at("a/b\0") < at("a/b/c\0"));
        assert_eq!(text.matches("070701").count(), 5);
        assert!(text.contains(&["12345\0\0\0", "070701"].concat()));
    }
}
