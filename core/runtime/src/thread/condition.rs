//! Waiting, with a mutex let go, until told that something changed.

use alloc::collections::VecDeque;

use super::{MutexGuard, ThreadRef, current};
use crate::SpinMutex;

/// A condition that threads wait for.
#[derive(Debug)]
pub struct Condition {
    waiters: SpinMutex<VecDeque<ThreadRef>>,
}

impl Condition {
    /// A condition that nobody waits for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiters: SpinMutex::new(VecDeque::new()),
        }
    }

    /// Lets the mutex go, waits to be notified, and takes the mutex again. The caller then checks
    /// what it waited for: another thread may have been there first.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let me = current();
        self.waiters.lock().push_back(me.clone());
        MutexGuard::unlocked(guard, || me.wait_for_hand_over());
    }

    /// Wakes the thread that has waited longest.
    pub fn notify_one(&self) {
        let waiter = self.waiters.lock().pop_front();
        if let Some(waiter) = waiter {
            waiter.hand_over();
        }
    }

    /// Wakes all that wait.
    pub fn notify_all(&self) {
        let waiters = core::mem::take(&mut *self.waiters.lock());
        for waiter in waiters {
            waiter.hand_over();
        }
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}
