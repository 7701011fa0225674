//! The registers of a 16550 and what is done with them, whatever they are reached by.
//!
//! Source: National Semiconductor PC16550D data sheet, section 8.

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

const DATA: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;
const FIFO_CONTROL: u8 = 2;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;
const SCRATCH: u8 = 7;

const RECEIVED: u8 = 1 << 0;
const OVERRUN: u8 = 1 << 1;
const TRANSMIT_EMPTY: u8 = 1 << 5;
const IDLE: u8 = 1 << 6;

/// Bytes that an empty transmitter takes without being asked again.
pub(super) const BURST: usize = 16;

/// Readings of the line status before a transmitter is taken to be stuck for now: some
/// milliseconds, in which even a slow line empties its queue.
const PATIENCE: u32 = 20_000;

/// A 16550 and its registers.
pub(super) struct Uart<R>(pub(super) R);

impl<R: Registers> Uart<R> {
    /// Whether the registers are there: the scratch register keeps what is written.
    pub(super) fn is_present(&self) -> bool {
        [0x5a, 0xa5].iter().all(|pattern| {
            self.0.write(SCRATCH, *pattern);
            self.0.read(SCRATCH) == *pattern
        })
    }

    /// 115,200 baud, 8 data bits, no parity; queues on; no interrupts yet.
    ///
    /// Turning the queues on loses what has been received: `save` is called to take that, with
    /// nothing but one write after it.
    pub(super) fn initialise(&self, save: impl FnOnce(&Self)) {
        self.0.write(INTERRUPT_ENABLE, 0);
        self.0.write(LINE_CONTROL, 0x80);
        self.0.write(DATA, 1);
        self.0.write(INTERRUPT_ENABLE, 0);
        self.0.write(LINE_CONTROL, 0x03);
        // Ready, and output 2, which lets interrupts through on a PC.
        self.0.write(MODEM_CONTROL, 0x0b);
        save(self);
        // On; interrupt at one byte waiting for long enough or eight at once.
        self.0.write(FIFO_CONTROL, 0x81);
    }

    /// Interrupts for received bytes, on or off.
    pub(super) fn interrupt_on_receive(&self, on: bool) {
        self.0.write(INTERRUPT_ENABLE, u8::from(on));
    }

    /// The next received byte; `overrun` is called if bytes were lost before it.
    pub(super) fn receive(&self, overrun: impl FnOnce()) -> Option<u8> {
        let status = self.0.read(LINE_STATUS);
        if status & OVERRUN != 0 && status != 0xff {
            overrun();
        }
        (status & RECEIVED != 0 && status != 0xff).then(|| self.0.read(DATA))
    }

    fn wait_for(&self, bit: u8) -> bool {
        (0..PATIENCE).any(|_| self.0.read(LINE_STATUS) & bit != 0)
    }

    /// Sends bytes, a queueful at a time; how many the transmitter took.
    pub(super) fn send(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        for burst in bytes.chunks(BURST) {
            if !self.wait_for(TRANSMIT_EMPTY) {
                break;
            }
            self.0.burst(burst);
            sent += burst.len();
        }
        sent
    }

    /// Waits until the last byte is on the line, or no longer.
    pub(super) fn drain(&self) {
        self.wait_for(IDLE);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::cell::RefCell;
    use std::vec::Vec;

    /// A device that takes a queueful and needs some readings to send it.
    #[derive(Default)]
    struct Device {
        state: RefCell<State>,
    }

    #[derive(Default)]
    struct State {
        queue: usize,
        busy: u32,
        stuck: bool,
        scratch: u8,
        divisor: bool,
        sent: Vec<u8>,
        received: Vec<u8>,
        lost: bool,
    }

    impl Registers for Device {
        fn read(&self, register: u8) -> u8 {
            let mut state = self.state.borrow_mut();
            match register {
                DATA => state.received.remove(0),
                LINE_STATUS => {
                    if !state.stuck {
                        state.busy = state.busy.saturating_sub(1);
                    }
                    if state.busy == 0 {
                        state.queue = 0;
                    }
                    let mut status = if state.busy == 0 {
                        TRANSMIT_EMPTY | IDLE
                    } else {
                        0
                    };
                    status |= u8::from(!state.received.is_empty()) * RECEIVED;
                    status |= u8::from(core::mem::take(&mut state.lost)) * OVERRUN;
                    status
                }
                SCRATCH => state.scratch,
                _ => 0,
            }
        }

        fn write(&self, register: u8, value: u8) {
            let mut state = self.state.borrow_mut();
            match register {
                DATA if state.divisor => {}
                DATA => {
                    assert!(state.queue < BURST, "a byte was written to a full queue");
                    state.queue += 1;
                    state.busy = 50;
                    state.sent.push(value);
                }
                SCRATCH => state.scratch = value,
                FIFO_CONTROL => state.received.clear(),
                // With the divisor's register selected, register 0 sends nothing.
                LINE_CONTROL => state.divisor = value & 0x80 != 0,
                _ => {}
            }
        }
    }

    #[test]
    fn bytes_are_sent_in_order_without_overfilling_the_queue() {
        let uart = Uart(Device::default());
        assert!(uart.is_present());
        let bytes: Vec<u8> = (0..100).collect();
        assert_eq!(uart.send(&bytes), 100);
        uart.drain();
        assert_eq!(uart.0.state.borrow().sent, bytes);
    }

    #[test]
    fn bytes_received_before_the_start_are_kept() {
        let uart = Uart(Device::default());
        uart.0.state.borrow_mut().received = Vec::from(*b"x");
        let mut saved = None;
        uart.initialise(|uart| saved = uart.receive(|| {}));
        assert_eq!(saved, Some(b'x'));
    }

    #[test]
    fn a_stuck_transmitter_is_given_up() {
        let uart = Uart(Device::default());
        uart.0.state.borrow_mut().stuck = true;
        assert_eq!(uart.send(&[0; 40]), BURST);
        assert_eq!(uart.send(&[0; 40]), 0);
    }

    #[test]
    fn received_bytes_and_losses_are_told() {
        let uart = Uart(Device::default());
        uart.0.state.borrow_mut().received = Vec::from(*b"ab");
        uart.0.state.borrow_mut().lost = true;
        let mut losses = 0;
        assert_eq!(uart.receive(|| losses += 1), Some(b'a'));
        assert_eq!(uart.receive(|| losses += 1), Some(b'b'));
        assert_eq!(uart.receive(|| losses += 1), None);
        assert_eq!(losses, 1);
    }

    #[test]
    fn nothing_at_the_port_is_no_device() {
        struct Nothing;
        impl Registers for Nothing {
            fn read(&self, _: u8) -> u8 {
                0xff
            }
            fn write(&self, _: u8, _: u8) {}
        }
        let uart = Uart(Nothing);
        assert!(!uart.is_present());
        assert_eq!(uart.receive(|| panic!("no losses either")), None);
    }
}
