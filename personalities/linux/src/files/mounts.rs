//! Which tree answers for which path: the name space's table, fetched once.
//!
//! The table is kept longest path first, so the first mount that a path lies below is its own.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;

use kiln_interface::name_space::{MountEntry, NameSpace as _};
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::{Error, RawReference};
use zerocopy::FromBytes;

use super::path;
use super::server::{self, Tree};
use crate::errno::Errno;

/// Bit 0 of a mount's flags: nothing below may be written.
const READ_ONLY: u32 = 1;

/// A tree and where it lies.
#[derive(Debug)]
pub struct Mount {
    /// The absolute path of the tree's root.
    pub path: Vec<u8>,
    /// Nothing below may be written.
    pub read_only: bool,
    /// The tree.
    pub tree: Tree,
}

/// All mounts.
#[derive(Debug)]
pub struct Mounts {
    mounts: Vec<Arc<Mount>>,
}

impl Mounts {
    /// Asks the name space.
    ///
    /// # Errors
    /// What the name space or a tree's server answers.
    pub fn fetch() -> Result<Self, Errno> {
        let name_space = server::bind_name_space()?;
        let mut answer = vec![0; MESSAGE_BYTES];
        let (bytes, _version) = name_space.mounts(&mut answer)?;
        let answer = answer.get(..bytes as usize).ok_or(Errno::EIO)?;
        let mut mounts = Vec::new();
        for entry in parse(answer)? {
            mounts.push(Arc::new(Mount {
                path: entry.path.to_vec(),
                read_only: entry.flags & READ_ONLY != 0,
                tree: server::bind_tree(entry.server)?,
            }));
        }
        mounts.sort_by_key(|mount| core::cmp::Reverse(mount.path.len()));
        Ok(Self { mounts })
    }

    /// The mount that `path` lies in, and the path in its tree.
    ///
    /// # Errors
    /// `ENOENT` if nothing is mounted above it.
    pub fn find<'a>(&self, path: &'a [u8]) -> Result<(&Arc<Mount>, &'a [u8]), Errno> {
        self.mounts
            .iter()
            .find_map(|mount| Some((mount, path::below(path, &mount.path)?)))
            .ok_or(Errno::ENOENT)
    }

    /// All mounts, longest path first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Mount>> {
        self.mounts.iter()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    server: RawReference,
    flags: u32,
    path: &'a [u8],
}

fn parse(answer: &[u8]) -> Result<Vec<Entry<'_>>, Error> {
    let mut entries = Vec::new();
    let mut rest = answer;
    while !rest.is_empty() {
        let (head, after) = MountEntry::read_from_prefix(rest).map_err(|_| Error::BadAnswer)?;
        let path = after
            .get(..head.path_bytes as usize)
            .ok_or(Error::BadAnswer)?;
        if !path.starts_with(b"/") || (path.len() > 1 && path.ends_with(b"/")) {
            return Err(Error::BadAnswer);
        }
        entries.push(Entry {
            server: head.server,
            flags: head.flags,
            path,
        });
        let taken = (size_of::<MountEntry>() + path.len()).next_multiple_of(8);
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_object::{ObjectName, ProcessId};
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    fn encode(server: RawReference, flags: u32, path: &[u8]) -> Vec<u8> {
        let head = MountEntry {
            server,
            flags,
            path_bytes: path.len() as u32,
        };
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend(path);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn reads_the_table() {
        let server = |place| RawReference {
            process: ProcessId::new(place, 1),
            object: ObjectName::bootstrap(0),
        };
        let (first, second) = (server(2), server(3));
        let table = [encode(first, 0, b"/tmp"), encode(second, 1, b"/")].concat();
        let entries = parse(&table).expect("is a table");
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[1],
            Entry {
                server: second,
                flags: 1,
                path: b"/"
            }
        );
        assert!(parse(&table[..18]).is_err());
        assert!(parse(&encode(first, 0, b"tmp")).is_err());
    }

    proptest! {
        #[test]
        fn no_table_breaks_the_reader(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
