//! The word that a thread parks on: one token, given at any time, taken by the next park.
//!
//! A thread is parked by whoever runs after it, when its context lies saved: from that moment on
//! another processor may run it. Who finds it parked takes it out of that state alone and makes it
//! ready, so that a thread is never in two queues.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::primitives::AtomicU32;

/// Runs, or will.
pub const EMPTY: u32 = 0;
/// The same, and the next park comes back at once.
pub const TOKEN: u32 = 1;
/// Waits to be unparked.
pub const PARKED: u32 = 2;

/// See the module.
#[derive(Debug)]
pub struct ParkWord(AtomicU32);

impl ParkWord {
    /// The word `state`, which holds [`ParkWord::FIRST_STATE`].
    pub const fn new(state: AtomicU32) -> Self {
        Self(state)
    }

    /// Of a thread that runs and has no token.
    pub const FIRST_STATE: u32 = EMPTY;

    /// Takes the token, if there is one; only the thread itself may.
    #[inline(always)]
    pub fn take_token(&self) -> bool {
        // Nobody but the thread takes a token away, so it is still there for the swap, which sees what
        // the last giver did before, were there several.
        if self.0.load(Relaxed) != TOKEN {
            return false;
        }
        self.0.swap(EMPTY, Acquire);
        true
    }

    /// Whether there is a token, asked after having said that the dispatcher waits: either this sees
    /// the token or its giver sees that.
    pub fn has_token_at_last(&self) -> bool {
        self.0.load(Relaxed) == TOKEN
    }

    /// Parks a thread whose context is saved, in its name. False if it has got the token meanwhile,
    /// which is taken: it must be made ready.
    #[inline(always)]
    pub fn park(&self) -> bool {
        if self
            .0
            .compare_exchange(EMPTY, PARKED, AcqRel, Relaxed)
            .is_ok()
        {
            return true;
        }
        self.0.swap(EMPTY, AcqRel);
        false
    }

    /// Gives the token. True if the thread was parked: the caller makes it ready.
    #[inline(always)]
    pub fn unpark(&self) -> bool {
        if self
            .0
            .compare_exchange(PARKED, EMPTY, AcqRel, Relaxed)
            .is_ok()
        {
            return true;
        }
        // Also where the token is there already: this orders what the caller did before the park that
        // takes it. If the thread parked in between, it comes out of its next park once for nothing.
        self.0.swap(TOKEN, AcqRel) == PARKED
    }
}
