//! Whether messages of several senders arrive in the order in which they were sent.

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicBool, AtomicU64};

use kiln_object::Error;

/// What has arrived of each sender. They number their messages from 0, and may begin again with 0.
pub struct Order<const SENDERS: usize> {
    next: [AtomicU64; SENDERS],
    is_kept: AtomicBool,
}

impl<const SENDERS: usize> Order<SENDERS> {
    /// Nothing yet.
    #[allow(clippy::new_without_default, reason = "it is a static")]
    pub const fn new() -> Self {
        Self {
            next: [const { AtomicU64::new(0) }; SENDERS],
            is_kept: AtomicBool::new(true),
        }
    }

    /// Notes that the message `number` of `sender` has arrived.
    ///
    /// # Errors
    /// `BadArgument` if there is no such sender.
    pub fn note(&self, sender: u64, number: u64) -> Result<(), Error> {
        let next = self.next.get(sender as usize).ok_or(Error::BadArgument)?;
        if next.swap(number + 1, SeqCst) != number && number != 0 {
            self.is_kept.store(false, SeqCst);
        }
        Ok(())
    }

    /// How many messages came, of all senders since each began.
    ///
    /// # Errors
    /// `BadAnswer` if one's were out of order.
    pub fn noted(&self) -> Result<u64, Error> {
        if !self.is_kept.load(SeqCst) {
            return Err(Error::BadAnswer);
        }
        Ok(self.next.iter().map(|number| number.load(SeqCst)).sum())
    }
}
