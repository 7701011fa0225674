//! Signals that wait for delivery, with what their senders said.
//!
//! Of an ordinary signal one instance waits, of a real-time signal a bounded number; the lowest
//! number goes first.

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{SIGNALS, Signals, bit};
use crate::errno::Errno;
use crate::process::identity::{PROCESS, USER};

/// First real-time signal.
const FIRST_REAL_TIME: u32 = 32;

/// Most instances that wait in all.
const LIMIT: usize = 1024;

/// A `siginfo_t`: signal, error number, code, then what depends on the code.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Information {
    signal: i32,
    error: i32,
    code: i32,
    padding: i32,
    /// Fields from offset 16: an address, or process and user, then a value.
    fields: [u64; 14],
}

impl Information {
    /// As the kernel sends it.
    #[must_use]
    pub const fn kernel(signal: u32) -> Self {
        const SI_KERNEL: i32 = 0x80;
        Self::new(signal, SI_KERNEL)
    }

    /// As `kill` or `tgkill` sends it.
    #[must_use]
    pub const fn from_process(signal: u32, code: i32) -> Self {
        let mut information = Self::new(signal, code);
        information.fields[0] = PROCESS as u64 | (USER as u64) << 32;
        information
    }

    /// As a timer sends it that the program created.
    #[must_use]
    pub const fn timer(signal: u32, timer: i32, overrun: u32, value: u64) -> Self {
        let mut information = Self::new(signal, abi::SI_TIMER);
        information.fields[0] = timer as u32 as u64 | (overrun as u64) << 32;
        information.fields[1] = value;
        information
    }

    /// As a fault at `address` sends it.
    #[must_use]
    pub const fn fault(signal: u32, code: i32, address: u64) -> Self {
        let mut information = Self::new(signal, code);
        information.fields[0] = address;
        information
    }

    const fn new(signal: u32, code: i32) -> Self {
        Self {
            signal: signal as i32,
            error: 0,
            code,
            padding: 0,
            fields: [0; 14],
        }
    }

    /// The signal's number.
    #[must_use]
    pub fn signal(&self) -> u32 {
        self.signal as u32
    }

    /// Why it was sent.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Where the fault was, if the signal stands for one.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        let is_fault = matches!(
            self.signal(),
            abi::SIGSEGV | abi::SIGBUS | abi::SIGILL | abi::SIGFPE | abi::SIGTRAP
        ) && (1..0x80).contains(&self.code);
        is_fault.then_some(self.fields[0])
    }

    /// The timer, its overrun and its value, if a created timer sent the signal.
    #[must_use]
    pub fn of_timer(&self) -> Option<(u32, u32, u64)> {
        let [first, value, ..] = self.fields;
        (self.code == abi::SI_TIMER).then_some((first as u32, (first >> 32) as u32, value))
    }

    /// The same for another signal number.
    #[must_use]
    pub(super) fn with_signal(mut self, signal: u32) -> Self {
        self.signal = signal as i32;
        self
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Pending {
    queue: VecDeque<Information>,
}

impl Pending {
    /// Nothing waits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
        }
    }

    /// Adds an instance.
    ///
    /// # Errors
    /// `EAGAIN` if too many wait.
    pub(super) fn add(&mut self, information: Information, signals: &Signals) -> Result<(), Errno> {
        let signal = information.signal();
        let bit = bit(signal);
        if signal < FIRST_REAL_TIME && signals.waiting.load(Relaxed) & bit != 0 {
            return Ok(());
        }
        if self.queue.len() >= LIMIT {
            return Err(Errno::EAGAIN);
        }
        self.queue.push_back(information);
        signals.waiting.fetch_or(bit, Relaxed);
        Ok(())
    }

    /// Counts more expirations on the signal of a created timer; `None` if none waits, else how many
    /// it counts by now.
    pub(super) fn add_overrun(&mut self, signal: u32, timer: i32, times: u64) -> Option<u64> {
        let waiting = self.queue.iter_mut().find(|waiting| {
            (waiting.signal(), waiting.code) == (signal, abi::SI_TIMER)
                && waiting.fields[0] as i32 == timer
        })?;
        let overrun = (waiting.fields[0] >> 32).saturating_add(times);
        let overrun = overrun.min(i32::MAX as u64);
        waiting.fields[0] = waiting.fields[0] & u64::from(u32::MAX) | overrun << 32;
        Some(overrun)
    }

    /// Takes the first instance of the lowest signal in `wanted`.
    pub(super) fn take(&mut self, wanted: u64, signals: &Signals) -> Option<Information> {
        let ready = signals.waiting.load(Relaxed) & wanted;
        if ready == 0 {
            return None;
        }
        let signal = ready.trailing_zeros() + 1;
        let is_it = |information: &Information| information.signal() == signal;
        let place = self.queue.iter().position(is_it);
        let taken = place.and_then(|place| self.queue.remove(place));
        if !self.queue.iter().any(is_it) {
            signals.waiting.fetch_and(!bit(signal), Relaxed);
        }
        taken
    }

    /// Drops all instances of a signal.
    pub(super) fn drop_all(&mut self, signal: u32, signals: &Signals) {
        self.queue
            .retain(|information| information.signal() != signal);
        signals.waiting.fetch_and(!bit(signal), Relaxed);
    }
}

const _: () = assert!(size_of::<Information>() == 128);
const _: () = assert!(SIGNALS == abi::_NSIG);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_signal_goes_first_and_ordinary_ones_wait_once() {
        let signals = Signals::new();
        let mut pending = Pending::new();
        for signal in [34, 15, 34, 15, 2] {
            pending.add(Information::kernel(signal), &signals).unwrap();
        }
        let mut order = alloc::vec::Vec::new();
        while let Some(information) = pending.take(!bit(2), &signals) {
            order.push(information.signal());
        }
        assert_eq!(order, [15, 34, 34]);
        assert_eq!(signals.waiting.load(Relaxed), bit(2));
        pending.drop_all(2, &signals);
        assert!(pending.take(!0, &signals).is_none());
    }

    #[test]
    fn a_timer_has_one_signal_that_counts() {
        let signals = Signals::new();
        let mut pending = Pending::new();
        assert_eq!(pending.add_overrun(40, 3, 1), None);
        let information = Information::timer(40, 3, 2, 9);
        pending.add(information, &signals).unwrap();
        assert_eq!(pending.add_overrun(40, 4, 1), None);
        assert_eq!(pending.add_overrun(40, 3, 5), Some(7));
        assert_eq!(pending.add_overrun(40, 3, u64::MAX), Some(i32::MAX as u64));
        let taken = pending.take(!0, &signals).unwrap();
        assert_eq!(taken.fields[..2], [3 | (i32::MAX as u64) << 32, 9]);
        assert!(pending.take(!0, &signals).is_none());
    }

    #[test]
    fn the_queue_is_bounded() {
        let signals = Signals::new();
        let mut pending = Pending::new();
        for _ in 0..LIMIT {
            pending.add(Information::kernel(40), &signals).unwrap();
        }
        let result = pending.add(Information::kernel(40), &signals);
        assert_eq!(result, Err(Errno::EAGAIN));
    }
}
