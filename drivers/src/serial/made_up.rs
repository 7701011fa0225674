//! A made-up 16550 with its interrupt line, its wire, and a clock that tests move.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::vec::Vec;

use super::port::Alarm;
use super::registers::{
    BURST, DATA, FIFO_CONTROL, IDLE, INTERRUPT_CAUSE, INTERRUPT_ENABLE, LINE_CONTROL, LINE_STATUS,
    ON_EMPTY, ON_RECEIVE, OVERRUN, QUEUES_ON, RECEIVED, Registers, SCRATCH, TRANSMIT_EMPTY,
};

/// The device.
pub(super) struct MadeUp(Mutex<State>);

/// What it is in the middle of.
pub(super) struct State {
    /// Nanoseconds on the wire for each byte; 0 takes no time at all.
    pub(super) byte_ns: u64,
    /// Nanoseconds that pass with each access to a register.
    pub(super) access_ns: u64,
    /// What the other end has still to send, one byte each time [`State::byte_ns`] has passed.
    pub(super) typing: VecDeque<u8>,
    /// Nothing leaves.
    pub(super) stuck: bool,
    /// What has left, in order.
    pub(super) sent: Vec<u8>,
    /// What has been received and not been read.
    pub(super) received: VecDeque<u8>,
    /// Bytes were lost before the next one received.
    pub(super) lost: bool,
    /// Time now.
    pub(super) now: u64,
    /// When the alarm is set to.
    pub(super) alarm: Option<u64>,
    /// The line has risen and nobody was interrupted yet.
    pub(super) edge: bool,
    /// How often the line has risen.
    pub(super) edges: u32,
    queue: VecDeque<u8>,
    /// The queues have been turned on; off, the sender is held back while a byte waits.
    queues_on: bool,
    next_leaves: u64,
    next_comes: u64,
    empty_pending: bool,
    enabled: u8,
    line: bool,
    scratch: u8,
    divisor: bool,
}

impl State {
    const NEW: Self = Self {
        byte_ns: 0,
        access_ns: 0,
        typing: VecDeque::new(),
        stuck: false,
        sent: Vec::new(),
        received: VecDeque::new(),
        lost: false,
        now: 0,
        alarm: None,
        edge: false,
        edges: 0,
        queue: VecDeque::new(),
        queues_on: false,
        next_leaves: 0,
        next_comes: 0,
        empty_pending: false,
        enabled: 0,
        line: false,
        scratch: 0,
        divisor: false,
    };

    /// Lets time go by.
    pub(super) fn advance(&mut self, ns: u64) {
        self.now += ns;
        self.settle();
    }

    /// Whether the alarm is due; it is over then.
    pub(super) fn take_alarm(&mut self) -> bool {
        self.alarm.take_if(|at| *at <= self.now).is_some()
    }

    /// The other end begins to send.
    pub(super) fn type_in(&mut self, bytes: &[u8]) {
        if self.typing.is_empty() {
            self.next_comes = self.now + self.byte_ns;
        }
        self.typing.extend(bytes);
        self.settle();
    }

    fn settle(&mut self) {
        if self.stuck {
            self.next_leaves = self.now + self.byte_ns;
        }
        while !self.stuck && !self.queue.is_empty() && self.next_leaves <= self.now {
            self.sent.extend(self.queue.pop_front());
            self.next_leaves += self.byte_ns;
            self.empty_pending |= self.queue.is_empty();
        }
        while !self.typing.is_empty()
            && self.next_comes <= self.now
            && (self.queues_on || self.received.is_empty())
        {
            self.received.extend(self.typing.pop_front());
            self.next_comes += self.byte_ns;
        }
        let line = self.enabled & ON_RECEIVE != 0 && !self.received.is_empty()
            || self.enabled & ON_EMPTY != 0 && self.empty_pending;
        let rises = line && !self.line;
        self.edge |= rises;
        self.edges += u32::from(rises);
        self.line = line;
    }

    fn status(&self) -> u8 {
        let mut status = u8::from(!self.received.is_empty()) * RECEIVED;
        if self.queue.is_empty() {
            status |= TRANSMIT_EMPTY | IDLE;
        }
        status
    }
}

impl MadeUp {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::NEW))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// For an access to a register: time goes by before it.
    fn access(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let ns = state.access_ns;
        state.advance(ns);
        state
    }

    /// As from the factory.
    pub(super) fn reset(&self) {
        *self.state() = State::NEW;
    }
}

impl Registers for MadeUp {
    fn read(&self, register: u8) -> u8 {
        let mut state = self.access();
        match register {
            DATA => {
                let byte = state.received.pop_front().unwrap_or(0);
                state.settle();
                byte
            }
            LINE_STATUS => {
                let lost = core::mem::take(&mut state.lost);
                state.status() | (u8::from(lost) * OVERRUN)
            }
            SCRATCH => state.scratch,
            INTERRUPT_CAUSE => u8::from(state.queues_on) * QUEUES_ON,
            _ => 0,
        }
    }

    fn write(&self, register: u8, value: u8) {
        let mut state = self.access();
        match register {
            // With the divisor's registers selected, these two are others.
            DATA | INTERRUPT_ENABLE if state.divisor => {}
            DATA => {
                assert!(
                    state.queue.len() < if state.queues_on { BURST } else { 1 },
                    "a byte was written to a full queue"
                );
                if state.queue.is_empty() {
                    state.next_leaves = state.now + state.byte_ns;
                }
                state.queue.push_back(value);
                state.empty_pending = false;
            }
            INTERRUPT_ENABLE => {
                let rises = value & !state.enabled & ON_EMPTY != 0;
                state.empty_pending |= rises && state.queue.is_empty();
                state.enabled = value;
            }
            SCRATCH => state.scratch = value,
            FIFO_CONTROL => {
                state.queues_on = value & 1 != 0;
                state.received.clear();
            }
            LINE_CONTROL => state.divisor = value & 0x80 != 0,
            _ => {}
        }
        state.settle();
    }
}

impl Alarm for MadeUp {
    fn set(&self, ns: u64) {
        let mut state = self.state();
        state.alarm = Some(state.now + ns);
    }
}
