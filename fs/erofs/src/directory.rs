//! Directories: finding a name, and listing from any point on.
//!
//! A directory is a run of blocks; each has an array of fixed entries, then their names. Names are
//! sorted by their bytes through the whole directory, "." and ".." included, so that blocks can be
//! searched by their first name and entries within a block by theirs. Each step of a search halves
//! what is left and each step of a listing moves forward: a corrupt directory cannot hold them up.

use core::cmp::Ordering;

use crate::data::Pieces;
use crate::error::{Error, Result};
use crate::format::{BLOCK_SIZE, DIRENT_SIZE, Kind, NAME_MAX, Nid, dirent, le16, le64};
use crate::image::{Image, Region};
use crate::inode::Inode;

/// One name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name: 1 to 255 bytes, neither zero nor "/" in it.
    pub name: &'a [u8],
    /// The inode that it names.
    pub nid: Nid,
    /// What the inode is.
    pub kind: Kind,
    /// The cookie to go on with behind this entry.
    pub next: u64,
}

/// The entries of a directory from some point on, "." and ".." among them in their sorted place.
///
/// Ends after the first error.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    image: Image<'a>,
    pieces: Pieces<'a>,
    /// The block and the entry in it that come next; no block once at the end.
    position: Option<(usize, usize)>,
}

struct Block<'a> {
    region: Region<'a>,
    count: usize,
}

impl<'a> Image<'a> {
    /// The inode that `name` stands for in `directory`; [`Error::NotFound`] if there is none.
    pub fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<Nid> {
        let pieces = self.directory_pieces(directory)?;
        // The block that may hold the name is the last whose first name is not greater.
        let block = match block_count(&pieces) {
            1 => Some(0),
            count => search(count, |index| Ok(Block::at(&pieces, index)?.name(0)?.cmp(name)))?,
        };
        let block = Block::at(&pieces, block.ok_or(Error::NotFound)?)?;
        let entry = search(block.count, |index| Ok(block.name(index)?.cmp(name)))?;
        let entry = entry.ok_or(Error::NotFound)?;
        if block.name(entry)? != name {
            return Err(Error::NotFound);
        }
        block.nid(entry)
    }

    /// The entries of `directory` from `cookie` on: 0 for the start, or an [`Entry::next`].
    ///
    /// Any other cookie is safe, and means some entry of the directory or its end.
    pub fn read_directory(&self, directory: &Inode, cookie: u64) -> Result<Entries<'a>> {
        let pieces = self.directory_pieces(directory)?;
        let position = usize::try_from(cookie).ok().and_then(|cookie| {
            let within = cookie.checked_rem(BLOCK_SIZE)?;
            Some((cookie.checked_div(BLOCK_SIZE)?, within.div_ceil(DIRENT_SIZE)))
        });
        Ok(Entries { image: *self, pieces, position })
    }

    fn directory_pieces(&self, directory: &Inode) -> Result<Pieces<'a>> {
        if directory.kind != Kind::Directory {
            return Err(Error::NotDirectory);
        }
        self.pieces(directory)
    }
}

fn block_count(pieces: &Pieces<'_>) -> usize {
    let whole = pieces.blocks.bytes.len().div_ceil(BLOCK_SIZE);
    whole.saturating_add(usize::from(!pieces.tail.bytes.is_empty()))
}

/// The last of `count` sorted items that is not greater than what is looked for, if any.
fn search(
    count: usize,
    compare: impl Fn(usize) -> Result<Ordering>,
) -> Result<Option<usize>> {
    let (mut low, mut high) = (0, count);
    let mut found = None;
    while low < high {
        let middle = low.midpoint(high);
        match compare(middle)? {
            Ordering::Greater => high = middle,
            Ordering::Equal => return Ok(Some(middle)),
            Ordering::Less => {
                found = Some(middle);
                low = middle.saturating_add(1);
            }
        }
    }
    Ok(found)
}

