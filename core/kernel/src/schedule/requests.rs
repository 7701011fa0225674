//! The word by which processors ask each other for something.
//!
//! Who asks for what nobody has asked for yet interrupts the processor, unless that looks at the word all
//! the time. So before it halts, with interrupts put off, it has seen the request or will be
//! interrupted. `tests/attention_model.rs` has all interleavings.

use super::primitives::{AtomicU32, Ordering};

/// In the word: the processor has nothing to do and looks at the word all the time, so that who asks need
/// not interrupt it.
const POLLING: u32 = 1 << 31;

/// What others ask of a processor, as bits, so that asking twice is asking once.
#[derive(Debug)]
pub struct Requests(AtomicU32);

impl Requests {
    /// None.
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Asks for what `bit` means; whoever then is not on that processor has to interrupt it if this is true.
    #[must_use]
    pub fn add(&self, bit: u32) -> bool {
        self.0.fetch_or(bit, Ordering::SeqCst) & (bit | POLLING) == 0
    }

    /// Whether there may be some.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Takes all. What they are about was there before.
    #[inline(always)]
    pub fn take_all(&self) -> u32 {
        self.0.swap(0, Ordering::SeqCst)
    }

    /// Takes one back, and answers whether it was there.
    pub fn take(&self, bit: u32) -> bool {
        self.0.load(Ordering::Relaxed) & bit != 0
            && self.0.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Looks `times` times whether others ask for something; false if they did not, and who does from now
    /// on interrupts.
    #[inline(always)]
    pub fn poll(&self, times: u32, pause: impl Fn()) -> bool {
        let begins = self
            .0
            .compare_exchange(0, POLLING, Ordering::SeqCst, Ordering::Relaxed);
        if begins.is_err() {
            return true;
        }
        for _ in 0..times {
            if self.0.load(Ordering::Relaxed) != POLLING {
                break;
            }
            pause();
        }
        self.0.fetch_and(!POLLING, Ordering::SeqCst) != POLLING
    }
}
