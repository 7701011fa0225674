//! Inodes: what a number stands for.
//!
//! An `Inode` is checked only in itself; where its data lies is checked when the data is asked for.

use crate::error::{Error, Result};
use crate::format::{Device, Kind, Nid, Timestamp, inode as field, le16, le32, le64};
use crate::image::Image;

/// How an inode's data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Consecutive blocks.
    FlatPlain,
    /// Consecutive blocks, and what is left over right behind the inode.
    FlatInline,
    /// Compressed, with a full index. Data cannot be read.
    CompressedFull,
    /// Compressed, with a compact index. Data cannot be read.
    CompressedCompact,
    /// Chunks anywhere. Data cannot be read.
    ChunkBased,
}

/// One file, directory, link, ... of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// The inode's number.
    pub nid: Nid,
    /// What it is; always what `mode` says.
    pub kind: Kind,
    /// File type and permission bits, as in `st_mode`.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Length of the data in bytes.
    pub size: u64,
    /// How many names lead here.
    pub nlink: u32,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// The device's number if this is a device, else 0:0.
    pub rdev: Device,
    /// How the data is stored.
    pub layout: Layout,
    pub(crate) start_block: u32,
    /// Where data behind the inode starts, in bytes from the start of the image.
    pub(crate) inline_offset: u64,
}

impl Image<'_> {
    /// Reads inode `nid`.
    pub fn inode(&self, nid: Nid) -> Result<Inode> {
        let offset = self.inode_offset(nid)?;
        let outside = "an inode outside the image";
        let compact = self.region(offset, field::COMPACT_SIZE as u64, outside)?.bytes;
        let broken = Error::corrupt(outside, offset);
        let format = le16(compact, field::FORMAT).ok_or(broken)?;
        let extended = format & field::FORMAT_EXTENDED != 0;
        let size = if extended { field::EXTENDED_SIZE } else { field::COMPACT_SIZE } as u64;
        let bytes = self.region(offset, size, outside)?.bytes;
        let read16 = |at| le16(bytes, at).ok_or(broken);
        let read32 = |at| le32(bytes, at).ok_or(broken);
        let read64 = |at| le64(bytes, at).ok_or(broken);

        let layout = match (format >> field::LAYOUT_SHIFT) & field::LAYOUT_MASK {
            field::FLAT_PLAIN => Layout::FlatPlain,
            field::COMPRESSED_FULL => Layout::CompressedFull,
            field::FLAT_INLINE => Layout::FlatInline,
            field::COMPRESSED_COMPACT => Layout::CompressedCompact,
            field::CHUNK_BASED => Layout::ChunkBased,
            _ => return Err(Error::Unsupported { what: "an unknown layout of an inode's data" }),
        };
        let mode = read16(field::MODE)?;
        let kind =
            Kind::from_mode(mode).ok_or(Error::corrupt("an inode's file type", offset))?;
        let union = read32(field::UNION)?;
        // 12 bytes of header come with the first unit of 4 bytes of extended attributes.
        let attributes = match u64::from(read16(field::XATTR_COUNT)?) {
            0 => 0,
            count => count.saturating_mul(4).saturating_add(8),
        };
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);

        let mut inode = Inode {
            nid,
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            nlink: 0,
            mtime: self.build_time(),
            rdev: if is_device { Device::decode(union) } else { Device::default() },
            layout,
            start_block: union,
            inline_offset: offset.saturating_add(size).saturating_add(attributes),
        };
        if extended {
            inode.size = read64(field::EXTENDED_SIZE_FIELD)?;
            inode.uid = read32(field::EXTENDED_UID)?;
            inode.gid = read32(field::EXTENDED_GID)?;
            inode.nlink = read32(field::EXTENDED_NLINK)?;
            inode.mtime = Timestamp {
                seconds: read64(field::EXTENDED_MTIME)?.cast_signed(),
                nanoseconds: read32(field::EXTENDED_MTIME_NSEC)?,
            };
        } else {
            inode.size = u64::from(read32(field::COMPACT_SIZE_FIELD)?);
            inode.uid = u32::from(read16(field::COMPACT_UID)?);
            inode.gid = u32::from(read16(field::COMPACT_GID)?);
            inode.nlink = u32::from(read16(field::COMPACT_NLINK)?);
        }
        if inode.mtime.nanoseconds >= 1_000_000_000 {
            return Err(Error::corrupt("nanoseconds of an inode's time", offset));
        }
        // Readers seek with signed offsets; Linux refuses larger files as well.
        if inode.size > i64::MAX.unsigned_abs() {
            return Err(Error::corrupt("an inode's size", offset));
        }
        Ok(inode)
    }
}
