//! An image as a whole: its superblock, and where its inodes lie.
//!
//! An `Image` exists only for bytes whose superblock passed its checksum and whose length is at
//! least what the superblock claims; all later reads stay inside that claimed length.

use crate::error::{Error, Result};
use crate::format::{
    BLOCK, BLOCK_BITS, BLOCK_SIZE, Nid, SLOT, Timestamp, le16, le32, le64, superblock as field,
    superblock_checksum,
};

/// An EROFS image in memory.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    metadata: u64,
    root: Nid,
    inodes: u64,
    build_time: Timestamp,
    uuid: [u8; 16],
    volume_name: [u8; 16],
}

/// Bytes of the image together with where they lie in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region<'a> {
    pub bytes: &'a [u8],
    pub offset: u64,
}

impl<'a> Image<'a> {
    /// Checks the superblock and makes the image readable.
    ///
    /// `bytes` may be longer than the image. An image without a superblock checksum is
    /// [`Error::Unsupported`], as are block sizes other than 4096.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        const START: u64 = field::OFFSET as u64;
        let short = Error::corrupt("the image ends before its superblock does", START);
        let first_block = bytes.get(..BLOCK_SIZE).ok_or(short)?;
        let superblock = first_block.get(field::OFFSET..).ok_or(short)?;
        let read16 = |at| le16(superblock, at).ok_or(short);
        let read32 = |at| le32(superblock, at).ok_or(short);
        let read64 = |at| le64(superblock, at).ok_or(short);
        let read_byte = |at| superblock.get(at).copied().ok_or(short);
        let read_name = |at| {
            superblock.get(at..).and_then(|rest| rest.first_chunk::<16>()).copied().ok_or(short)
        };

        if read32(field::MAGIC)? != field::MAGIC_VALUE {
            return Err(Error::corrupt("no EROFS superblock", START));
        }
        if read32(field::FEATURE_COMPAT)? & field::COMPAT_CHECKSUM == 0 {
            return Err(Error::Unsupported { what: "a superblock without a checksum" });
        }
        let (before, rest) = superblock.split_at_checked(field::CHECKSUM).ok_or(short)?;
        let (_, after) = rest.split_at_checked(size_of::<u32>()).ok_or(short)?;
        if read_byte(field::BLOCK_BITS)? != BLOCK_BITS {
            return Err(Error::Unsupported { what: "a block size other than 4096" });
        }
        if superblock_checksum(before, after) != read32(field::CHECKSUM)? {
            return Err(Error::corrupt("the superblock's checksum is wrong", START));
        }
        if read32(field::FEATURE_INCOMPAT)? & !field::INCOMPAT_READABLE != 0 {
            return Err(Error::Unsupported { what: "an incompatible feature of the superblock" });
        }
        if read_byte(field::DIRECTORY_BLOCK_BITS)? != 0 {
            return Err(Error::Unsupported { what: "directory blocks larger than a block" });
        }

        let length = u64::from(read32(field::BLOCKS)?).saturating_mul(BLOCK);
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|length| bytes.get(..length))
            .ok_or(Error::corrupt("the image is shorter than its superblock says", START))?;
        let nanoseconds = read32(field::BUILD_TIME_NSEC)?;
        if nanoseconds >= 1_000_000_000 {
            return Err(Error::corrupt("nanoseconds of the build time", START));
        }
        Ok(Self {
            bytes,
            metadata: u64::from(read32(field::META_BLOCK)?).saturating_mul(BLOCK),
            root: Nid(u64::from(read16(field::ROOT_NID)?)),
            inodes: read64(field::INODES)?,
            build_time: Timestamp {
                seconds: read64(field::BUILD_TIME)?.cast_signed(),
                nanoseconds,
            },
            uuid: read_name(field::UUID)?,
            volume_name: read_name(field::VOLUME_NAME)?,
        })
    }

    /// The number of the root directory's inode.
    pub const fn root(&self) -> Nid {
        self.root
    }

    /// The image's length in bytes, a multiple of [`BLOCK_SIZE`].
    pub const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// How many inodes the superblock says there are, for `statfs`.
    pub const fn inode_count(&self) -> u64 {
        self.inodes
    }

    /// When the image was built: the time of modification of each compact inode.
    pub const fn build_time(&self) -> Timestamp {
        self.build_time
    }

    /// The volume's identifier.
    pub const fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The volume's name, filled up with zeroes.
    pub const fn volume_name(&self) -> [u8; 16] {
        self.volume_name
    }

    /// The bytes `offset..offset + length` if all of them are in the image.
    pub(crate) fn region(&self, offset: u64, length: u64, what: &'static str) -> Result<Region<'a>> {
        let range = || {
            let start = usize::try_from(offset).ok()?;
            let end = usize::try_from(offset.checked_add(length)?).ok()?;
            self.bytes.get(start..end)
        };
        let bytes = range().ok_or(Error::corrupt(what, offset))?;
        Ok(Region { bytes, offset })
    }

    /// Where inode `nid` starts, in bytes from the start of the image.
    pub(crate) fn inode_offset(&self, nid: Nid) -> Result<u64> {
        nid.0
            .checked_mul(SLOT)
            .and_then(|offset| offset.checked_add(self.metadata))
            .ok_or(Error::corrupt("an inode's number is beyond any image", nid.0))
    }
}
