//! The kernel's own objects, and the table of those that a process was given.
//!
//! References to kernel objects are bound to their owner by where they are kept: each process has
//! a table of its own, and a name means something only to the process that it was given to.

mod address_space;
mod clock;
mod console;
mod file_cache;
mod log;
mod machine;
mod paged_file;
mod process;
mod random;
mod table;

pub use address_space::address_space;
pub use clock::clock;
pub use console::{announce_input, console};
pub use file_cache::file_cache;
pub use log::log;
pub use machine::machine;
pub use process::process;
pub use random::random;
pub use table::{Share, Table};
