//! Files that the library makes itself: `/dev`, `/proc`, `/sys`.
//!
//! They are a tree of static tables; what a file says is made when it is opened. A name below
//! `/dev` that is not in the table is looked up in the file systems (`/dev/mqueue/x`); below `/proc`
//! and `/sys` it does not exist.

mod device;
mod machine;
mod names;
mod process;
mod program;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_interface::file::{Attributes, kind};

pub use device::Device;
pub use names::find;
pub use process::{DescriptorList, process_number};
pub use program::Program;

use crate::errno::Errno;
use crate::files::Files;
use crate::files::buffer::{Destination, Source};
use crate::files::object::{Listed, Object, Position};

/// The tree number of the library's own files; no server's tree has it.
const OWN_TREE: u64 = u64::MAX;

/// A file of the library's.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// A directory with a fixed table of entries.
    Directory(&'static [Entry]),
    /// `/proc`: a table, and the process.
    Processes,
    /// A file whose text is made when it is opened.
    Text(&'static Text),
    /// A device.
    Device(Device),
    /// A link.
    Link(Link),
    /// `/proc/self/fd`.
    Descriptors,
    /// An entry of `/proc/self/fd`: a link to whatever is open.
    Descriptor(i32),
}

/// A name in a [`Node::Directory`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What it leads to.
    pub node: Node,
}

/// Takes what is written to a [`Text`].
pub type TakeText = fn(&Files, &[u8]) -> Result<(), Errno>;

/// A file that is made when it is opened.
#[derive(Debug)]
pub struct Text {
    /// Permissions.
    pub mode: u32,
    /// Appends what the file says.
    pub make: fn(&Files, &mut Vec<u8>),
    /// Takes what is written.
    pub write: Option<TakeText>,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// Always to the same path.
    To(&'static str),
    /// To the process's directory, by its number.
    Process,
    /// To the program's file.
    Program,
    /// To the working directory.
    WorkingDirectory,
}

/// What [`find`] found.
#[derive(Debug)]
pub enum Found {
    /// A file of the library's.
    Node(Node),
    /// A link; the walk goes on at this absolute path.
    Link(Vec<u8>),
    /// The path is the library's and leads nowhere.
    Failed(Errno),
    /// The path is not the library's.
    Elsewhere,
}

impl Node {
    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(
            self,
            Node::Directory(_) | Node::Processes | Node::Descriptors
        )
    }

    const fn mode(&self) -> u32 {
        match self {
            Node::Directory(_) | Node::Processes => kind::DIRECTORY | 0o555,
            Node::Descriptors => kind::DIRECTORY | 0o500,
            Node::Text(text) => kind::REGULAR | text.mode,
            Node::Device(device) => kind::CHARACTER | device.mode(),
            Node::Link(_) => kind::LINK | 0o777,
            Node::Descriptor(_) => kind::LINK | 0o700,
        }
    }

    /// A number that stays the node's own; tables and texts are told apart by where they lie.
    fn number(&self) -> u64 {
        let address = |pointer: *const ()| pointer.addr() as u64 >> 3 & 0x7fff_ffff | 1 << 31;
        match self {
            Node::Directory(entries) => address(entries.as_ptr().cast()),
            Node::Processes => 1,
            Node::Text(text) => address((&raw const **text).cast()),
            Node::Device(device) => 0x100 + *device as u64,
            Node::Link(link) => match link {
                Link::To(target) => address(target.as_ptr().cast()),
                Link::Process => 2,
                Link::Program => 3,
                Link::WorkingDirectory => 4,
            },
            Node::Descriptors => 5,
            Node::Descriptor(descriptor) => 0x1000 + u64::from(descriptor.unsigned_abs()),
        }
    }
}

/// What all files of the library have in common: the tree, and times of now.
#[must_use]
pub fn own_attributes() -> Attributes {
    let now = kiln_runtime::time::wall_clock_ns() as i64;
    Attributes {
        tree: OWN_TREE,
        links: 1,
        accessed: now,
        modified: now,
        changed: now,
        ..Attributes::default()
    }
}

