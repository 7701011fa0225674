//! The data of an inode: where it lies, and reading it.
//!
//! Flat data is one run of blocks and, if inline, a tail behind the inode. Both are checked against
//! the image before a byte is touched.

use crate::error::{Error, Result};
use crate::format::{BLOCK, Kind, SYMLINK_MAX};
use crate::image::{Image, Region};
use crate::inode::{Inode, Layout};

/// Where the whole data of a file lies in the image, in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Bytes from the start of the image; a multiple of the page size. 0 for an empty file.
    pub offset: u64,
    /// Bytes of data. Images that this crate writes are zero from here to the end of the page.
    pub length: u64,
}

/// The two pieces of flat data, in order; either may be empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces<'a> {
    pub blocks: Region<'a>,
    pub tail: Region<'a>,
}

impl<'a> Image<'a> {
    pub(crate) fn pieces(&self, inode: &Inode) -> Result<Pieces<'a>> {
        let in_blocks = match inode.layout {
            Layout::FlatPlain => inode.size,
            Layout::FlatInline => inode.size.div_ceil(BLOCK).saturating_sub(1).saturating_mul(BLOCK),
            Layout::CompressedFull | Layout::CompressedCompact => {
                return Err(Error::Unsupported { what: "compressed data" });
            }
            Layout::ChunkBased => return Err(Error::Unsupported { what: "data in chunks" }),
        };
        let mut pieces = Pieces { blocks: Region::default(), tail: Region::default() };
        if in_blocks > 0 {
            let start = u64::from(inode.start_block).saturating_mul(BLOCK);
            pieces.blocks = self.region(start, in_blocks, "data outside the image")?;
        }
        let in_tail = inode.size.saturating_sub(in_blocks);
        if in_tail > 0 {
            let start = inode.inline_offset;
            let in_block = start.checked_rem(BLOCK).unwrap_or(0);
            if in_block.saturating_add(in_tail) > BLOCK {
                return Err(Error::corrupt("inline data crosses a block's end", start));
            }
            pieces.tail = self.region(start, in_tail, "inline data outside the image")?;
        }
        Ok(pieces)
    }

    /// Where the data of the regular file `inode` lies, if it lies in one page-aligned piece: so it
    /// can be mapped in place. `None` for a file with inline data, which must be read.
    pub fn data_extent(&self, inode: &Inode) -> Result<Option<Extent>> {
        if inode.kind != Kind::File {
            return Err(Error::NotFile);
        }
        let Pieces { blocks, tail } = self.pieces(inode)?;
        if !tail.bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Extent { offset: blocks.offset, length: inode.size }))
    }

    /// Reads data of the regular file `inode` from `offset` on into `buffer`.
    ///
    /// Returns how many bytes were read: fewer than `buffer` holds only at the end of the file, and
    /// 0 at or behind it.
    pub fn read_at(&self, inode: &Inode, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if inode.kind != Kind::File {
            return Err(Error::NotFile);
        }
        let Pieces { blocks, tail } = self.pieces(inode)?;
        let Ok(offset) = usize::try_from(offset) else { return Ok(0) };
        let from_blocks = blocks.bytes.get(offset..).unwrap_or(&[]);
        let tail_offset = offset.saturating_sub(blocks.bytes.len());
        let from_tail = tail.bytes.get(tail_offset..).unwrap_or(&[]);

        let mut room = buffer;
        let mut done = 0usize;
        for piece in [from_blocks, from_tail] {
            let count = piece.len().min(room.len());
            let (Some(source), Some((target, rest))) =
                (piece.get(..count), room.split_at_mut_checked(count))
            else {
                break;
            };
            target.copy_from_slice(source);
            done = done.saturating_add(count);
            room = rest;
        }
        Ok(done)
    }

    /// The target of the symbolic link `inode`: 1 to [`SYMLINK_MAX`] bytes without a zero.
    pub fn symlink_target(&self, inode: &Inode) -> Result<&'a [u8]> {
        if inode.kind != Kind::Symlink {
            return Err(Error::NotSymlink);
        }
        let broken = Error::corrupt("a symbolic link's target", inode.inline_offset);
        if inode.size == 0 || inode.size > SYMLINK_MAX as u64 {
            return Err(broken);
        }
        // Shorter than a block, so one of the two pieces is empty.
        let Pieces { blocks, tail } = self.pieces(inode)?;
        let target = if tail.bytes.is_empty() { blocks.bytes } else { tail.bytes };
        if target.contains(&0) {
            return Err(broken);
        }
        Ok(target)
    }
}
