//! What a root file system holds, in numbers.

use std::collections::BTreeSet;

use kiln_erofs::{Image, Inode, Kind};

/// More names than any root has: a damaged one must not keep us.
const MAXIMUM_NAMES: u64 = 10_000_000;
/// How many of the largest files are shown.
const LARGEST: usize = 8;

/// Numbers about a root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootContents {
    /// Bytes of the file system.
    pub bytes: u64,
    /// Regular files, by name.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Everything else.
    pub others: u64,
    /// Bytes in regular files, each name counted.
    pub content_bytes: u64,
    /// The largest files and their sizes.
    pub largest: Vec<(String, u64)>,
    /// Why not everything could be read.
    pub damage: Option<String>,
}

impl RootContents {
    /// Counts what is in this file system.
    pub fn of(bytes: &[u8]) -> Self {
        let mut found = Self {
            bytes: bytes.len() as u64,
            ..Self::default()
        };
        if !bytes.is_empty()
            && let Err(error) = found.count(bytes)
        {
            found.damage = Some(error.to_string());
        }
        found
            .largest
            .sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
        found.largest.truncate(LARGEST);
        found
    }

    fn count(&mut self, bytes: &[u8]) -> kiln_erofs::Result<()> {
        let image = Image::new(bytes)?;
        let mut pending = vec![(String::new(), image.inode(image.root())?)];
        let mut names = 0;
        // A directory that is in itself would have no end.
        let mut seen = BTreeSet::from([image.root().0]);
        while let Some((path, directory)) = pending.pop() {
            self.directories += 1;
            for entry in image.read_directory(&directory, 0)? {
                let entry = entry?;
                names += 1;
                if entry.name == b"." || entry.name == b".." || names > MAXIMUM_NAMES {
                    continue;
                }
                let inode = image.inode(entry.nid)?;
                let path = format!("{path}/{}", String::from_utf8_lossy(entry.name));
                if inode.kind == Kind::Directory {
                    if !seen.insert(entry.nid.0) {
                        return Err(kiln_erofs::Error::Corrupt {
                            what: "a directory is in two places",
                            offset: 0,
                        });
                    }
                    pending.push((path, inode));
                } else {
                    self.add(path, &inode);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: String, inode: &Inode) {
        match inode.kind {
            Kind::File => {
                self.files += 1;
                self.content_bytes = self.content_bytes.saturating_add(inode.size);
                self.largest.push((path, inode.size));
            }
            Kind::Symlink => self.links += 1,
            _ => self.others += 1,
        }
    }
}
