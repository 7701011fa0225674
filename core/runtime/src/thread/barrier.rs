//! A place where threads wait until a certain number of them are there.

use super::current;
use super::object::WaitList;
use crate::SpinMutex;

/// A barrier; it can be used again as soon as it has let threads through.
#[derive(Debug)]
pub struct Barrier {
    size: usize,
    inner: SpinMutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    waiting: usize,
    waiters: WaitList,
}

impl Barrier {
    /// A barrier for `size` threads.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self {
            size,
            inner: SpinMutex::new(Inner {
                waiting: 0,
                waiters: WaitList::new(),
            }),
        }
    }

    /// Blocks until as many threads wait as the barrier is for; true for the last one.
    pub fn wait(&self) -> bool {
        let mut waiters = {
            let mut inner = self.inner.lock();
            if inner.waiting + 1 < self.size {
                let me = current().0;
                inner.waiting += 1;
                inner.waiters.push(me);
                drop(inner);
                me.wait_for_hand_over();
                return false;
            }
            inner.waiting = 0;
            core::mem::replace(&mut inner.waiters, WaitList::new())
        };
        while let Some(waiter) = waiters.pop() {
            waiter.hand_over();
        }
        true
    }
}
