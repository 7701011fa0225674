//! What a machine notes while it runs: found in its memory, ordered, named, and written down.
//!
//! The [`directory`] leads to the rings; a [`ring`] is read while the guest writes it, and what is
//! read may be anything; the [`rings`] are met as they are made. The [`recorder`] gathers events while the machine runs; afterwards
//! [`timeline`] makes spans of them, with [`names`] from the image, and [`chrome`] writes them.

pub mod chrome;
pub mod directory;
pub mod interfaces;
pub mod names;
pub mod objects;
#[cfg(test)]
mod reader;
pub mod recorder;
pub mod ring;
pub mod rings;
#[cfg(test)]
pub(crate) mod tests;
pub mod timeline;
