//! The machine's console under the terminal.

#[cfg(test)]
pub use fake::{announced, raise, read, write};
#[cfg(not(test))]
pub use real::{announced, raise, read, write};

#[cfg(not(test))]
mod real {
    use core::sync::atomic::Ordering;

    use kiln_interface::kernel::{Console as _, Process as _};
    use kiln_object::Error;
    use kiln_object::call::MESSAGE_BYTES;
    use kiln_object::dispatcher::soft_interrupt;
    use kiln_runtime::time;

    use crate::errno::Errno;

    /// Whether the kernel said that there is input; asking takes the announcement back.
    pub fn announced() -> bool {
        take_pending(soft_interrupt::CONSOLE) != 0
    }

    /// Takes soft interrupts back; those of `bits` that were pending.
    fn take_pending(bits: u64) -> u64 {
        let pending = &kiln_runtime::dispatcher::page().pending;
        if pending.load(Ordering::Relaxed) & bits == 0 {
            return 0;
        }
        pending.fetch_and(!bits, Ordering::AcqRel) & bits
    }

    /// What was typed; `None` if nothing is there, in which case it will be announced.
    pub fn read(piece: &mut [u8]) -> Option<&[u8]> {
        match kiln_runtime::console().read(piece) {
            Ok(count) if count > 0 => piece.get(..count),
            _ => None,
        }
    }

    /// How long to wait, in ns, for the kernel to tell that there is room: it always does, so this
    /// is for the case that it is wrong.
    const FALLBACK_NS: u64 = 100_000_000;

    /// Writes all of `bytes`, waiting for a line that is slower than the program.
    pub fn write(bytes: &[u8]) -> Result<(), Errno> {
        let mut put_aside = 0;
        let mut rest = bytes;
        let mut done = Ok(());
        while !rest.is_empty() && done.is_ok() {
            let piece = rest.get(..MESSAGE_BYTES).unwrap_or(rest);
            match kiln_runtime::console().write(piece) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Error::WouldBlock) => done = wait_for_room(&mut put_aside),
                Err(error) => done = Err(error.into()),
            }
        }
        if put_aside != 0 {
            put_back(put_aside);
        }
        done
    }

    /// Makes what was put aside pending again, so that whoever looks for it next still finds it. That
    /// there is room concerns nobody any more and must not end another wait.
    #[cold]
    fn put_back(put_aside: u64) {
        take_pending(soft_interrupt::CONSOLE_OUTPUT);
        kiln_runtime::dispatcher::page().pending.fetch_or(
            put_aside & !soft_interrupt::CONSOLE_OUTPUT,
            Ordering::AcqRel,
        );
    }

    /// Waits until the kernel says that the console takes bytes again. What else it says would end
    /// the wait at once and is put aside.
    #[cold]
    fn wait_for_room(put_aside: &mut u64) -> Result<(), Errno> {
        let told = take_pending(!0);
        *put_aside |= told | soft_interrupt::CONSOLE_OUTPUT;
        if told & soft_interrupt::CONSOLE_OUTPUT == 0 {
            kiln_runtime::process().wait(time::monotonic_ns().saturating_add(FALLBACK_NS))?;
        }
        Ok(())
    }

    /// Sends a typed signal to the program.
    pub fn raise(signal: i32) {
        crate::signal::send_from_terminal(signal);
    }
}

#[cfg(test)]
pub mod fake {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::vec::Vec;

    use crate::errno::Errno;

    std::thread_local! {
        pub static TYPED: RefCell<VecDeque<u8>> = const { RefCell::new(VecDeque::new()) };
        pub static SHOWN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        pub static RAISED: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
    }

    pub fn announced() -> bool {
        TYPED.with_borrow(|typed| !typed.is_empty())
    }

    pub fn read(piece: &mut [u8]) -> Option<&[u8]> {
        TYPED.with_borrow_mut(|typed| {
            let count = typed.len().min(piece.len());
            for (place, byte) in piece.iter_mut().zip(typed.drain(..count)) {
                *place = byte;
            }
            (count > 0).then(|| &piece[..count])
        })
    }

    pub fn write(bytes: &[u8]) -> Result<(), Errno> {
        SHOWN.with_borrow_mut(|shown| shown.extend(bytes));
        Ok(())
    }

    pub fn raise(signal: i32) {
        RAISED.with_borrow_mut(|raised| raised.push(signal));
    }
}
