//! The build tool: from a manifest to an image, and to a running machine.
//!
//! A [`manifest`] describes a machine. [`root`] gathers its root file system (with
//! [`debian`] and [`program_files`] as sources), [`compose`] links it with the kernel and
//! servers into one image, [`run`] starts it under QEMU. The [`commands`] are these
//! steps in the order that the [`command_line`] asks for.

pub mod cache;
pub mod catalogue;
pub mod command_line;
pub mod commands;
pub mod components;
pub mod compose;
#[cfg(test)]
mod damage;
pub mod debian;
mod error;
pub mod inspect;
pub mod manifest;
pub mod program_files;
pub mod progress;
pub mod root;
pub mod run;
pub mod search_path;
pub mod top;
pub mod trace;

pub use error::Error;
