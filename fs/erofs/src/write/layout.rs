//! Laying a tree out as an image, and writing it.
//!
//! First the metadata blocks: superblock, inodes, and what fits behind them. Then the blocks of
//! large directories and long links. Then files, each distinct content once, in the order of a walk
//! over the tree.

use std::io::Write;
use std::vec;
use std::vec::Vec;

use super::allocate::Slots;
use super::contents::{Content, Source, first_equals};
use super::encode::{self, InodeFields, SuperblockFields, nid_at};
use super::error::WriteError;
use super::tree::{Item, Node, NodeId, Tree};
use crate::format::{BLOCK, BLOCK_SIZE, Kind, Nid, Timestamp, inode, superblock};

/// Makes an image of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Builder<'t> {
    tree: &'t Tree,
    build_time: Timestamp,
    uuid: [u8; 16],
    volume_name: [u8; 16],
}

/// What a finished image consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Length of the image in bytes, a multiple of 4096.
    pub length: u64,
    /// Bytes in front of the files' content: superblock, inodes, directories, links.
    pub metadata: u64,
    /// How many inodes there are.
    pub inodes: u64,
    /// Bytes of files in the image, without the rest of their last pages.
    pub content: u64,
    /// Bytes of files that are in the image only once although several inodes have them.
    pub shared: u64,
}

/// An image whose every byte is decided: its metadata is here, its files are yet to be read.
#[derive(Debug)]
pub struct Layout<'t> {
    metadata: Vec<u8>,
    files: Vec<&'t Content>,
    summary: Summary,
}

/// An inode on its way into the image.
struct Planned<'t> {
    node: &'t Node,
    parent: usize,
    nlink: u32,
    size: u64,
    extended: bool,
    inline: bool,
    offset: u64,
    start_block: u64,
}

impl<'t> Builder<'t> {
    /// An image of `tree`, built at the start of 1970, without identifier or name.
    pub const fn new(tree: &'t Tree) -> Self {
        let build_time = Timestamp::from_seconds(0);
        Self {
            tree,
            build_time,
            uuid: [0; 16],
            volume_name: [0; 16],
        }
    }

    /// Sets the time at which the image says it was built. Inodes last changed at just this time are
    /// stored in half the space.
    #[must_use]
    pub const fn build_time(mut self, build_time: Timestamp) -> Self {
        self.build_time = build_time.normal();
        self
    }

    /// Sets the volume's identifier.
    #[must_use]
    pub const fn uuid(mut self, uuid: [u8; 16]) -> Self {
        self.uuid = uuid;
        self
    }

    /// Sets the volume's name, which is filled up with zeroes.
    #[must_use]
    pub const fn volume_name(mut self, name: [u8; 16]) -> Self {
        self.volume_name = name;
        self
    }

    /// Decides where everything goes. Reads only files that may have the same content as others.
    pub fn layout(&self) -> Result<Layout<'t>, WriteError> {
        let (mut planned, indices) = plan(self.tree, self.build_time);
        let files: Vec<usize> = (0..planned.len())
            .filter(|&index| content(&planned[index]).is_some())
            .collect();
        let contents: Vec<&Content> = files
            .iter()
            .filter_map(|&index| content(&planned[index]))
            .collect();
        let first = first_equals(&contents)?;

        let mut slots = Slots::new((superblock::OFFSET + superblock::SIZE) as u64);
        for inode in &mut planned {
            let tail = if inode.inline { inode.size % BLOCK } else { 0 };
            inode.offset = slots.take(inode_length(inode.extended) + tail);
        }
        let mut next_block = slots.blocks();
        for inode in planned.iter_mut().filter(|inode| has_data_blocks(inode)) {
            let whole = inode.size / BLOCK;
            let blocks = if inode.inline {
                whole
            } else {
                inode.size.div_ceil(BLOCK)
            };
            inode.start_block = if blocks > 0 { next_block } else { 0 };
            next_block += blocks;
        }
        let metadata_blocks = next_block;
        let mut unique = Vec::new();
        let (mut content_bytes, mut shared) = (0, 0);
        for (order, &index) in files.iter().enumerate() {
            let size = planned[index].size;
            if first[order] == order {
                planned[index].start_block = if size > 0 { next_block } else { 0 };
                next_block += size.div_ceil(BLOCK);
                content_bytes += size;
                if size > 0 {
                    unique.push(contents[order]);
                }
            } else {
                planned[index].start_block = planned[files[first[order]]].start_block;
                shared += size;
            }
        }

        let blocks = u32::try_from(next_block).map_err(|_| WriteError::TooLarge)?;
        let mut metadata = vec![0; metadata_blocks as usize * BLOCK_SIZE];
        for (index, inode) in planned.iter().enumerate() {
            encode_into(&mut metadata, &planned, &indices, inode, index);
        }
        let fields = SuperblockFields {
            root: nid_at(planned[0].offset),
            inodes: planned.len() as u64,
            build_time: self.build_time,
            blocks,
            uuid: self.uuid,
            volume_name: self.volume_name,
        };
        encode::superblock(&mut metadata[..BLOCK_SIZE], &fields);
        let summary = Summary {
            length: next_block * BLOCK,
            metadata: metadata.len() as u64,
            inodes: planned.len() as u64,
            content: content_bytes,
            shared,
        };
        Ok(Layout {
            metadata,
            files: unique,
            summary,
        })
    }

    /// Writes the image to `output`, from its first byte to its last.
    pub fn write_to(&self, output: &mut impl Write) -> Result<Summary, WriteError> {
        self.layout()?.write_to(output)
    }

    /// The image in memory.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let layout = self.layout()?;
        let mut bytes = Vec::with_capacity(layout.summary.length as usize);
        layout.write_to(&mut bytes)?;
        Ok(bytes)
    }
}

