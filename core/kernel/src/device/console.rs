//! The program's console: bytes to a device, and bytes from it through a bounded ring.
//!
//! The ring is filled by a device's interrupt and emptied by whoever reads the console, perhaps on
//! another processor. A full ring is not an error: the device is left holding the bytes (a pipe
//! behind it then waits) and is told when there is room. Only bytes that the device itself dropped
//! set the overflow mark.

use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use spin::{Mutex, Once};

/// A device that can be the console.
pub trait ConsoleDevice: Sync {
    /// Sends bytes in order; returns how many were taken. Waits for a bounded time only.
    fn write(&self, bytes: &[u8]) -> usize;

    /// There is room in the ring again: deliver what the device holds.
    fn resume(&self);

    /// Waits, for a bounded time, until everything has left the device.
    fn drain(&self);
}

/// Bytes that can wait for a reader.
pub const RING_BYTES: usize = 1024;

struct Ring {
    bytes: [u8; RING_BYTES],
    first: usize,
    used: usize,
}

impl Ring {
    fn push(&mut self, byte: u8) -> bool {
        if self.used == RING_BYTES {
            return false;
        }
        self.bytes[(self.first + self.used) % RING_BYTES] = byte;
        self.used += 1;
        true
    }

    fn pop(&mut self) -> Option<u8> {
        if self.used == 0 {
            return None;
        }
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % RING_BYTES;
        self.used -= 1;
        Some(byte)
    }
}

static DEVICE: Once<&'static dyn ConsoleDevice> = Once::new();
static RING: Mutex<Ring> = Mutex::new(Ring {
    bytes: [0; RING_BYTES],
    first: 0,
    used: 0,
});
static WITHHELD: AtomicBool = AtomicBool::new(false);
static OVERFLOWED: AtomicBool = AtomicBool::new(false);
static NOTIFY: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Makes a device the console; the first one stays.
pub fn register(device: &'static dyn ConsoleDevice) {
    DEVICE.call_once(|| device);
}

/// Whether there is a console.
pub fn is_present() -> bool {
    DEVICE.is_completed()
}

/// Sends bytes; returns how many the device took. Without a console all are taken and lost.
pub fn write(bytes: &[u8]) -> usize {
    DEVICE
        .get()
        .map_or(bytes.len(), |device| device.write(bytes))
}

/// Waits, for a bounded time, until everything written has left the machine.
pub fn drain() {
    if let Some(device) = DEVICE.get() {
        device.drain();
    }
}

/// Calls `hook` in interrupt context whenever bytes have arrived.
pub fn on_receive(hook: fn()) {
    NOTIFY.store(hook as *mut (), Ordering::Release);
}

/// Takes bytes that have arrived; returns how many. 0: none are there now.
pub fn read(into: &mut [u8]) -> usize {
    let mut ring = RING.lock();
    let mut count = 0;
    for place in into.iter_mut() {
        let Some(byte) = ring.pop() else { break };
        *place = byte;
        count += 1;
    }
    drop(ring);
    if count > 0
        && WITHHELD.swap(false, Ordering::AcqRel)
        && let Some(device) = DEVICE.get()
    {
        device.resume();
    }
    count
}

/// Bytes waiting to be read.
pub fn pending() -> usize {
    RING.lock().used
}

/// Whether the device has dropped bytes since this was last asked.
pub fn take_overflow() -> bool {
    OVERFLOWED.swap(false, Ordering::Relaxed)
}

/// What became of the bytes that a device had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Some bytes were taken: call [`notify`] once the device's own lock is free.
    pub any: bool,
    /// The ring is full: the device keeps the rest until [`ConsoleDevice::resume`].
    pub full: bool,
}

/// For a device's interrupt: moves bytes from `next` into the ring until either is exhausted.
pub fn receive(mut next: impl FnMut() -> Option<u8>) -> Received {
    let mut ring = RING.lock();
    let mut any = false;
    loop {
        if ring.used == RING_BYTES {
            WITHHELD.store(true, Ordering::Release);
            return Received { any, full: true };
        }
        let Some(byte) = next() else {
            return Received { any, full: false };
        };
        any |= ring.push(byte);
    }
}

/// For a device's interrupt: tells the reader that bytes have arrived.
pub fn notify() {
    let hook = NOTIFY.load(Ordering::Acquire);
    if !hook.is_null() {
        // SAFETY: only `on_receive` stores here, and only function pointers of this type.
        unsafe { core::mem::transmute::<*mut (), fn()>(hook)() };
    }
}

/// For a device: bytes were lost in hardware.
pub fn overflow() {
    OVERFLOWED.store(true, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    static RESUMED: AtomicUsize = AtomicUsize::new(0);
    static NOTIFIED: AtomicUsize = AtomicUsize::new(0);

    struct Quiet;

    impl ConsoleDevice for Quiet {
        fn write(&self, bytes: &[u8]) -> usize {
            bytes.len().min(16)
        }
        fn resume(&self) {
            RESUMED.fetch_add(1, Ordering::Relaxed);
        }
        fn drain(&self) {}
    }

    /// One test, since the console is one.
    #[test]
    fn bytes_keep_their_order_and_a_full_ring_holds_the_device_back() {
        register(&Quiet);
        on_receive(|| {
            NOTIFIED.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(write(&[0; 40]), 16);

        let mut source = (0..1500_u32).map(|number| number as u8);
        assert!(receive(|| source.next()).full);
        notify();
        assert_eq!(pending(), RING_BYTES);
        let mut into = [0; 600];
        assert_eq!(read(&mut into), 600);
        assert_eq!(RESUMED.load(Ordering::Relaxed), 1);
        let received = receive(|| source.next());
        assert!(received.any && !received.full);
        assert_eq!(NOTIFIED.load(Ordering::Relaxed), 1);
        let mut rest = [0; 1000];
        assert_eq!(read(&mut rest), 900);
        assert_eq!(RESUMED.load(Ordering::Relaxed), 1);
        let expected = (0..1500_u32).map(|number| number as u8);
        assert!(into.iter().chain(&rest[..900]).copied().eq(expected));
        assert_eq!(read(&mut rest), 0);

        assert!(!take_overflow());
        overflow();
        assert!(take_overflow());
        assert!(!take_overflow());
    }
}
