//! Places for inodes and their inline data in the metadata blocks.
//!
//! A record (an inode with what follows it) never crosses a block's end: the format demands it of
//! inline data, and it keeps a look at an inode to one page. Best fit keeps the blocks full.

use std::collections::BTreeSet;

use crate::format::{BLOCK, SLOT};

#[derive(Debug)]
pub(super) struct Slots {
    blocks: u64,
    /// Blocks with room left: the bytes free at the end, and the block.
    open: BTreeSet<(u64, u64)>,
}

impl Slots {
    /// Room from `used` bytes on in block 0, and behind it.
    pub fn new(used: u64) -> Self {
        let used = used.next_multiple_of(SLOT);
        Self {
            blocks: 1,
            open: BTreeSet::from([(BLOCK - used, 0)]),
        }
    }

    /// The offset of `length` bytes, a block at most, which are now taken.
    pub fn take(&mut self, length: u64) -> u64 {
        let length = length.next_multiple_of(SLOT);
        let (free, block) = match self.open.range((length, 0)..).next().copied() {
            Some(fitting) => {
                self.open.remove(&fitting);
                fitting
            }
            None => {
                self.blocks += 1;
                (BLOCK, self.blocks - 1)
            }
        };
        if free > length {
            self.open.insert((free - length, block));
        }
        (block + 1) * BLOCK - free
    }

    /// How many blocks records lie in, block 0 included.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }
}
