//! A first-in, first-out list through links in its members, which are in one such list at most.

use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::Relaxed;

use super::Thread;
use super::primitives::AtomicPtr;

/// Threads through the link that `L` chooses; whoever has `&mut` has the links.
#[derive(Debug)]
pub struct List<L> {
    first: *const Thread,
    last: *const Thread,
    link: core::marker::PhantomData<L>,
}

/// Which of a thread's links.
pub trait Link {
    /// The link.
    fn of(thread: &Thread) -> &AtomicPtr<Thread>;
}

// SAFETY: threads are shared by all and live for ever.
unsafe impl<L> Send for List<L> {}

impl<L: Link> List<L> {
    /// No threads.
    pub const fn new() -> Self {
        Self {
            first: null(),
            last: null(),
            link: core::marker::PhantomData,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Adds a thread at the end.
    pub fn push(&mut self, thread: &'static Thread) {
        L::of(thread).store(null_mut(), Relaxed);
        // SAFETY: threads live for ever.
        match unsafe { self.last.as_ref() } {
            Some(last) => L::of(last).store(core::ptr::from_ref(thread).cast_mut(), Relaxed),
            None => self.first = thread,
        }
        self.last = thread;
    }

    /// Adds a thread at the front.
    pub fn push_front(&mut self, thread: &'static Thread) {
        L::of(thread).store(self.first.cast_mut(), Relaxed);
        self.first = thread;
        if self.last.is_null() {
            self.last = thread;
        }
    }

    /// The first thread, which stays.
    pub fn first(&self) -> Option<&'static Thread> {
        // SAFETY: threads live for ever.
        unsafe { self.first.as_ref() }
    }

    /// Takes the first thread.
    pub fn pop(&mut self) -> Option<&'static Thread> {
        let first = self.first()?;
        self.first = L::of(first).load(Relaxed);
        if self.first.is_null() {
            self.last = null();
        }
        Some(first)
    }

    /// Takes out the threads for which `take` holds, and passes them to `taken`.
    pub fn extract(
        &mut self,
        take: impl Fn(&Thread) -> bool,
        mut taken: impl FnMut(&'static Thread),
    ) {
        let mut rest = core::mem::replace(self, Self::new());
        while let Some(thread) = rest.pop() {
            if take(thread) {
                taken(thread);
            } else {
                self.push(thread);
            }
        }
    }

    /// Takes `thread` out; false if it is not in the list.
    pub fn remove(&mut self, thread: &Thread) -> bool {
        let mut found = false;
        self.extract(|other| core::ptr::eq(other, thread), |_| found = true);
        found
    }
}
