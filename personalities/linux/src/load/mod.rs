//! Loads the first program and starts it.

pub mod plan;
pub mod script;
pub mod stack;
