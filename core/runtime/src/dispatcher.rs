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

/// The free word that holds the scheduler of this dispatcher, zero before it has one.
pub const SCHEDULER: usize = 1;

/// The free word that holds the same while the common case is one, else zero.
pub const QUICK: usize = 2;

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

/// The number of the processor that runs this code.
#[must_use]
#[inline(always)]
pub fn cpu() -> u32 {
    source::cpu()
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

/// Puts soft interrupts off until as many [`enable`] as `disable`: the running thread is not stopped
/// and goes on on this dispatcher. A section so guarded is short and never waits.
#[inline(always)]
pub fn disable() {
    source::disable();
}

/// Ends a section that [`disable`] began; what became pending in the outermost is seen to.
#[inline(always)]
pub fn enable() {
    source::enable();
}

/// As [`enable`], but leaves what is pending to the next who looks.
#[inline(always)]
pub(crate) fn enable_quietly() {
    source::enable_quietly();
}

/// The word `INDEX` of this dispatcher, in one instruction: also right for a thread that may be
/// stopped and go on elsewhere, if what the word says is about the thread.
#[inline(always)]
pub(crate) fn load_word<const INDEX: usize>() -> usize {
    source::load_word::<INDEX>()
}

/// Sets the word `INDEX` of this dispatcher.
#[inline(always)]
pub(crate) fn store_word<const INDEX: usize>(value: usize) {
    source::store_word::<INDEX>(value);
}

const _: () = assert!(offset_of!(DispatcherPage, trap) == RUNTIME + 8 * RUNTIME_WORDS);

/// In the kernel nothing interrupts, so there is nothing to be kept from it; and there are no threads.
#[cfg(kiln_kernel)]
mod source {
    use super::DispatcherPage;

    const NONE: &str =
        "a server that lives in the kernel has no dispatcher: it can have no threads";

    #[inline(always)]
    pub fn disable() {}

    #[inline(always)]
    pub fn enable() {}

    #[inline(always)]
    pub fn enable_quietly() {}

    pub fn cpu() -> u32 {
        crate::kernel_home::processor()
    }

    pub fn load_word<const INDEX: usize>() -> usize {
        panic!("{NONE}")
    }

    pub fn store_word<const INDEX: usize>(_value: usize) {
        panic!("{NONE}")
    }

    pub fn page() -> &'static DispatcherPage {
        panic!("{NONE}")
    }
}

#[cfg(all(kiln_freestanding, not(kiln_kernel)))]
mod source {
    use core::arch::asm;
    use core::mem::offset_of;

    use super::{DispatcherPage, word_offset};

    #[inline(always)]
    pub fn disable() {
        // SAFETY: adds one to a word of the page, of which only this dispatcher's code makes use.
        unsafe {
            asm!("inc dword ptr gs:[{}]", const offset_of!(DispatcherPage, disabled), options(nostack));
        }
    }

    #[inline(always)]
    pub fn enable() {
        // SAFETY: as in `disable`; the page is read only otherwise.
        unsafe {
            asm!(
                "dec dword ptr gs:[{disabled}]",
                "cmp qword ptr gs:[{pending}], 0",
                "jne {look}",
                disabled = const offset_of!(DispatcherPage, disabled),
                pending = const offset_of!(DispatcherPage, pending),
                look = label { crate::thread::look_at_pending() },
                options(nostack),
            );
        }
    }

    #[inline(always)]
    pub fn enable_quietly() {
        // SAFETY: as in `disable`.
        unsafe {
            asm!("dec dword ptr gs:[{}]", const offset_of!(DispatcherPage, disabled), options(nostack));
        }
    }

    #[inline(always)]
    pub fn load_word<const INDEX: usize>() -> usize {
        let value;
        // SAFETY: reads the page, which stays for as long as the process lives.
        unsafe {
            asm!(
                "mov {}, gs:[{}]",
                out(reg) value,
                const word_offset(INDEX),
                options(nostack, readonly, preserves_flags),
            );
        }
        value
    }

    #[inline(always)]
    pub fn store_word<const INDEX: usize>(value: usize) {
        // SAFETY: writes a word of the page, which stays for as long as the process lives.
        unsafe {
            asm!(
                "mov gs:[{}], {}",
                const word_offset(INDEX),
                in(reg) value,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    pub fn cpu() -> u32 {
        let number: u32;
        // SAFETY: the user GS base is the page, which stays for as long as the process lives.
        unsafe {
            core::arch::asm!(
                "mov {:e}, gs:[{}]",
                out(reg) number,
                const core::mem::offset_of!(DispatcherPage, cpu),
                options(nostack, readonly, preserves_flags),
            );
        }
        number
    }

    #[inline(always)]
    pub fn page() -> &'static DispatcherPage {
        let address: *const DispatcherPage;
        // SAFETY: the user GS base is the page and its first word is its own address; the page stays
        // for as long as the process lives and holds atomics only.
        unsafe {
            asm!(
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
    use core::sync::atomic::Ordering::Relaxed;
    use std::boxed::Box;

    use super::DispatcherPage;

    pub fn disable() {
        page().attention().disable();
    }

    pub fn enable() {
        page()
            .attention()
            .enable(|| crate::thread::look_at_pending());
    }

    pub fn enable_quietly() {
        page().attention().enable_quietly();
    }

    pub fn store_word<const INDEX: usize>(value: usize) {
        page().runtime[INDEX].store(value as u64, Relaxed);
    }

    pub fn load_word<const INDEX: usize>() -> usize {
        page().runtime[INDEX].load(Relaxed) as usize
    }

    std::thread_local! {
        // Every thread of the host plays a dispatcher of its own.
        static PAGE: &'static DispatcherPage = Box::leak(Box::default());
    }

    pub fn cpu() -> u32 {
        page().cpu.load(core::sync::atomic::Ordering::Relaxed)
    }

    pub fn page() -> &'static DispatcherPage {
        PAGE.with(|page| *page)
    }
}
