//! The page shared with the kernel, and who uses which of its free words.

use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use kiln_object::dispatcher::{DispatcherPage, RUNTIME};

/// Free words of the page that this crate uses: [`word`] from here on is the personality's.
pub const PERSONALITY_WORDS: usize = 8;

/// Free words of the page in all; words `PERSONALITY_WORDS..RUNTIME_WORDS` are the personality's.
pub const RUNTIME_WORDS: usize = 56;

/// The free word that holds the running thread of [`thread`](crate::thread).
pub const CURRENT_THREAD: usize = 0;

/// The offset from the user GS base of the free word `index`, for assembly.
#[must_use]
pub const fn word_offset(index: usize) -> usize {
    assert!(index < RUNTIME_WORDS);
    RUNTIME + 8 * index
}

/// The page of the dispatcher that runs this code.
#[must_use]
#[inline(always)]
pub fn page() -> &'static DispatcherPage {
    source::page()
}

/// The free word `index` of the page of the dispatcher that runs this code.
///
/// # Panics
/// If there is no such word.
#[must_use]
#[inline(always)]
pub fn word(index: usize) -> &'static AtomicU64 {
    &page().runtime[index]
}

const _: () = assert!(offset_of!(DispatcherPage, trap) == RUNTIME + 8 * RUNTIME_WORDS);

#[cfg(kiln_freestanding)]
mod source {
    use super::DispatcherPage;

    #[inline(always)]
    pub fn page() -> &'static DispatcherPage {
        let address: *const DispatcherPage;
        // SAFETY: the user GS base is the page and its first word is its own address; the page stays
        // for as long as the process lives and holds atomics only.
        unsafe {
            core::arch::asm!(
                "mov {}, gs:[0]",
                out(reg) address,
                options(nostack, readonly, preserves_flags),
            );
            &*address
        }
    }
}

#[cfg(not(kiln_freestanding))]
mod source {
    use std::boxed::Box;

    use super::DispatcherPage;

    std::thread_local! {
        // Every thread of the host plays a dispatcher of its own.
        static PAGE: &'static DispatcherPage = Box::leak(Box::default());
    }

    pub fn page() -> &'static DispatcherPage {
        PAGE.with(|page| *page)
    }
}
