//! The locks of the tree.
//!
//! Under them the kernel is called: to move pages to its files and to cut those off. For that it may wait for
//! another processor, which may wait for one of these locks; so who waits here answers the kernel.

use spin::RelaxStrategy;

/// See the module.
pub struct Answering;

impl RelaxStrategy for Answering {
    #[inline]
    fn relax() {
        kiln_runtime::relax();
    }
}

/// One at a time.
pub type Mutex<T> = spin::mutex::Mutex<T, Answering>;

/// Holds a [`Mutex`].
pub type MutexGuard<'a, T> = spin::mutex::MutexGuard<'a, T, Answering>;

/// One that changes or several that look.
pub type RwLock<T> = spin::rwlock::RwLock<T, Answering>;
