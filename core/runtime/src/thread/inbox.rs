//! Where anybody leaves threads that are ready, for a dispatcher to fetch them all.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::primitives::AtomicPtr;

/// What has a link to the next of its kind, for the list that it is in.
pub trait Linked: Sized {
    /// The link.
    fn next(&self) -> &AtomicPtr<Self>;
}

/// A stack of links that is only ever emptied as a whole.
#[derive(Debug)]
pub struct Inbox<T>(AtomicPtr<T>);

impl<T: Linked + 'static> Inbox<T> {
    /// An inbox of that word, which holds null.
    pub const fn new(first: AtomicPtr<T>) -> Self {
        Self(first)
    }

    /// Leaves `item`, which is in no list.
    pub fn push(&self, item: &'static T) {
        let pointer = core::ptr::from_ref(item).cast_mut();
        let mut first = self.0.load(Relaxed);
        loop {
            item.next().store(first, Relaxed);
            match self.0.compare_exchange(first, pointer, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Whether there is nothing.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Fetches all, and passes them on in the order in which they came.
    pub fn take_all(&self, mut take: impl FnMut(&'static T)) {
        let mut item = self.0.swap(null_mut(), Acquire);
        // The last one is first: turn it round.
        let mut turned: *mut T = null_mut();
        // SAFETY: only references that live for ever were pushed.
        while let Some(entry) = unsafe { item.as_ref() } {
            let next = entry.next().load(Relaxed);
            entry.next().store(turned, Relaxed);
            turned = item;
            item = next;
        }
        // SAFETY: as above.
        while let Some(entry) = unsafe { turned.as_ref() } {
            turned = entry.next().load(Relaxed);
            take(entry);
        }
    }
}
