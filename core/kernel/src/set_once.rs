//! Places that are filled once and read often.
//!
//! As `spin::Once` without a function that is run once: what fills one is moved in, which is short code,
//! and nothing can panic in between. What is long is made in its place instead.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

/// How far a place is.
#[derive(Debug)]
struct State(AtomicU8);

const EMPTY: u8 = 0;
const FILLING: u8 = 1;
const FULL: u8 = 2;

impl State {
    const fn new() -> Self {
        Self(AtomicU8::new(EMPTY))
    }

    /// Whether the caller may fill it: one may.
    #[inline]
    fn begin(&self) -> bool {
        let state = &self.0;
        state
            .compare_exchange(EMPTY, FILLING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    fn finish(&self) {
        self.0.store(FULL, Ordering::Release);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.0.load(Ordering::Acquire) == FULL
    }
}

/// A place for what is moved there.
#[derive(Debug)]
pub struct SetOnce<T> {
    state: State,
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
            state: State::new(),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Puts a value there, unless one is there or about to be, which stays.
    #[inline]
    pub fn set(&self, value: T) {
        if self.state.begin() {
            // SAFETY: the place was empty, and nobody else finds it so.
            unsafe { (*self.value.get()).write(value) };
            self.state.finish();
        }
    }

    /// As [`SetOnce::set`]; gives what is there then.
    pub fn get_or_set(&self, value: T) -> &T {
        self.set(value);
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
        self.state.is_full()
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A place for what is made there.
#[derive(Debug)]
pub struct FillOnce<T> {
    state: State,
    value: UnsafeCell<T>,
}

// SAFETY: the value is changed by the one that finds the place empty and is only read when it is full;
// it is filled by one processor and used by all.
unsafe impl<T: Send + Sync> Sync for FillOnce<T> {}

impl<T> FillOnce<T> {
    /// A place that is to be filled, beginning with `start`.
    #[must_use]
    pub const fn new(start: T) -> Self {
        Self {
            state: State::new(),
            value: UnsafeCell::new(start),
        }
    }

    /// Has `fill` make of the start what is to be there; `None` without a call of it if that was done
    /// before. What fails to be made is never there.
    #[inline]
    pub fn fill<E>(&self, fill: impl FnOnce(&mut T) -> Result<(), E>) -> Option<Result<&T, E>> {
        if !self.state.begin() {
            return None;
        }
        // SAFETY: the place was empty, and nobody else finds it so.
        if let Err(error) = fill(unsafe { &mut *self.value.get() }) {
            return Some(Err(error));
        }
        self.state.finish();
        self.get().map(Ok)
    }

    /// What is there.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is full, so it is not changed again.
        self.is_filled().then(|| unsafe { &*self.value.get() })
    }

    /// Whether something is.
    #[inline]
    #[must_use]
    pub fn is_filled(&self) -> bool {
        self.state.is_full()
    }
}

#[cfg(test)]
mod tests {
    use super::{FillOnce, SetOnce};

    #[test]
    fn the_first_value_stays_whoever_comes_second() {
        let place = SetOnce::new();
        assert_eq!(place.get(), None);
        std::thread::scope(|scope| {
            let set: std::vec::Vec<_> = (0..4)
                .map(|number| {
                    let place = &place;
                    scope.spawn(move || *place.get_or_set(number))
                })
                .collect();
            let seen: std::vec::Vec<i32> = set.into_iter().map(|set| set.join().unwrap()).collect();
            assert!(seen.iter().all(|number| Some(number) == place.get()));
        });
        assert!(place.is_set());
    }

    #[test]
    fn a_place_is_filled_once_or_never() {
        let place = FillOnce::new(1);
        assert_eq!(place.get(), None);
        let add = |more: i32| {
            move |value: &mut i32| {
                *value += more;
                Ok::<(), ()>(())
            }
        };
        assert_eq!(place.fill(add(1)), Some(Ok(&2)));
        assert_eq!(place.fill(add(1)), None);
        assert_eq!(place.get(), Some(&2));

        let place = FillOnce::new(1);
        assert_eq!(place.fill(|_| Err("no")), Some(Err("no")));
        assert_eq!(place.fill(|_| Err("again")), None);
        assert!(!place.is_filled());
    }
}
