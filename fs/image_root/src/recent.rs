//! Directories that were walked to recently, by the path as clients spelt it.
//!
//! The tree never changes, so what is here stays true. Programs open many files of few directories;
//! they find most of a path walked already. Places are few and each is bounded.

use alloc::boxed::Box;

use kiln_erofs::Inode;
use kiln_file_server::{Entry, Final, Last, Place, Start, Stop, walk, walk_from};
use kiln_object::Error;
use spin::Mutex;

use crate::contents::Contents;

/// Directories remembered at most; a power of two.
const PLACES: usize = 32;

/// Longest path that is remembered, in bytes.
const PATH_MAX: usize = 256;

/// Deepest directory that is remembered.
const DEPTH_MAX: usize = 24;

type Directory = Result<Inode, Error>;

#[derive(Debug)]
struct Walked {
    path: Box<[u8]>,
    start: Start<Directory>,
}

/// The directories.
#[derive(Debug)]
pub struct Recent {
    places: [Mutex<Option<Walked>>; PLACES],
}

impl Recent {
    pub const fn new() -> Self {
        Self {
            places: [const { Mutex::new(None) }; PLACES],
        }
    }

    /// As [`walk`].
    pub fn walk<C>(
        &self,
        contents: &Contents<C>,
        path: &[u8],
        last: Final,
    ) -> Result<Place<Directory, Inode>, Stop> {
        let (directory, name) = split(path);
        if directory.is_empty() || directory.len() > PATH_MAX {
            return walk(contents, path, last);
        }
        let place = &self.places[hash(directory) % PLACES];
        let known = match &*place.lock() {
            Some(walked) if *walked.path == *directory => Some(walked.start.clone()),
            _ => None,
        };
        if let Some(start) = known {
            return walk_from(contents, start, name, last);
        }
        let Some(start) = start_in(contents, directory) else {
            // The whole path knows best what is wrong with it.
            return walk(contents, path, last);
        };
        if start.directories.len() <= DEPTH_MAX {
            let walked = Walked {
                path: directory.into(),
                start: start.clone(),
            };
            // What was there goes when the place is free again.
            let _old = place.lock().replace(walked);
        }
        walk_from(contents, start, name, last)
    }
}

/// The directory at `path` as a place to go on from.
fn start_in<C>(contents: &Contents<C>, path: &[u8]) -> Option<Start<Directory>> {
    let place = walk(contents, path, Final::Follow).ok()?;
    let mut directories = place.directories;
    match (place.last, place.entry) {
        (Last::Name(_), Some(Entry::Directory(directory))) => directories.push(directory),
        (Last::Name(_), _) => return None,
        _ => {}
    }
    Some(Start {
        directories,
        links: place.links,
    })
}

/// The path up to its last name, and from there on.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let is_name = |byte: &u8| *byte != b'/';
    let end = path.iter().rposition(is_name).map_or(0, |last| last + 1);
    let names = path.get(..end).unwrap_or_default();
    let start = names
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    path.split_at_checked(start).unwrap_or((&[], path))
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> usize {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize
}
