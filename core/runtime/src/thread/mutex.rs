//! Mutual exclusion between threads that may block; handed over in the order of asking.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use talc::lock_api;

use super::current;
use super::object::WaitList;
use crate::SpinMutex;

/// A value that one thread at a time may use; `Mutex::new` is `const`.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// What [`Mutex::lock`](lock_api::Mutex::lock) gives.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody waits.
const AWAITED: u32 = 2;

/// The lock itself. `state` leaves `AWAITED` only under the lock of `waiters`.
#[derive(Debug)]
pub struct RawMutex {
    state: AtomicU32,
    waiters: SpinMutex<WaitList>,
}

// SAFETY: it is held from the step out of `FREE`, which one thread makes, or from the hand-over, which
// one waiter gets, until `unlock`; the orderings make what a holder wrote visible to the next.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "it is the trait's way to make a lock"
    )]
    const INIT: Self = Self {
        state: AtomicU32::new(FREE),
        waiters: SpinMutex::new(WaitList::new()),
    };

    // Another thread may unlock: ownership is the guard's, not the thread's.
    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.lock_slowly();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.state
            .compare_exchange(FREE, HELD, Acquire, Relaxed)
            .is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        if self
            .state
            .compare_exchange(HELD, FREE, Release, Relaxed)
            .is_err()
        {
            self.hand_over();
        }
    }
}

impl RawMutex {
    #[cold]
    fn lock_slowly(&self) {
        let me = current().0;
        {
            let mut waiters = self.waiters.lock();
            if self.state.swap(AWAITED, Acquire) == FREE {
                if waiters.is_empty() {
                    self.state.store(HELD, Relaxed);
                }
                return;
            }
            waiters.push(me);
        }
        me.wait_for_hand_over();
    }

    #[cold]
    fn hand_over(&self) {
        let mut waiters = self.waiters.lock();
        let next = waiters.pop();
        let state = match (&next, waiters.is_empty()) {
            (None, _) => FREE,
            (Some(_), true) => HELD,
            (Some(_), false) => AWAITED,
        };
        self.state.store(state, Release);
        drop(waiters);
        if let Some(next) = next {
            next.hand_over();
        }
    }
}
