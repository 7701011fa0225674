//! Building an image: a [`Tree`] of files, and a [`Builder`] that lays it out and writes it.
//!
//! The same tree gives the same bytes, whatever host it is built on and in whatever order the tree
//! was filled.
//!
//! ```
//! use kiln_erofs::write::{Attributes, Builder, Item, Tree};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tree = Tree::default();
//! tree.insert("usr/bin/hello", Attributes::new(0o755), Item::File(b"\x7fELF...".to_vec().into()))?;
//! tree.insert("bin", Attributes::new(0o777), Item::Symlink(b"usr/bin".to_vec()))?;
//! let mut bytes = Vec::new();
//! let summary = Builder::new(&tree).write_to(&mut bytes)?;
//! assert_eq!(summary.length, 2 * 4096);
//!
//! let image = kiln_erofs::Image::new(&bytes)?;
//! let root = image.inode(image.root())?;
//! let link = image.inode(image.lookup(&root, b"bin")?)?;
//! assert_eq!(image.symlink_target(&link)?, b"usr/bin");
//! # Ok(())
//! # }
//! ```

mod allocate;
mod contents;
mod encode;
mod error;
mod host;
mod layout;
mod path;
mod tree;

pub use contents::Content;
pub use error::{TreeError, WriteError};
pub use host::{HostOptions, HostReport, Ownership};
pub use layout::{Builder, Layout, Summary};
pub use tree::{Attributes, Item, Node, Tree};
