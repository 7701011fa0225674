//! A value that is made once, by whoever needs it first.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Release};

use super::Mutex;

/// A value that is made at its first use. Others wait meanwhile; if making it fails, the next tries.
pub struct Once<T> {
    is_made: AtomicBool,
    making: Mutex<()>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written once, under the mutex and before `is_made`, and only shared afterwards.
unsafe impl<T: Send + Sync> Sync for Once<T> {}
// SAFETY: it owns the value.
unsafe impl<T: Send> Send for Once<T> {}

impl<T> core::fmt::Debug for Once<T> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "Once(made: {})", self.is_made.load(Acquire))
    }
}

impl<T> Once<T> {
    /// Not made yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            is_made: AtomicBool::new(false),
            making: Mutex::new(()),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, if it was made.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.is_made.load(Acquire) {
            return None;
        }
        // SAFETY: it was written before `is_made`, and is not changed any more.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// The value, made by `make` if nobody has.
    ///
    /// # Errors
    /// What `make` answers; it is tried again at the next use.
    pub fn get_or_try_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let making = self.making.lock();
        if self.get().is_none() {
            let value = make()?;
            // SAFETY: the mutex is held and nothing was made, so nobody has a reference.
            unsafe { (*self.value.get()).write(value) };
            self.is_made.store(true, Release);
        }
        drop(making);
        // SAFETY: as in `get`; it was just made, here or by another.
        Ok(unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// The value, made by `make` if nobody has.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        match self.get_or_try_make(|| Ok::<T, core::convert::Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        if *self.is_made.get_mut() {
            // SAFETY: it was made, and nobody else has it.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}