/// The attributes of a node.
///
/// # Errors
/// `ENOENT` for a descriptor that is not open.
pub fn attributes(files: &Files, node: &Node) -> Result<Attributes, Errno> {
    let mut mode = node.mode();
    match node {
        Node::Descriptor(descriptor) => {
            let description = files.description(*descriptor).map_err(|_| Errno::ENOENT)?;
            // The link's permissions say how the file is open.
            mode = kind::LINK | 0o100;
            mode |= if description.may_read() { 0o400 } else { 0 };
            mode |= if description.may_write() { 0o200 } else { 0 };
        }
        Node::Device(Device::Terminal | Device::Console) => {
            return Ok(Attributes {
                mode: kind::CHARACTER | node.mode() & 0o777,
                ..crate::terminal::terminal_attributes()
            });
        }
        _ => {}
    }
    Ok(Attributes {
        mode,
        links: if node.is_directory() { 2 } else { 1 },
        number: node.number(),
        device: match node {
            Node::Device(device) => device.number(),
            _ => 0,
        },
        ..own_attributes()
    })
}

/// The target of a link.
///
/// # Errors
/// `EINVAL` for what is none; `ENOENT` for a descriptor that is not open.
pub fn read_link(files: &Files, node: &Node) -> Result<Vec<u8>, Errno> {
    match node {
        Node::Link(link) => Ok(target(files, link)),
        Node::Descriptor(descriptor) => Ok(files
            .description(*descriptor)
            .map_err(|_| Errno::ENOENT)?
            .name()),
        _ => Err(Errno::EINVAL),
    }
}

fn target(files: &Files, link: &Link) -> Vec<u8> {
    match link {
        Link::To(target) => target.as_bytes().to_vec(),
        Link::Process => format!("{}", process_number()).into_bytes(),
        Link::Program => files.program.lock().path.to_vec(),
        Link::WorkingDirectory => files.working_directory(),
    }
}

/// Opens a node that is neither a link nor a descriptor.
///
/// # Errors
/// `EACCES` to write what cannot be; `ENXIO` for a terminal that is not there.
pub fn open(files: &Files, node: &Node, write: bool) -> Result<Arc<dyn Object>, Errno> {
    match node {
        Node::Device(device) => device.open(),
        Node::Text(text) => {
            if write && text.write.is_none() {
                return Err(Errno::EACCES);
            }
            let mut bytes = Vec::new();
            (text.make)(files, &mut bytes);
            Ok(Arc::new(OpenText {
                text,
                bytes,
                node: *node,
            }))
        }
        _ if write => Err(Errno::EISDIR),
        _ => Ok(Arc::new(OpenDirectory { node: *node })),
    }
}

/// A text, made.
struct OpenText {
    text: &'static Text,
    bytes: Vec<u8>,
    node: Node,
}

impl Object for OpenText {
    fn read(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        into.put(self.bytes.get(start..).unwrap_or_default())
    }

    fn write(&self, position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        let write = self.text.write.ok_or(Errno::EIO)?;
        let mut bytes = [0; 4096];
        let bytes = from.take(&mut bytes)?;
        write(crate::files::files(), bytes)?;
        let after = match position {
            Position::At(offset) => offset + bytes.len() as u64,
            Position::End => bytes.len() as u64,
        };
        Ok((bytes.len(), after))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        attributes(crate::files::files(), &self.node)
    }

    fn set_length(&self, _length: u64) -> Result<(), Errno> {
        self.text.write.map(|_| ()).ok_or(Errno::EINVAL)
    }
}

/// A directory of the library's.
struct OpenDirectory {
    node: Node,
}

impl Object for OpenDirectory {
    fn read(&self, _offset: u64, _into: &mut Destination<'_>) -> Result<usize, Errno> {
        Err(Errno::EISDIR)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        attributes(crate::files::files(), &self.node)
    }

    fn list(&self, cookie: u64, add: &mut dyn FnMut(Listed<'_>) -> bool) -> Result<(), Errno> {
        let files = crate::files::files();
        let mut place = 0;
        let mut entry = |name: &str, node: &Node| {
            place += 1;
            place <= cookie
                || add(Listed {
                    number: node.number(),
                    kind: node.mode() & kind::MASK,
                    cookie: place,
                    name: name.as_bytes(),
                })
        };
        match &self.node {
            Node::Directory(entries) => {
                let _ = entries.iter().all(|each| entry(each.name, &each.node));
            }
            Node::Processes => {
                let own: String = format!("{}", process_number());
                let _ = entry(&own, &names::PROCESS_DIRECTORY)
                    && names::PROCESSES
                        .iter()
                        .all(|each| entry(each.name, &each.node));
            }
            Node::Descriptors => {
                let DescriptorList(open) = DescriptorList::of(files);
                let _ = open.iter().all(|descriptor| {
                    entry(&format!("{descriptor}"), &Node::Descriptor(*descriptor))
                });
            }
            _ => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
