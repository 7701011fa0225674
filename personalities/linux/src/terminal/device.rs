//! The machine's console under the terminal.

#[cfg(test)]
pub use fake::{announced, raise, read, write};
#[cfg(not(test))]
pub use real::{announced, raise, read, write};

#[cfg(not(test))]
mod real {
    use core::sync::atomic::Ordering;

    use kiln_interface::kernel::Console as _;
    use kiln_object::Error;
    use kiln_object::call::MESSAGE_BYTES;
    use kiln_object::dispatcher::soft_interrupt;
    use kiln_runtime::time;

    use crate::errno::Errno;

    /// Whether the kernel said that there is input; asking takes the announcement back.
    pub fn announced() -> bool {
        let pending = &kiln_runtime::dispatcher::page().pending;
        pending.load(Ordering::Relaxed) & soft_interrupt::CONSOLE != 0
            && pending.fetch_and(!soft_interrupt::CONSOLE, Ordering::AcqRel)
                & soft_interrupt::CONSOLE
                != 0
    }

    /// What was typed; `None` if nothing is there, in which case it will be announced.
    pub fn read(piece: &mut [u8]) -> Option<&[u8]> {
        match kiln_runtime::console().read(piece) {
            Ok(count) if count > 0 => piece.get(..count),
            _ => None,
        }
    }

    /// How long to let a line drain that takes no more, in ns: some tens of bytes at 115,200 baud.
    const DRAIN_NS: u64 = 1_000_000;

    /// Writes all of `bytes`, waiting for a line that is slower than the program.
    pub fn write(bytes: &[u8]) -> Result<(), Errno> {
        for piece in bytes.chunks(MESSAGE_BYTES) {
            let mut rest = piece;
            while !rest.is_empty() {
                match kiln_runtime::console().write(rest) {
                    Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                    Err(Error::WouldBlock) => {
                        kiln_runtime::thread::sleep_until(time::monotonic_ns() + DRAIN_NS);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
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
