//! Permits that are taken and given; given to those who wait in the order of asking.

use alloc::collections::VecDeque;

use super::{ThreadRef, current};
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
    waiters: VecDeque<ThreadRef>,
}

impl Semaphore {
    /// A semaphore with `permits` to be had.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self {
            inner: SpinMutex::new(Inner {
                permits,
                waiters: VecDeque::new(),
            }),
        }
    }

    /// Takes a permit; blocks until there is one.
    pub fn acquire(&self) {
        let mut inner = self.inner.lock();
        if inner.permits > 0 {
            inner.permits -= 1;
            return;
        }
        let me = current();
        inner.waiters.push_back(me.clone());
        drop(inner);
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
        let mut inner = self.inner.lock();
        match inner.waiters.pop_front() {
            Some(waiter) => {
                drop(inner);
                waiter.hand_over();
            }
            None => inner.permits += 1,
        }
    }
}
