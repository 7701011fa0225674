//! Whether a call of a dispatcher is in an object of the kernel.
//!
//! Whoever takes an object out of the process's table first lets no name lead to it, and then waits here for
//! each dispatcher that may just have found it: either he sees that a call is inside, or the call finds the
//! object gone. `tests/inside_model.rs` has all interleavings.

use super::primitives::{AtomicU64, Ordering};

/// Odd while a call looks for an object and is in it. Only the dispatcher's own processor writes.
#[derive(Debug)]
#[repr(transparent)]
pub struct Inside(AtomicU64);

impl Inside {
    /// No call is.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A call begins to look for an object: what it finds, it finds after this. The straight line adds in
    /// place, with the same one instruction.
    #[inline(always)]
    pub fn enter(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// It is done with the object.
    #[inline(always)]
    pub fn leave(&self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// The call that was in an object, if any was, does not come back.
    pub fn abandon(&self) {
        if is_inside(self.0.load(Ordering::Relaxed)) {
            self.leave();
        }
    }

    /// Comes back when the call that is in an object now, if any is, has left it; `pause` passes time.
    /// Whoever asks has let no name lead to the object before.
    pub fn wait(&self, pause: impl Fn()) {
        let inside = self.0.load(Ordering::SeqCst);
        while is_inside(inside) && self.0.load(Ordering::Acquire) == inside {
            pause();
        }
    }
}

/// Whether this value says that a call is in an object.
const fn is_inside(value: u64) -> bool {
    value & 1 != 0
}
