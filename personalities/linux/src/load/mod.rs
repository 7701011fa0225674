//! Loads the first program and starts it.
