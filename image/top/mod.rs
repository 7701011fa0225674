//! Who does what in a machine that runs: read from its memory, at no cost to it.
//!
//! Counters say what was called; what a processor runs is looked at every millisecond, and shares of
//! its time are shares of those looks.

mod sampler;
mod show;
#[cfg(test)]
mod tests;

pub use sampler::{Picture, Process, Sampler};
pub use show::{to_json, to_text};
