//! A place that is filled once and read often.
//!
//! As `spin::Once` without a function that is run once: what fills it is moved in, which is short code,
//! and nothing can panic in between.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
const FILLING: u8 = 1;
const FULL: u8 = 2;

/// The place.
#[derive(Debug)]
pub struct SetOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written by the one that finds the place empty and is only read when it is full;
// it comes from one processor and is used by all.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Puts a value there unless there is one, which stays; gives what is there.
    #[inline]
    pub fn set(&self, value: T) -> &T {
        let empty =
            self.state
                .compare_exchange(EMPTY, FILLING, Ordering::Acquire, Ordering::Acquire);
        if empty.is_ok() {
            // SAFETY: the place was empty, and nobody else finds it so.
            unsafe { (*self.value.get()).write(value) };
            self.state.store(FULL, Ordering::Release);
        }
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            core::hint::spin_loop();
        }
    }

    /// What is there.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is full, so it was written and is not changed again.
        self.is_set()
            .then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Whether something is.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.load(Ordering::Acquire) == FULL
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::SetOnce;

    #[test]
    fn the_first_value_stays_whoever_comes_second() {
        let place = SetOnce::new();
        assert_eq!(place.get(), None);
        std::thread::scope(|scope| {
            let set: std::vec::Vec<_> = (0..4)
                .map(|number| {
                    let place = &place;
                    scope.spawn(move || *place.set(number))
                })
                .collect();
            let seen: std::vec::Vec<i32> = set.into_iter().map(|set| set.join().unwrap()).collect();
            assert!(seen.iter().all(|number| Some(number) == place.get()));
        });
        assert!(place.is_set());
    }
}
