//! The addresses at which the kernel enters a process.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_object::Error;
use kiln_object::layout::USER_END;

/// Entry points; zero where the process has none.
#[derive(Debug, Default)]
pub struct Entries {
    call: AtomicU64,
    reflected: AtomicU64,
    trap: AtomicU64,
    /// Where calls will enter, once they may.
    held: AtomicU64,
}

impl Entries {
    /// Offset of where calls enter, for the straight line.
    pub(crate) const CALL_OFFSET: usize = core::mem::offset_of!(Entries, call);
    /// Offset of where foreign system calls are reflected to.
    pub(crate) const REFLECTED_OFFSET: usize = core::mem::offset_of!(Entries, reflected);

    /// Sets all three. Addresses outside user space would fault in the kernel on the way out.
    ///
    /// # Errors
    /// `BadArgument` for such an address.
    pub fn set(&self, call: u64, reflected: u64, trap: u64) -> Result<(), Error> {
        if [call, reflected, trap]
            .iter()
            .any(|entry| *entry >= USER_END)
        {
            return Err(Error::BadArgument);
        }
        self.call.store(call, Ordering::Release);
        self.reflected.store(reflected, Ordering::Release);
        self.trap.store(trap, Ordering::Release);
        Ok(())
    }

    /// As [`Entries::set`], but calls may not enter before [`Entries::admit`].
    ///
    /// # Errors
    /// As [`Entries::set`].
    pub fn set_and_hold(&self, call: u64, reflected: u64, trap: u64) -> Result<(), Error> {
        if call >= USER_END {
            return Err(Error::BadArgument);
        }
        self.set(0, reflected, trap)?;
        self.held.store(call, Ordering::Release);
        Ok(())
    }

    /// Lets calls in where the last [`Entries::set_and_hold`] said.
    pub fn admit(&self) {
        self.call
            .store(self.held.load(Ordering::Acquire), Ordering::Release);
    }

    /// Where calls enter.
    #[inline(always)]
    #[must_use]
    pub fn call(&self) -> u64 {
        self.call.load(Ordering::Acquire)
    }

    /// Where foreign system calls are reflected to.
    #[inline(always)]
    #[must_use]
    pub fn reflected(&self) -> u64 {
        self.reflected.load(Ordering::Acquire)
    }

    /// Where traps enter.
    #[must_use]
    pub fn trap(&self) -> u64 {
        self.trap.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_addresses_outside_user_space() {
        let entries = Entries::default();
        assert_eq!(entries.set(1 << 47, 0, 0), Err(Error::BadArgument));
        assert_eq!(entries.set(0x1000, USER_END, 0), Err(Error::BadArgument));
        assert_eq!(entries.call(), 0);
        assert_eq!(entries.set(0x1000, 0, 0x2000), Ok(()));
        assert_eq!((entries.call(), entries.trap()), (0x1000, 0x2000));
    }

    #[test]
    fn calls_that_are_held_enter_when_they_are_admitted() {
        let entries = Entries::default();
        let refused = entries.set_and_hold(USER_END, 0, 0);
        assert_eq!(refused, Err(Error::BadArgument));
        assert_eq!(entries.set_and_hold(0x1000, 0, 0x2000), Ok(()));
        assert_eq!((entries.call(), entries.trap()), (0, 0x2000));
        entries.admit();
        assert_eq!(entries.call(), 0x1000);
    }
}