impl<'a> Block<'a> {
    fn at(pieces: &Pieces<'a>, index: usize) -> Result<Self> {
        let start = index.saturating_mul(BLOCK_SIZE);
        let region = match pieces.blocks.bytes.get(start..) {
            Some(rest) if !rest.is_empty() => Region {
                bytes: rest.get(..BLOCK_SIZE).unwrap_or(rest),
                offset: pieces.blocks.offset.saturating_add(start as u64),
            },
            _ => pieces.tail,
        };
        let broken = Error::corrupt("a directory block's first entry", region.offset);
        // The names start where the fixed entries end.
        let names = usize::from(le16(region.bytes, dirent::NAME_OFFSET).ok_or(broken)?);
        let count = names.checked_div(DIRENT_SIZE).unwrap_or(0);
        if count == 0 || count.saturating_mul(DIRENT_SIZE) != names || names > region.bytes.len() {
            return Err(broken);
        }
        Ok(Self { region, count })
    }

    fn field_offset(index: usize, field: usize) -> usize {
        index.saturating_mul(DIRENT_SIZE).saturating_add(field)
    }

    fn broken(&self, what: &'static str, index: usize) -> Error {
        let within = Self::field_offset(index, 0) as u64;
        Error::corrupt(what, self.region.offset.saturating_add(within))
    }

    fn name_offset(&self, index: usize) -> Result<usize> {
        le16(self.region.bytes, Self::field_offset(index, dirent::NAME_OFFSET))
            .map(usize::from)
            .ok_or_else(|| self.broken("a directory entry", index))
    }

    fn name(&self, index: usize) -> Result<&'a [u8]> {
        let start = self.name_offset(index)?;
        let following = index.saturating_add(1);
        let last = following >= self.count;
        let end = if last { self.region.bytes.len() } else { self.name_offset(following)? };
        let broken = || self.broken("a directory entry's name", index);
        if start < self.count.saturating_mul(DIRENT_SIZE) {
            return Err(broken());
        }
        let mut name = self.region.bytes.get(start..end).ok_or_else(broken)?;
        if last && let Some(length) = name.iter().position(|&byte| byte == 0) {
            // Only the last name of a block may be followed by zeroes up to the block's end.
            name = name.get(..length).ok_or_else(broken)?;
        }
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(broken());
        }
        Ok(name)
    }

    fn nid(&self, index: usize) -> Result<Nid> {
        le64(self.region.bytes, Self::field_offset(index, dirent::NID))
            .map(Nid)
            .ok_or_else(|| self.broken("a directory entry", index))
    }
}

impl<'a> Entries<'a> {
    fn step(&mut self, block: usize, index: usize) -> Result<Option<Entry<'a>>> {
        let read = Block::at(&self.pieces, block)?;
        let following_block = block.saturating_add(1);
        if index >= read.count {
            self.position = Some((following_block, 0));
            return Ok(None);
        }
        let name = read.name(index)?;
        if name.iter().any(|&byte| byte == 0 || byte == b'/') {
            return Err(read.broken("a byte in a directory entry's name", index));
        }
        let nid = read.nid(index)?;
        let code = read.region.bytes.get(Block::field_offset(index, dirent::KIND)).copied();
        let kind = match code {
            Some(0) => self.image.inode(nid)?.kind,
            code => code
                .and_then(Kind::from_directory_code)
                .ok_or_else(|| read.broken("a directory entry's file type", index))?,
        };
        let following = index.saturating_add(1);
        let (next_block, next_index) =
            if following < read.count { (block, following) } else { (following_block, 0) };
        self.position = Some((next_block, next_index));
        let next = next_block
            .saturating_mul(BLOCK_SIZE)
            .saturating_add(next_index.saturating_mul(DIRENT_SIZE));
        Ok(Some(Entry { name, nid, kind, next: next as u64 }))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        // Twice around at most: a cookie behind a block's last entry means the next block's first.
        loop {
            let (block, index) = self.position.take()?;
            if block >= block_count(&self.pieces) {
                return None;
            }
            match self.step(block, index) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl core::iter::FusedIterator for Entries<'_> {}
