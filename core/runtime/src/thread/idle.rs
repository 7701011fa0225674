//! Which dispatchers of a process have nothing to do.
//!
//! One that is idle says so before it looks for work a last time; who leaves some for it looks
//! afterwards whether it is idle. So one of the two sees the other.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::primitives::{AtomicU64, fence};

/// The dispatchers that wait or are about to, as bits by CPU.
#[derive(Debug)]
pub struct Idle(AtomicU64);

impl Idle {
    /// The word `none`, which is zero.
    pub const fn new(none: AtomicU64) -> Self {
        Self(none)
    }

    /// The dispatchers that are idle, or were a moment ago.
    #[inline(always)]
    pub fn all(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The dispatcher `bit` has found nothing to do. If `is_quiet` finds nothing either, it waits by `wait`,
    /// which comes back when somebody wakes it.
    pub fn wait(&self, bit: u64, is_quiet: impl FnOnce() -> bool, wait: impl FnOnce()) {
        self.0.fetch_or(bit, SeqCst);
        fence(SeqCst);
        if is_quiet() {
            wait();
        }
        self.0.fetch_and(!bit, SeqCst);
    }

    /// Whether the dispatcher `bit` is idle, asked by whoever has left something for it: if not, that is
    /// found before it waits.
    pub fn has(&self, bit: u64) -> bool {
        fence(SeqCst);
        self.0.load(Relaxed) & bit != 0
    }

    /// Takes a dispatcher that is idle, which the caller wakes; the next who has work takes another.
    pub fn take_one(&self) -> Option<u32> {
        let idle = self.0.load(SeqCst);
        let cpu = idle.trailing_zeros();
        let bit = 1u64.checked_shl(cpu)?;
        (self.0.fetch_and(!bit, SeqCst) & bit != 0).then_some(cpu)
    }

    /// Takes the dispatcher `bit`, for which something was left and which the caller wakes in any case.
    pub fn take(&self, bit: u64) {
        fence(SeqCst);
        self.0.fetch_and(!bit, SeqCst);
    }
}
