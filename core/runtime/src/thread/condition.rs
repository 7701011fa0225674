//! Waiting, with a mutex let go, until told that something changed.

use super::object::WaitList;
use super::{MutexGuard, alarm, block, cancel, current};
use crate::SpinMutex;

/// A condition that threads wait for.
#[derive(Debug)]
pub struct Condition {
    waiters: SpinMutex<WaitList>,
}

impl Condition {
    /// A condition that nobody waits for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiters: SpinMutex::new(WaitList::new()),
        }
    }

    /// Lets the mutex go, waits to be notified, and takes the mutex again. The caller then checks
    /// what it waited for: another thread may have been there first.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let me = current().0;
        self.waiters.lock().push(me);
        MutexGuard::unlocked(guard, || me.wait_for_hand_over());
    }

    /// As [`Condition::wait`], but not beyond the monotonic time `deadline` (ns); answers whether it was
    /// notified before.
    ///
    /// # Panics
    /// Without memory for the alarm.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: u64) -> bool {
        let me = current().0;
        self.waiters.lock().push(me);
        let alarm = alarm::wake_at(deadline, me).expect("no memory for an alarm");
        let was_notified = MutexGuard::unlocked(guard, || {
            loop {
                if me.take_hand_over() {
                    return true;
                }
                if crate::time::monotonic_ns() < deadline {
                    block();
                } else if self.waiters.lock().remove(me) {
                    return false;
                } else {
                    // Whoever took it from the list is about to hand over.
                    me.wait_for_hand_over();
                    return true;
                }
            }
        });
        cancel(alarm);
        was_notified
    }

    /// Wakes the thread that has waited longest.
    pub fn notify_one(&self) {
        let waiter = self.waiters.lock().pop();
        if let Some(waiter) = waiter {
            waiter.hand_over();
        }
    }

    /// Wakes all that wait.
    pub fn notify_all(&self) {
        let mut waiters = core::mem::replace(&mut *self.waiters.lock(), WaitList::new());
        while let Some(waiter) = waiters.pop() {
            waiter.hand_over();
        }
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}
