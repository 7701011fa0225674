//! How the kernel gets a dispatcher's attention: the words of the shared page that both sides use.
//!
//! The kernel makes something pending, and then announces it: it ends a wait, or looks on its way out of an
//! interrupt whether it may stop the dispatcher. The dispatcher takes what is pending, and then looks at what
//! that stands for; it lets itself be stopped again, and then looks whether something is pending. So
//! nothing is missed. Where there are instructions in place of these functions (`switch.rs`, `stop.rs`,
//! `quick.rs` and `dispatcher.rs` of the runtime), they do the same in the same order.
//! `core/kernel/tests/attention_model.rs` has all interleavings.

use super::primitives::{AtomicU32, AtomicU64, Ordering};

/// The words; a view of a dispatcher's page, or of a model's.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Soft interrupts not yet taken.
    pub pending: &'a AtomicU64,
    /// Not zero where code must not be stopped.
    pub disabled: &'a AtomicU32,
    /// Not zero if code in the system's range may be stopped as well.
    pub preemptible: &'a AtomicU64,
    /// 1 while the context of what was stopped, or trapped, lies in the page.
    pub active: &'a AtomicU64,
}

/// The kernel's side. It believes nothing: a process that spoils its words is stopped too often, or never.
impl Attention<'_> {
    /// Makes `bits` pending; `announce` has the dispatcher's processor look.
    #[inline(always)]
    pub fn raise(self, bits: u64, announce: impl FnOnce()) {
        self.pending.fetch_or(bits, Ordering::AcqRel);
        announce();
    }

    /// What is pending. It ends a wait if it is not zero.
    #[inline(always)]
    #[must_use]
    pub fn pending(self) -> u64 {
        self.pending.load(Ordering::Acquire)
    }

    /// Whether the dispatcher is stopped for what is pending; for `foreign` alone if it does not let code in
    /// the system's range be stopped.
    #[inline(always)]
    #[must_use]
    pub fn is_to_be_told(self, foreign: u64) -> bool {
        let pending = self.pending();
        let counts = if self.is_preemptible() { !0 } else { foreign };
        pending & counts != 0
    }

    /// Whether the dispatcher lets code be stopped that is in the system's range, or is not.
    #[inline(always)]
    #[must_use]
    pub fn may_be_stopped(self, in_system: bool) -> bool {
        (!in_system || self.is_preemptible()) && self.disabled.load(Ordering::Acquire) == 0
    }

    /// Takes the place for a context; false if there is one in it. Whoever has it fills the place and goes
    /// on at the trap entry.
    #[inline(always)]
    #[must_use]
    pub fn take_save_area(self) -> bool {
        self.active.swap(1, Ordering::Relaxed) == 0
    }

    /// The context was copied, or goes on.
    #[inline(always)]
    pub fn leave_save_area(self) {
        self.active.store(0, Ordering::Relaxed);
    }
}

/// The dispatcher's side. Nobody else runs code on its processor meanwhile but the kernel, which stops it.
impl Attention<'_> {
    /// Lets code in the system's range be stopped from now on.
    pub fn allow(self) {
        self.preemptible.store(1, Ordering::Relaxed);
    }

    /// Whether code in the system's range may be stopped.
    #[inline(always)]
    #[must_use]
    pub fn is_preemptible(self) -> bool {
        self.preemptible.load(Ordering::Acquire) != 0
    }

    /// Begins a section in which the dispatcher is not stopped. Sections nest.
    #[inline(always)]
    pub fn disable(self) {
        self.disabled.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends a section; `look` sees to what came meanwhile, if anything did.
    #[inline(always)]
    pub fn enable(self, look: impl FnOnce()) {
        self.enable_quietly();
        if self.pending.load(Ordering::Relaxed) != 0 {
            look();
        }
    }

    /// Ends a section and does not look.
    #[inline(always)]
    pub fn enable_quietly(self) {
        self.disabled.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether this is in such a section.
    #[inline(always)]
    #[must_use]
    pub fn is_disabled(self) -> bool {
        self.disabled.load(Ordering::Relaxed) != 0
    }

    /// What the dispatcher sees to itself: everything if its threads may be stopped, else `always`, and the
    /// rest is somebody else's.
    #[inline(always)]
    #[must_use]
    pub fn wanted(self, always: u64) -> u64 {
        if self.preemptible.load(Ordering::Relaxed) != 0 {
            !0
        } else {
            always
        }
    }

    /// Whether anything is pending of which the dispatcher wants to know.
    #[inline(always)]
    #[must_use]
    pub fn has_news(self, always: u64) -> bool {
        self.pending() & self.wanted(always) != 0
    }

    /// Takes what is pending and wanted; `look` finds what it stands for, and what comes later is pending
    /// again.
    #[inline(always)]
    pub fn take<R>(self, always: u64, look: impl FnOnce(u64) -> R) -> R {
        let wanted = self.wanted(always);
        let bits = self.pending.fetch_and(!wanted, Ordering::AcqRel) & wanted;
        look(bits)
    }
}
