//! The registers of a 16550 and what is done with them, whatever they are reached by.
//!
//! Source: National Semiconductor PC16550D data sheet, section 8.

use core::sync::atomic::{AtomicBool, Ordering};

/// Somewhere with the eight registers of a 16550.
pub(super) trait Registers {
    /// Reads register 0 to 7.
    fn read(&self, register: u8) -> u8;
    /// Writes register 0 to 7.
    fn write(&self, register: u8, value: u8);
    /// Writes all bytes to register 0.
    fn burst(&self, bytes: &[u8]) {
        for byte in bytes {
            self.write(DATA, *byte);
        }
    }
}

/// Number of the register for bytes.
pub(super) const DATA: u8 = 0;
/// Number of the register that says what interrupts.
pub(super) const INTERRUPT_ENABLE: u8 = 1;
/// Number of the register that turns the queues on, when written.
pub(super) const FIFO_CONTROL: u8 = 2;
/// Number of the register that says what interrupted, when read.
pub(super) const INTERRUPT_CAUSE: u8 = 2;
/// Number of the register with the format, and the divisor's access.
pub(super) const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
/// Number of the register that says what can be done.
pub(super) const LINE_STATUS: u8 = 5;
/// Number of the register without a meaning.
pub(super) const SCRATCH: u8 = 7;

/// [`LINE_STATUS`]: a byte waits to be read.
pub(super) const RECEIVED: u8 = 1 << 0;
/// [`LINE_STATUS`]: bytes were lost.
pub(super) const OVERRUN: u8 = 1 << 1;
/// [`LINE_STATUS`]: the queue for sending is empty.
pub(super) const TRANSMIT_EMPTY: u8 = 1 << 5;
/// [`LINE_STATUS`]: the last byte is on the line.
pub(super) const IDLE: u8 = 1 << 6;

/// [`INTERRUPT_ENABLE`]: a byte was received.
pub(super) const ON_RECEIVE: u8 = 1 << 0;
/// [`INTERRUPT_ENABLE`]: the queue for sending is empty.
pub(super) const ON_EMPTY: u8 = 1 << 1;

/// [`INTERRUPT_CAUSE`]: the queues are on.
pub(super) const QUEUES_ON: u8 = 0xc0;

/// Bytes that an empty transmitter with queues takes without being asked again.
pub(super) const BURST: usize = 16;

/// A 16550 and its registers.
pub(super) struct Uart<R> {
    pub(super) registers: R,
    /// The transmitter takes one byte at a time.
    no_queues: AtomicBool,
}

impl<R: Registers> Uart<R> {
    /// The device behind these registers.
    pub(super) const fn new(registers: R) -> Self {
        Self {
            registers,
            no_queues: AtomicBool::new(false),
        }
    }

    /// Whether the registers are there: the scratch register keeps what is written.
    pub(super) fn is_present(&self) -> bool {
        [0x5a, 0xa5].iter().all(|pattern| {
            self.registers.write(SCRATCH, *pattern);
            self.registers.read(SCRATCH) == *pattern
        })
    }

    /// 115,200 baud, 8 data bits, no parity; no interrupts yet; queues on, unless a byte waits.
    ///
    /// Turning the queues on loses what has been received, and the next byte comes as soon as a
    /// waiting one has been read, where a virtual machine holds the sender back until then. Such a
    /// port is left as the firmware left it, if need be with queues of one byte.
    pub(super) fn initialise(&self) {
        self.registers.write(INTERRUPT_ENABLE, 0);
        self.registers.write(LINE_CONTROL, 0x80);
        self.registers.write(DATA, 1);
        self.registers.write(INTERRUPT_ENABLE, 0);
        self.registers.write(LINE_CONTROL, 0x03);
        // Ready, and output 2, which lets interrupts through on a PC.
        self.registers.write(MODEM_CONTROL, 0x0b);
        let waits = self.registers.read(LINE_STATUS) & RECEIVED != 0;
        if !waits {
            // On; interrupt at one byte waiting for long enough or eight at once.
            self.registers.write(FIFO_CONTROL, 0x81);
        }
        let off = waits && self.registers.read(INTERRUPT_CAUSE) & QUEUES_ON != QUEUES_ON;
        self.no_queues.store(off, Ordering::Relaxed);
    }

    /// What interrupts: [`ON_RECEIVE`], [`ON_EMPTY`]. Turning one on whose condition holds
    /// interrupts at once (section 8.4, and what every maker has done since).
    pub(super) fn interrupt_on(&self, sources: u8) {
        self.registers.write(INTERRUPT_ENABLE, sources);
    }

    /// The next received byte; `overrun` is called if bytes were lost before it.
    pub(super) fn receive(&self, overrun: impl FnOnce()) -> Option<u8> {
        let status = self.registers.read(LINE_STATUS);
        if status & OVERRUN != 0 && status != 0xff {
            overrun();
        }
        (status & RECEIVED != 0 && status != 0xff).then(|| self.registers.read(DATA))
    }

    /// Whether [`Uart::send`] would take a byte now.
    pub(super) fn has_room(&self) -> bool {
        self.registers.read(LINE_STATUS) & TRANSMIT_EMPTY != 0
    }

    /// Whether the last byte is on the line.
    pub(super) fn is_idle(&self) -> bool {
        self.registers.read(LINE_STATUS) & IDLE != 0
    }

    /// Sends bytes, a queueful at a time, until the transmitter is busy; how many it took.
    pub(super) fn send(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        let no_queues = self.no_queues.load(Ordering::Relaxed);
        for burst in bytes.chunks(if no_queues { 1 } else { BURST }) {
            if !self.has_room() {
                break;
            }
            self.registers.burst(burst);
            sent += burst.len();
        }
        sent
    }
}
