//! What the lock-free parts are made of; a model puts the model checker's in place of these.

pub use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

/// Stores `value`, after all before it, and is a full fence: in one instruction.
#[inline(always)]
pub fn announce(word: &AtomicU64, value: u64) {
    word.swap(value, Ordering::SeqCst);
}

/// A cell whose contents are reached through a pointer, for as long as a closure runs.
#[derive(Debug)]
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Passes a pointer that may be read through.
    #[inline(always)]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Passes a pointer that may be written through.
    #[inline(always)]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
