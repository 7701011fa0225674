//! The stages of a process's life, and which CPUs wait for the next one.
//!
//! One word says the stage, so that of several that end a process one does, and whoever waits for what
//! comes next has one thing to look at. Who waits notes its CPU first and looks again then; who
//! changes the stage does so first and looks then who is noted: one of the two sees the other.

use super::primitives::{AtomicU32, AtomicU64, Ordering, fence};

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// It runs, and has not said that it takes calls.
    Starting = 0,
    /// It takes calls.
    Ready = 1,
    /// It is empty until somebody calls it.
    OnCall = 2,
    /// Somebody called it, and it is not ready yet.
    Called = 3,
    /// It has ended, and what comes after is not settled yet.
    Ending = 4,
    /// It has ended for good.
    Ended = 5,
}

/// A process's life.
#[derive(Debug)]
pub struct Life {
    stage: AtomicU32,
    /// CPUs on which somebody waited once, as bits. They stay noted: to be woken for nothing is rare
    /// and cheap, and a bit that is taken back could be another's that waits by then.
    waiting: AtomicU64,
}

impl Life {
    /// That of a process which starts.
    pub fn new() -> Self {
        Self {
            stage: AtomicU32::new(Stage::Starting as u32),
            waiting: AtomicU64::new(0),
        }
    }

    /// Whether it is at `stage`.
    #[inline(always)]
    pub fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::SeqCst) == stage as u32
    }

    /// Whether it has ended, for good or not.
    #[inline(always)]
    pub fn has_ended(&self) -> bool {
        self.stage.load(Ordering::SeqCst) >= Stage::Ending as u32
    }

    /// Whether somebody else is about to bring the next stage: it makes itself ready, or it is found out
    /// what comes after its end.
    pub fn is_changing(&self) -> bool {
        let stage = self.stage.load(Ordering::SeqCst);
        stage == Stage::Called as u32 || stage == Stage::Ending as u32
    }

    /// Goes from one stage to another; false if it is not at the first.
    pub fn advance(&self, from: Stage, to: Stage) -> bool {
        self.stage
            .compare_exchange(from as u32, to as u32, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Ends it; false if it had ended before.
    pub fn end(&self) -> bool {
        let mut stage = self.stage.load(Ordering::SeqCst);
        while stage < Stage::Ending as u32 {
            match self.stage.compare_exchange(
                stage,
                Stage::Ending as u32,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return true,
                Err(now) => stage = now,
            }
        }
        false
    }

    /// Notes that somebody on `cpu` waits while [`Life::is_changing`]; false if there is nothing to wait
    /// for.
    pub fn wait_on(&self, cpu: u32) -> bool {
        self.waiting.fetch_or(1 << cpu, Ordering::Relaxed);
        // With the one in `waiting`: he sees the bit, or this the change.
        fence(Ordering::SeqCst);
        self.is_changing()
    }

    /// The CPUs on which somebody may wait, as bits; asked after a change.
    pub fn waiting(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}
