//! A serial port in both directions, wherever its registers and its alarm come from.
//!
//! The interrupt line is the union of both directions' conditions and counts by its edge, so after
//! an interrupt all sources are turned off and on again: whatever holds by then makes a new edge.
//! An alarm runs as long as bytes wait to be sent, so that a lost interrupt costs time, not bytes.

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use kiln_kernel::device::console::{self, ConsoleDevice};
use spin::Mutex;

use super::registers::{BURST, ON_EMPTY, ON_RECEIVE, Registers, Uart};

/// How often a port that cannot interrupt is looked at, and any while bytes wait to be sent: at
/// 115,200 baud and ten bits for each byte, a queueful comes or goes meanwhile.
pub(super) const POLL_NS: u64 = BURST as u64 * 10 * 1_000_000_000 / 115_200;

/// Something that calls [`Serial::expired`].
pub(super) trait Alarm {
    /// Sets the running processor's alarm, instead of what it was set to.
    fn set(&self, ns: u64);
}

/// A port.
pub(super) struct Serial<R> {
    uart: Uart<R>,
    /// Held while bytes are received. Sending is guarded by the console.
    receiving: Mutex<()>,
    /// What interrupts, or would if it could.
    sources: AtomicU8,
    /// The alarm works.
    live: AtomicBool,
    /// There is no interrupt: the alarm never stops.
    polled: AtomicBool,
}

impl<R: Registers + Alarm> Serial<R> {
    /// A port that is not in use yet.
    pub(super) const fn new(registers: R) -> Self {
        Self {
            uart: Uart::new(registers),
            receiving: Mutex::new(()),
            sources: AtomicU8::new(0),
            live: AtomicBool::new(false),
            polled: AtomicBool::new(false),
        }
    }

    /// The registers.
    pub(super) fn uart(&self) -> &Uart<R> {
        &self.uart
    }

    /// Makes the port ready, without interrupts.
    pub(super) fn initialise(&self) {
        self.uart.initialise();
    }

    /// Begins to work by interrupt, or by the alarm alone.
    pub(super) fn go_live(&self, interrupts: bool) {
        self.live.store(true, Ordering::Relaxed);
        self.polled.store(!interrupts, Ordering::Relaxed);
        self.sources.fetch_or(ON_RECEIVE, Ordering::Relaxed);
        // What came before raises the interrupt as well; and what waited to be sent is sent.
        self.apply_sources();
        let waits = self.sources.load(Ordering::Relaxed) & ON_EMPTY != 0;
        if waits || !interrupts {
            self.uart.registers.set(POLL_NS);
        }
    }

    /// The port's interrupt.
    pub(super) fn interrupt(&self) {
        self.receive();
        console::feed();
        self.uart.interrupt_on(0);
        self.apply_sources();
    }

    /// The alarm's time is over. `lasting` is the processor that polls what cannot interrupt.
    pub(super) fn expired(&self, lasting: bool) {
        self.receive();
        let waits = console::feed();
        if waits || lasting && self.polled.load(Ordering::Relaxed) {
            self.uart.registers.set(POLL_NS);
        }
    }

    /// Moves what the device has to the console.
    fn receive(&self) {
        let held = self.receiving.lock();
        let received = console::receive(|| self.uart.receive(console::overflow));
        if received.full {
            // Under the lock, so that a reader who makes room right now turns it on after this.
            self.set_source(ON_RECEIVE, false);
        }
        drop(held);
        if received.any {
            console::notify();
        }
    }

    /// Turns a source on or off; answers whether it was otherwise before.
    fn set_source(&self, source: u8, on: bool) -> bool {
        let before = if on {
            self.sources.fetch_or(source, Ordering::AcqRel)
        } else {
            self.sources.fetch_and(!source, Ordering::AcqRel)
        };
        let changed = (before & source != 0) != on;
        if changed {
            self.apply_sources();
        }
        changed
    }

    /// Writes what interrupts to the device. Takes no lock, since a panic may come by: whoever
    /// writes last has looked again after it, so the last value stays.
    fn apply_sources(&self) {
        if !self.live.load(Ordering::Relaxed) {
            return;
        }
        loop {
            let sources = self.sources.load(Ordering::Acquire);
            self.uart.interrupt_on(sources);
            if self.sources.load(Ordering::Acquire) == sources {
                return;
            }
        }
    }
}

impl<R: Registers + Alarm + Sync> ConsoleDevice for Serial<R> {
    fn send(&self, bytes: &[u8]) -> usize {
        self.uart.send(bytes)
    }

    fn announce_room(&self, wanted: bool) {
        if self.set_source(ON_EMPTY, wanted) && wanted && self.live.load(Ordering::Relaxed) {
            self.uart.registers.set(POLL_NS);
        }
    }

    fn has_room(&self) -> bool {
        self.uart.has_room()
    }

    fn is_idle(&self) -> bool {
        self.uart.is_idle()
    }

    fn resume(&self) {
        let _held = self.receiving.lock();
        self.set_source(ON_RECEIVE, true);
    }
}
