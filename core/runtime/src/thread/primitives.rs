//! What the lock-free parts of the scheduler are made of; the model checker puts its own in place.

pub use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
