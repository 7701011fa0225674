//! The bytes of superblocks, inodes and directories.
//!
//! The inverse of what the readers of this crate decode; offsets come from the same constants.

use std::vec;
use std::vec::Vec;

use super::tree::Attributes;
use crate::format::{
    BLOCK, BLOCK_BITS, BLOCK_SIZE, DIRENT_SIZE, Kind, Nid, SLOT, Timestamp, dirent,
    inode as inode_field, superblock as superblock_field, superblock_checksum,
};

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

/// What goes into an inode.
#[derive(Debug, Clone, Copy)]
pub(super) struct InodeFields {
    pub kind: Kind,
    pub attributes: Attributes,
    pub size: u64,
    pub nlink: u32,
    /// The start block or the encoded device number.
    pub union: u32,
    pub inline: bool,
    /// A number of 32 bits for programs that know no larger ones.
    pub ino: u32,
}

/// Whether an inode needs the long form, in an image built at `build_time`.
pub(super) fn needs_extended(
    attributes: &Attributes,
    size: u64,
    nlink: u32,
    build_time: Timestamp,
) -> bool {
    attributes.mtime != build_time
        || size > u64::from(u32::MAX)
        || [attributes.uid, attributes.gid, nlink]
            .iter()
            .any(|&field| field > u32::from(u16::MAX))
}

/// The bytes of an inode; the compact form must suffice if `extended` is not set.
pub(super) fn inode(fields: &InodeFields, extended: bool) -> Vec<u8> {
    use inode_field as at;
    let Attributes {
        mode,
        uid,
        gid,
        mtime,
    } = fields.attributes;
    let layout = if fields.inline {
        at::FLAT_INLINE
    } else {
        at::FLAT_PLAIN
    } << at::LAYOUT_SHIFT;
    let format = if extended {
        layout | at::FORMAT_EXTENDED
    } else {
        layout
    };
    let mut bytes = vec![
        0;
        if extended {
            at::EXTENDED_SIZE
        } else {
            at::COMPACT_SIZE
        }
    ];
    put(&mut bytes, at::FORMAT, format.to_le_bytes());
    put(
        &mut bytes,
        at::MODE,
        (fields.kind.mode_bits() | mode).to_le_bytes(),
    );
    put(&mut bytes, at::UNION, fields.union.to_le_bytes());
    put(&mut bytes, at::INO, fields.ino.to_le_bytes());
    if extended {
        put(
            &mut bytes,
            at::EXTENDED_SIZE_FIELD,
            fields.size.to_le_bytes(),
        );
        put(&mut bytes, at::EXTENDED_UID, uid.to_le_bytes());
        put(&mut bytes, at::EXTENDED_GID, gid.to_le_bytes());
        put(&mut bytes, at::EXTENDED_MTIME, mtime.seconds.to_le_bytes());
        put(
            &mut bytes,
            at::EXTENDED_MTIME_NSEC,
            mtime.nanoseconds.to_le_bytes(),
        );
        put(&mut bytes, at::EXTENDED_NLINK, fields.nlink.to_le_bytes());
    } else {
        put(
            &mut bytes,
            at::COMPACT_SIZE_FIELD,
            (fields.size as u32).to_le_bytes(),
        );
        put(&mut bytes, at::COMPACT_UID, (uid as u16).to_le_bytes());
        put(&mut bytes, at::COMPACT_GID, (gid as u16).to_le_bytes());
        put(
            &mut bytes,
            at::COMPACT_NLINK,
            (fields.nlink as u16).to_le_bytes(),
        );
    }
    bytes
}

/// How many of the names go into each block of a directory, and the directory's length in bytes.
fn split_into_blocks(lengths: impl Iterator<Item = usize>) -> (Vec<usize>, u64) {
    let mut counts = Vec::new();
    let mut used = BLOCK_SIZE;
    for length in lengths {
        let needed = DIRENT_SIZE + length;
        if used + needed > BLOCK_SIZE {
            counts.push(0);
            used = 0;
        }
        used += needed;
        if let Some(count) = counts.last_mut() {
            *count += 1;
        }
    }
    let length = match counts.len() {
        0 => 0,
        blocks => (blocks as u64 - 1) * BLOCK + used as u64,
    };
    (counts, length)
}

/// The length in bytes of a directory with names of these lengths, in this order.
pub(super) fn directory_length(lengths: impl Iterator<Item = usize>) -> u64 {
    split_into_blocks(lengths).1
}

/// The bytes of a directory with these entries, which are sorted by name.
pub(super) fn directory(entries: &[(&[u8], Nid, Kind)]) -> Vec<u8> {
    let (counts, length) = split_into_blocks(entries.iter().map(|(name, ..)| name.len()));
    let mut bytes = Vec::with_capacity(length as usize);
    let mut rest = entries;
    for count in counts {
        let (block, following) = rest.split_at(count);
        rest = following;
        bytes.resize(bytes.len().next_multiple_of(BLOCK_SIZE), 0);
        let mut name_offset = count * DIRENT_SIZE;
        for (name, nid, kind) in block {
            let mut fixed = [0; DIRENT_SIZE];
            put(&mut fixed, dirent::NID, nid.0.to_le_bytes());
            // Below BLOCK_SIZE: the block holds the name.
            put(
                &mut fixed,
                dirent::NAME_OFFSET,
                (name_offset as u16).to_le_bytes(),
            );
            fixed[dirent::KIND] = kind.directory_code();
            bytes.extend_from_slice(&fixed);
            name_offset += name.len();
        }
        for (name, ..) in block {
            bytes.extend_from_slice(name);
        }
    }
    bytes
}

/// What goes into a superblock.
#[derive(Debug, Clone, Copy)]
pub(super) struct SuperblockFields {
    pub root: Nid,
    pub inodes: u64,
    pub build_time: Timestamp,
    pub blocks: u32,
    pub uuid: [u8; 16],
    pub volume_name: [u8; 16],
}

/// Writes the superblock into block 0, all of whose other bytes must be final.
pub(super) fn superblock(first_block: &mut [u8], fields: &SuperblockFields) {
    use superblock_field as at;
    let bytes = &mut first_block[at::OFFSET..BLOCK_SIZE];
    put(bytes, at::MAGIC, at::MAGIC_VALUE.to_le_bytes());
    put(
        bytes,
        at::FEATURE_COMPAT,
        (at::COMPAT_CHECKSUM | at::COMPAT_MTIME).to_le_bytes(),
    );
    bytes[at::BLOCK_BITS] = BLOCK_BITS;
    // The root is the first record, in block 0 or 1.
    put(bytes, at::ROOT_NID, (fields.root.0 as u16).to_le_bytes());
    put(bytes, at::INODES, fields.inodes.to_le_bytes());
    put(
        bytes,
        at::BUILD_TIME,
        fields.build_time.seconds.to_le_bytes(),
    );
    put(
        bytes,
        at::BUILD_TIME_NSEC,
        fields.build_time.nanoseconds.to_le_bytes(),
    );
    put(bytes, at::BLOCKS, fields.blocks.to_le_bytes());
    put(bytes, at::UUID, fields.uuid);
    put(bytes, at::VOLUME_NAME, fields.volume_name);
    let (before, rest) = bytes.split_at(at::CHECKSUM);
    let checksum = superblock_checksum(before, &rest[size_of::<u32>()..]);
    put(bytes, at::CHECKSUM, checksum.to_le_bytes());
}

/// The number of the inode at `offset`, as metadata starts with block 0.
pub(super) const fn nid_at(offset: u64) -> Nid {
    Nid(offset / SLOT)
}
