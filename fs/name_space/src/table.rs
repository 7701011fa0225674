//! The mount table.
//!
//! Paths in it are canonical: a slash, then names with single slashes between them, no `.`, no `..`,
//! no slash at the end (but for the root, which is one slash). Longer paths come first, and of the
//! mounts at one path the latest, so the first that is a prefix is the one that counts. The whole
//! table fits the answer of one call.

use alloc::boxed::Box;
use alloc::vec::Vec;

use kiln_interface::name_space::MountEntry;
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::{Error, RawReference};
use zerocopy::IntoBytes;

/// Entries start at multiples of this in the packed form.
const ALIGNMENT: usize = 8;

/// Flags that a mount can have: that nothing below may be written.
const KNOWN_FLAGS: u32 = 1;

/// Longest name in a path.
const NAME_MAX: usize = 255;

/// One tree and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The canonical absolute path.
    pub path: Box<[u8]>,
    /// The bootstrap object of the tree's server.
    pub server: RawReference,
    /// As in [`MountEntry::flags`].
    pub flags: u32,
}

/// All mounts.
#[derive(Clone, Debug, Default)]
pub struct MountTable {
    mounts: Vec<Mount>,
    version: u64,
}

impl MountTable {
    /// An empty table, of version 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mounts: Vec::new(),
            version: 0,
        }
    }

    /// Which version this is; each change makes it the next.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The mounts, the one that counts first.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// Puts the tree of `server` at `path`, over whatever is there.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a path that is not absolute or leads up, a server that is none,
    /// or flags that have no meaning; [`Error::NameTooLong`]; [`Error::Exhausted`] if the table
    /// would not fit an answer.
    pub fn mount(&mut self, path: &[u8], server: RawReference, flags: u32) -> Result<(), Error> {
        let path = canonical(path)?;
        if flags & !KNOWN_FLAGS != 0 || server.is_none() {
            return Err(Error::BadArgument);
        }
        let mount = Mount {
            path,
            server,
            flags,
        };
        let packed: usize = self.mounts.iter().map(packed_bytes).sum();
        if packed.saturating_add(packed_bytes(&mount)) > MESSAGE_BYTES {
            return Err(Error::Exhausted);
        }
        let place = self
            .mounts
            .partition_point(|other| order(&other.path) < order(&mount.path));
        self.mounts.insert(place, mount);
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    /// Takes the topmost tree at `path` away.
    ///
    /// # Errors
    /// [`Error::NotFound`] if none lies there, [`Error::Busy`] for the last one at the root.
    pub fn unmount(&mut self, path: &[u8]) -> Result<(), Error> {
        let path = canonical(path)?;
        let same = |mount: &&Mount| mount.path == path;
        let place = self
            .mounts
            .iter()
            .position(|mount| same(&mount))
            .ok_or(Error::NotFound)?;
        if *path == *b"/" && self.mounts.iter().filter(same).count() == 1 {
            return Err(Error::Busy);
        }
        self.mounts.remove(place);
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    /// Writes all mounts as [`MountEntry`]s with their paths; answers the bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if `answer` is too short for all of them.
    pub fn pack(&self, answer: &mut [u8]) -> Result<usize, Error> {
        let mut used = 0usize;
        for mount in &self.mounts {
            let entry = MountEntry {
                server: mount.server,
                flags: mount.flags,
                path_bytes: u32::try_from(mount.path.len()).map_err(|_| Error::TooLarge)?,
            };
            let end = used
                .checked_add(packed_bytes(mount))
                .ok_or(Error::TooLarge)?;
            let space = answer.get_mut(used..end).ok_or(Error::TooLarge)?;
            space.fill(0);
            let (head, rest) = space
                .split_at_mut_checked(size_of::<MountEntry>())
                .ok_or(Error::TooLarge)?;
            head.copy_from_slice(entry.as_bytes());
            rest.get_mut(..mount.path.len())
                .ok_or(Error::TooLarge)?
                .copy_from_slice(&mount.path);
            used = end;
        }
        Ok(used)
    }
}

/// Longer paths first, then in byte order so that those of one path lie together.
fn order(path: &[u8]) -> (core::cmp::Reverse<usize>, &[u8]) {
    (core::cmp::Reverse(path.len()), path)
}

fn packed_bytes(mount: &Mount) -> usize {
    size_of::<MountEntry>()
        .saturating_add(mount.path.len())
        .checked_next_multiple_of(ALIGNMENT)
        .unwrap_or(usize::MAX)
}

fn canonical(path: &[u8]) -> Result<Box<[u8]>, Error> {
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err(Error::BadArgument);
    }
    let mut canonical = Vec::with_capacity(path.len());
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            // What `..` means depends on links that only the servers know.
            b".." => return Err(Error::BadArgument),
            name if name.len() > NAME_MAX => return Err(Error::NameTooLong),
            name => {
                canonical.push(b'/');
                canonical.extend_from_slice(name);
            }
        }
    }
    if canonical.is_empty() {
        canonical.push(b'/');
    }
    Ok(canonical.into_boxed_slice())
}
