//! Permits that are taken and given; given to those who wait in the order of asking.

use super::current;
use super::object::WaitList;
use crate::SpinMutex;

/// A number of permits.
#[derive(Debug)]
pub struct Semaphore {
    inner: SpinMutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Permits to be had; zero while anybody waits.
    permits: usize,
    waiters: WaitList,
}

impl Semaphore {
    /// A semaphore with `permits` to be had.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self {
            inner: SpinMutex::new(Inner {
                permits,
                waiters: WaitList::new(),
            }),
        }
    }

    /// Takes a permit; blocks until there is one.
    pub fn acquire(&self) {
        let me = {
            let mut inner = self.inner.lock();
            if inner.permits > 0 {
                inner.permits -= 1;
                return;
            }
            let me = current().0;
            inner.waiters.push(me);
            me
        };
        me.wait_for_hand_over();
    }

    /// Takes a permit if there is one.
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        let mut inner = self.inner.lock();
        let any = inner.permits > 0;
        if any {
            inner.permits -= 1;
        }
        any
    }

    /// Gives a permit. May be called from a served call.
    pub fn release(&self) {
        let waiter = {
            let mut inner = self.inner.lock();
            let waiter = inner.waiters.pop();
            if waiter.is_none() {
                inner.permits += 1;
            }
            waiter
        };
        if let Some(waiter) = waiter {
            waiter.hand_over();
        }
    }
}
