//! The kernel's own messages, apart from what the program prints.
//!
//! Lines go to one channel, whichever device registered for it: the debug console if there is one,
//! else the serial line. Each line says what it is in a prefix that the host side of `kiln run`
//! sorts by: `kiln:info:`, `kiln:warning:`, `kiln:error:`, `kiln:exit:`. Before a channel is registered, and
//! without one, lines are lost.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

/// Takes the bytes of a line; must not wait without bound and must not log.
pub type Channel = fn(&[u8]);

/// How good a channel is: the best one registered is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// Shared with the program's console.
    Shared = 1,
    /// For these messages alone.
    Own = 2,
}

static CHANNEL: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static CHANNEL_RANK: AtomicU8 = AtomicU8::new(0);
static BUSY: AtomicBool = AtomicBool::new(false);

/// How long a line waits for another processor's line before it is printed all the same: a
/// processor that was stopped while printing must not silence the rest.
const PATIENCE: u32 = 1_000_000;

/// Uses `channel` from now on unless a better one is registered.
pub fn register(channel: Channel, rank: Rank) {
    if CHANNEL_RANK.load(Ordering::Relaxed) < rank as u8 {
        CHANNEL.store(channel as *mut (), Ordering::Release);
        CHANNEL_RANK.store(rank as u8, Ordering::Relaxed);
    }
}

fn channel() -> Option<Channel> {
    let channel = CHANNEL.load(Ordering::Acquire);
    // SAFETY: only `register` stores here, and only function pointers of this type.
    (!channel.is_null()).then(|| unsafe { core::mem::transmute::<*mut (), Channel>(channel) })
}

/// Collects a line so that the channel is called rarely.
struct Line {
    channel: Channel,
    bytes: [u8; 120],
    used: usize,
}

impl Line {
    #[inline(never)]
    fn add(&mut self, text: &[u8]) {
        for &byte in text {
            if self.used == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.used] = byte;
            self.used += 1;
        }
    }

    fn flush(&mut self) {
        (self.channel)(&self.bytes[..self.used]);
        self.used = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

/// Prints one line: `prefix`, the text, a line feed. Callers use the macros.
pub fn line(prefix: &str, text: fmt::Arguments<'_>) {
    write(&mut |line| {
        // The only error would be a formatting implementation's own: the line is then cut short.
        let _ = line.write_str(prefix);
        let _ = line.write_fmt(text);
    });
}

/// Prints one line of a number between two texts, without what formatting takes: every machine says
/// such things when it starts and when it ends.
pub fn number(prefix: &str, number: u64, suffix: &str) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut left = number;
    while let Some(next) = start.checked_sub(1) {
        start = next;
        digits[start] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    write(&mut |line| {
        for part in [prefix.as_bytes(), &digits[start..], suffix.as_bytes()] {
            line.add(part);
        }
    });
}

#[inline(never)]
fn write(text: &mut dyn FnMut(&mut Line)) {
    let Some(channel) = channel() else { return };
    let mut patience = PATIENCE;
    while BUSY.swap(true, Ordering::Acquire) && patience > 0 {
        patience -= 1;
        core::hint::spin_loop();
    }
    let mut line = Line {
        channel,
        bytes: [0; 120],
        used: 0,
    };
    text(&mut line);
    line.add(b"\n");
    line.flush();
    BUSY.store(false, Ordering::Release);
}

/// Logs what happened in the ordinary course of things.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => {
        $crate::log::line("kiln:info:", ::core::format_args!($($text)*))
    };
}

/// Logs what its reader may want to change, or should know of.
#[macro_export]
macro_rules! warning {
    ($($text:tt)*) => {
        $crate::log::line("kiln:warning:", ::core::format_args!($($text)*))
    };
}

/// Logs what went wrong.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => {
        $crate::log::line("kiln:error:", ::core::format_args!($($text)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::vec::Vec;

    static SHARED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static OWN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    #[test]
    fn lines_go_to_the_best_channel_whole() {
        register(|bytes| SHARED.lock().unwrap().extend(bytes), Rank::Shared);
        crate::info!("first {}", 1);
        register(|bytes| OWN.lock().unwrap().extend(bytes), Rank::Own);
        register(|bytes| SHARED.lock().unwrap().extend(bytes), Rank::Shared);
        crate::error!("{:>200}", "end");
        for count in [0, 42, u64::MAX] {
            number("kiln:info:", count, " us");
        }
        assert_eq!(*SHARED.lock().unwrap(), b"kiln:info:first 1\n");
        let own = OWN.lock().unwrap().clone();
        let numbers = b"kiln:info:0 us\nkiln:info:42 us\nkiln:info:18446744073709551615 us\n";
        let own = own.strip_suffix(numbers).unwrap();
        assert_eq!(own.len(), "kiln:error:".len() + 200 + 1);
        assert!(own.ends_with(b" end\n"));
    }
}
