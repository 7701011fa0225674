//! What every file server needs: walking a path, packing answers.
//!
//! A server says how to look one name up; the walk over links, `.`, `..` and slashes is the same
//! for all and is here, with the bounds that keep a client from holding a server up.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "testing")]
extern crate std;

mod answer;
mod listing;
#[cfg(feature = "testing")]
pub mod testing;
mod walk;

pub use answer::{Which, take_attributes, write_attributes};
pub use listing::{Listing, listed};
pub use walk::{Entry, Final, Last, NAME_MAX, PATH_MAX, Place, Start, Stop, Tree, walk, walk_from};

use alloc::sync::Arc;
use kiln_object::{Dispatch, Error, ProcessId, RawReference, Rights};

/// How a server hands an object to a process: the runtime's object table, or a test's.
pub type Export = fn(Arc<dyn Dispatch>, ProcessId, Rights) -> Result<RawReference, Error>;
