//! What tests and benchmarks of booted images are made of.
//!
//! Everything that is started here is a child of this process, has a deadline, and is ended by
//! its own process handle only. What is made lies under the target directory.
#![forbid(unsafe_code)]

pub mod attack;
pub mod child;
pub mod compile;
pub mod debugger;
pub mod expect;
pub mod image;
pub mod initial_ram;
pub mod linux;
pub mod machine;
pub mod places;
