//! Who does what in a machine that runs: read from its memory, at no cost to it.
//!
//! Counters say what was called; what a processor runs is looked at every millisecond, and shares of
//! its time are shares of those looks. Methods are found in events of calls, for which the machine has to
//! note them.

mod methods;
mod sampler;
mod show;
#[cfg(test)]
mod tests;

pub use methods::Method;
pub use sampler::{Asked, Picture, Process, Sampler};
pub use show::{to_json, to_text};
