//! Building an image: a [`Tree`] of files, and a [`Builder`] that lays it out and writes it.
//!
//! The same tree gives the same bytes, whatever host it is built on and in whatever order the tree
//! was filled.

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