impl Layout<'_> {
    /// What the image will consist of.
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    /// Writes the image to `output`, from its first byte to its last.
    pub fn write_to(&self, output: &mut impl Write) -> Result<Summary, WriteError> {
        const ZEROES: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];
        output
            .write_all(&self.metadata)
            .map_err(WriteError::Output)?;
        let mut source = Source::new();
        for content in &self.files {
            source.check_length(content)?;
            let length = content.length();
            let mut at = 0;
            while at < length {
                let piece = source.piece(content, at)?;
                output.write_all(piece).map_err(WriteError::Output)?;
                at += piece.len() as u64;
            }
            let padding = (length.next_multiple_of(BLOCK) - length) as usize;
            output
                .write_all(&ZEROES[..padding])
                .map_err(WriteError::Output)?;
        }
        Ok(self.summary)
    }
}

fn content<'t>(inode: &Planned<'t>) -> Option<&'t Content> {
    match &inode.node.item {
        Item::File(content) => Some(content),
        _ => None,
    }
}

const fn inode_length(extended: bool) -> u64 {
    (if extended {
        inode::EXTENDED_SIZE
    } else {
        inode::COMPACT_SIZE
    }) as u64
}

fn has_data_blocks(inode: &Planned<'_>) -> bool {
    matches!(inode.node.item, Item::Directory | Item::Symlink(_))
}

/// The inodes in the order of a walk over the tree, each once, and the index of each node's inode.
fn plan(tree: &Tree, build_time: Timestamp) -> (Vec<Planned<'_>>, Vec<usize>) {
    const NONE: usize = usize::MAX;
    let mut planned: Vec<Planned<'_>> = Vec::new();
    let mut indices = vec![NONE; tree.nodes.len()];
    let mut pending = vec![(NodeId::ROOT, 0)];
    while let Some((id, parent)) = pending.pop() {
        if indices[id.0] != NONE {
            continue;
        }
        let node = tree.node(id);
        let index = planned.len();
        indices[id.0] = index;
        let mut nlink = node.links;
        let size = match &node.item {
            Item::File(content) => content.length(),
            Item::Symlink(target) => target.len() as u64,
            Item::Directory => {
                let is_directory = |child: &&NodeId| tree.node(**child).item == Item::Directory;
                nlink = 2 + node.children.values().filter(is_directory).count() as u32;
                pending.extend(node.children.values().rev().map(|&child| (child, index)));
                encode::directory_length(directory_names(node).map(<[u8]>::len))
            }
            Item::CharacterDevice(_) | Item::BlockDevice(_) | Item::Fifo => 0,
        };
        let extended = encode::needs_extended(&node.attributes, size, nlink, build_time);
        let mut inode = Planned {
            node,
            parent,
            nlink,
            size,
            extended,
            inline: false,
            offset: 0,
            start_block: 0,
        };
        let tail = size % BLOCK;
        inode.inline =
            has_data_blocks(&inode) && tail > 0 && inode_length(extended) + tail <= BLOCK;
        planned.push(inode);
    }
    (planned, indices)
}

/// The names in a directory's order, "." and ".." in their place among the others.
fn directory_names(node: &Node) -> impl Iterator<Item = &[u8]> {
    let mut names: Vec<&[u8]> = node.names().collect();
    for special in [&b"."[..], b".."] {
        let place = names.partition_point(|&name| name < special);
        names.insert(place, special);
    }
    names.into_iter()
}

fn encode_into(
    metadata: &mut [u8],
    planned: &[Planned<'_>],
    indices: &[usize],
    inode: &Planned<'_>,
    index: usize,
) {
    let entry = |at: usize| (nid_at(planned[at].offset), planned[at].node.item.kind());
    let mut union = inode.start_block as u32;
    let data = match &inode.node.item {
        Item::Directory => {
            let entries: Vec<(&[u8], Nid, Kind)> = directory_names(inode.node)
                .map(|name| {
                    let (nid, kind) = match name {
                        b"." => entry(index),
                        b".." => entry(inode.parent),
                        name => entry(indices[inode.node.children[name].0]),
                    };
                    (name, nid, kind)
                })
                .collect();
            encode::directory(&entries)
        }
        Item::Symlink(target) => target.clone(),
        Item::CharacterDevice(device) | Item::BlockDevice(device) => {
            // Checked when the device came into the tree.
            union = device.encode().unwrap_or(0);
            Vec::new()
        }
        Item::File(_) | Item::Fifo => Vec::new(),
    };
    let fields = InodeFields {
        kind: inode.node.item.kind(),
        attributes: inode.node.attributes,
        size: inode.size,
        nlink: inode.nlink,
        union,
        inline: inode.inline,
        ino: index as u32 + 1,
    };
    let mut record = encode::inode(&fields, inode.extended);
    let in_blocks = if inode.inline {
        data.len() / BLOCK_SIZE * BLOCK_SIZE
    } else {
        data.len()
    };
    record.extend_from_slice(&data[in_blocks..]);
    let mut write = |offset: usize, bytes: &[u8]| {
        metadata[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    write(inode.offset as usize, &record);
    // A file's start block is behind the metadata.
    if in_blocks > 0 {
        write(inode.start_block as usize * BLOCK_SIZE, &data[..in_blocks]);
    }
}
