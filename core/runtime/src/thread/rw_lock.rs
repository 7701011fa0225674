//! A value that many threads may read or one may write.

use talc::lock_api;

use super::current;
use super::object::WaitList;
use crate::SpinMutex;

/// A value behind such a lock; `RwLock::new` is `const`. Whoever waits to write goes before those who
/// come later to read.
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;

/// The lock itself.
#[derive(Debug)]
pub struct RawRwLock(SpinMutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many read.
    readers: usize,
    is_written: bool,
    /// Those who wait: whoever leaves hands the lock over, so that nobody comes between.
    writers: WaitList,
    waiting_readers: WaitList,
}

// SAFETY: under the spin lock, `is_written` and `readers` admit one writer or some readers; who waits is
// counted in by whoever hands over. The spin lock orders what they do.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "it is the trait's way to make a lock"
    )]
    const INIT: Self = Self(SpinMutex::new(Inner {
        readers: 0,
        is_written: false,
        writers: WaitList::new(),
        waiting_readers: WaitList::new(),
    }));

    type GuardMarker = lock_api::GuardSend;

    fn lock_shared(&self) {
        let me = {
            let mut inner = self.0.lock();
            if !inner.is_written && inner.writers.is_empty() {
                inner.readers += 1;
                return;
            }
            let me = current().0;
            inner.waiting_readers.push(me);
            me
        };
        me.wait_for_hand_over();
    }

    fn try_lock_shared(&self) -> bool {
        let mut inner = self.0.lock();
        let is_free = !inner.is_written && inner.writers.is_empty();
        if is_free {
            inner.readers += 1;
        }
        is_free
    }

    unsafe fn unlock_shared(&self) {
        let next = {
            let mut inner = self.0.lock();
            inner.readers -= 1;
            if inner.readers > 0 {
                return;
            }
            let next = inner.writers.pop();
            inner.is_written = next.is_some();
            next
        };
        if let Some(next) = next {
            next.hand_over();
        }
    }

    fn lock_exclusive(&self) {
        let me = {
            let mut inner = self.0.lock();
            if !inner.is_written && inner.readers == 0 {
                inner.is_written = true;
                return;
            }
            let me = current().0;
            inner.writers.push(me);
            me
        };
        me.wait_for_hand_over();
    }

    fn try_lock_exclusive(&self) -> bool {
        let mut inner = self.0.lock();
        let is_free = !inner.is_written && inner.readers == 0;
        if is_free {
            inner.is_written = true;
        }
        is_free
    }

    unsafe fn unlock_exclusive(&self) {
        // Those who came to read meanwhile are let in first, so that writers cannot keep them out.
        let (mut readers, writer) = {
            let mut inner = self.0.lock();
            let mut readers = WaitList::new();
            while let Some(reader) = inner.waiting_readers.pop() {
                inner.readers += 1;
                readers.push(reader);
            }
            let writer = if inner.readers == 0 {
                inner.writers.pop()
            } else {
                None
            };
            inner.is_written = writer.is_some();
            (readers, writer)
        };
        while let Some(reader) = readers.pop() {
            reader.hand_over();
        }
        if let Some(writer) = writer {
            writer.hand_over();
        }
    }
}
