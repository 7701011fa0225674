//! The lock for short sections that never wait: the heap, free lists, tables being changed.
//!
//! A holder is not stopped for a soft interrupt, so no thread of its dispatcher finds the lock held. If
//! the kernel takes the processor away, the holder goes on when it is given back, and a waiter on
//! another one only loses time. No section under it calls another process.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use talc::lock_api;

use crate::dispatcher::{disable, enable};

/// A value behind a spin lock; `SpinMutex::new` is `const`.
pub type SpinMutex<T> = lock_api::Mutex<RawSpinLock, T>;

/// What [`SpinMutex::lock`](lock_api::Mutex::lock) gives.
pub type SpinMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawSpinLock, T>;

/// The lock itself.
#[derive(Debug)]
pub struct RawSpinLock(RawPlainLock);

// SAFETY: as for `RawPlainLock`.
unsafe impl lock_api::RawMutex for RawSpinLock {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "it is the trait's way to make a lock"
    )]
    const INIT: Self = Self(RawPlainLock::INIT);

    // A guard ends the section of the dispatcher that began it.
    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock(&self) {
        disable();
        self.0.lock();
    }

    #[inline]
    fn try_lock(&self) -> bool {
        disable();
        let free = self.0.try_lock();
        if !free {
            enable();
        }
        free
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: whoever holds this lock holds the one inside.
        unsafe { self.0.unlock() };
        enable();
    }
}

/// The same for code that is never stopped for a soft interrupt, which need not be kept off: a lock
/// held by a thread that the processor was taken from would stop others of its dispatcher for ever.
pub type PlainMutex<T> = lock_api::Mutex<RawPlainLock, T>;

/// What [`PlainMutex::lock`](lock_api::Mutex::lock) gives.
pub type PlainMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawPlainLock, T>;

/// The lock itself.
#[derive(Debug)]
pub struct RawPlainLock(AtomicBool);

// SAFETY: at most one `swap` from false to true succeeds between two stores of false, and the
// orderings make what one holder wrote visible to the next.
unsafe impl lock_api::RawMutex for RawPlainLock {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "it is the trait's way to make a lock"
    )]
    const INIT: Self = Self(AtomicBool::new(false));

    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock(&self) {
        while self.0.swap(true, Acquire) {
            while self.0.load(Relaxed) {
                core::hint::spin_loop();
            }
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        !self.0.swap(true, Acquire)
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.0.store(false, Release);
    }
}

/// What whoever waits for a lock does between two looks at it, if the lock's holder may call the kernel
/// meanwhile. In the kernel it answers other processors, for which the holder may wait there.
#[inline]
pub fn relax() {
    #[cfg(kiln_kernel)]
    crate::kernel_home::relax();
    #[cfg(not(kiln_kernel))]
    core::hint::spin_loop();
}

#[cfg(test)]
mod tests {
    use super::lock_api::{Mutex, RawMutex};
    use super::{RawPlainLock, RawSpinLock};

    #[test]
    fn sections_exclude_each_other() {
        exclude_each_other::<RawSpinLock>();
        exclude_each_other::<RawPlainLock>();
    }

    fn exclude_each_other<L: RawMutex + Sync>() {
        let counter = Mutex::<L, _>::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut value = counter.lock();
                        let seen = *value;
                        core::hint::black_box(&value);
                        *value = seen + 1;
                    }
                });
            }
        });
        assert_eq!(*counter.lock(), 40_000);
    }
}
