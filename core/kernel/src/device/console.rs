//! The program's console: bytes to a device and from it, each way through a bounded ring.
//!
//! The ring for input is filled by a device's interrupt and emptied by whoever reads the console,
//! perhaps on another processor. A full ring is not an error: the device is left holding the bytes
//! (a pipe behind it then waits) and is told when there is room. Only bytes that the device itself
//! dropped set the overflow mark. The way out is the same, turned round.

mod output;
mod ring;

use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use output::{Fed, LAST_PATIENCE, Output};
use ring::Ring;
use spin::Mutex;

use crate::set_once::SetOnce;

/// A device that can be the console. Nothing here waits.
pub trait ConsoleDevice: Sync {
    /// Sends bytes in order, as many as the device takes now; returns how many.
    ///
    /// One processor calls this at a time, except that the last words of a broken kernel may come
    /// in between.
    fn send(&self, bytes: &[u8]) -> usize;

    /// Bytes wait for the device, which calls [`feed`] once it takes more and from time to time; or
    /// none do any more. Said after every change, and in between.
    fn announce_room(&self, wanted: bool);

    /// Whether [`ConsoleDevice::send`] would take a byte.
    fn has_room(&self) -> bool;

    /// Whether everything sent has left the device.
    fn is_idle(&self) -> bool;

    /// There is room in the ring for input again: deliver what the device holds.
    fn resume(&self);
}

/// Bytes that can wait for a reader.
pub const RING_BYTES: usize = 1024;

static DEVICE: SetOnce<&'static dyn ConsoleDevice> = SetOnce::new();
static OUTPUT: Output = Output::new();
static INPUT: Mutex<Ring<RING_BYTES>> = Mutex::new(Ring::new());
static WITHHELD: AtomicBool = AtomicBool::new(false);
static OVERFLOWED: AtomicBool = AtomicBool::new(false);
/// The hooks: functions or null.
static NOTIFY: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static TELL: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Makes a device the console; the first one stays.
pub fn register(device: &'static dyn ConsoleDevice) {
    DEVICE.set(device);
}

/// Whether there is a console.
pub fn is_present() -> bool {
    DEVICE.is_set()
}

/// Takes bytes to be sent; returns how many, which is all unless very many wait already. Without a
/// console all are taken and lost.
pub fn write(bytes: &[u8]) -> usize {
    write_for(None, bytes)
}

/// As [`write()`]; if no byte is taken, `processor` is told through [`on_room`] when some will be,
/// unless it writes again with more luck before.
pub fn write_as(processor: u32, bytes: &[u8]) -> usize {
    write_for(Some(processor), bytes)
}

fn write_for(processor: Option<u32>, bytes: &[u8]) -> usize {
    let Some(device) = DEVICE.get() else {
        return bytes.len();
    };
    let (taken, fed) = OUTPUT.write(*device, bytes, processor);
    tell(fed);
    taken
}

/// Sends bytes after everything written, and waits for a bounded time until they are with the
/// device. For the kernel's own messages: callable from anywhere.
pub fn write_through(bytes: &[u8]) {
    if let Some(device) = DEVICE.get() {
        OUTPUT.write_through(*device, bytes);
    }
}

/// For a device that takes more bytes: sends what waits. Answers whether some still do.
pub fn feed() -> bool {
    let Some(device) = DEVICE.get() else {
        return false;
    };
    let fed = OUTPUT.feed(*device);
    tell(fed);
    fed.waits
}

/// Waits until everything written has left the machine, or no byte has for about half a minute.
pub fn drain() {
    if let Some(device) = DEVICE.get() {
        OUTPUT.drain(*device, LAST_PATIENCE);
    }
}

/// Calls `hook` in interrupt context whenever bytes have arrived.
pub fn on_receive(hook: fn()) {
    NOTIFY.store(hook as *mut (), Ordering::Release);
}

/// Calls `hook` with interrupts off, for each processor that waits, when bytes are taken again.
pub fn on_room(hook: fn(u32)) {
    TELL.store(hook as *mut (), Ordering::Release);
}

/// Tells those who have waited for room.
fn tell(fed: Fed) {
    let hook = TELL.load(Ordering::Acquire);
    let mut left = fed.tell;
    while left != 0 && !hook.is_null() {
        // SAFETY: only `on_room` stores here, and only function pointers of this type.
        unsafe { core::mem::transmute::<*mut (), fn(u32)>(hook)(left.trailing_zeros()) };
        left &= left - 1;
    }
}

/// Takes bytes that have arrived; returns how many. 0: none are there now.
pub fn read(into: &mut [u8]) -> usize {
    let count = INPUT.lock().take(into);
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
    INPUT.lock().used()
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
    let mut ring = INPUT.lock();
    let mut any = false;
    loop {
        if ring.room() == 0 {
            WITHHELD.store(true, Ordering::Release);
            return Received { any, full: true };
        }
        let Some(byte) = next() else {
            return Received { any, full: false };
        };
        any |= ring.extend(&[byte]) > 0;
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
        fn send(&self, bytes: &[u8]) -> usize {
            bytes.len().min(16)
        }
        fn announce_room(&self, _wanted: bool) {}
        fn has_room(&self) -> bool {
            true
        }
        fn is_idle(&self) -> bool {
            true
        }
        fn resume(&self) {
            RESUMED.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One test, since the console is one.
    #[test]
    fn bytes_keep_their_order_and_a_full_ring_holds_the_device_back() {
        register(&Quiet);
        on_receive(|| {
            NOTIFIED.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(write(&[0; 40]), 40);
        assert!(feed());
        assert!(!feed());

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
