//! The local APIC: each processor's own interrupt controller.
//!
//! Reached through memory (xAPIC) or, where the processor has it, machine registers (x2APIC); the
//! choice is the same on all processors. Sources: Intel manual volume 3, chapter 11.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use x86_64::registers::model_specific::Msr;

use super::table::{SPURIOUS, TIMER};
use crate::firmware::physical::DIRECT_MAP;
use crate::processor::{Features, features};
use crate::rolled::rolled;

const APIC_BASE: u32 = 0x1b;
const X2APIC_FIRST: u32 = 0x800;

/// Register numbers: offset in memory divided by 16, and machine register above 0x800.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Register {
    Identifier = 0x02,
    TaskPriority = 0x08,
    EndOfInterrupt = 0x0b,
    SpuriousVector = 0x0f,
    Command = 0x30,
    CommandHigh = 0x31,
    Timer = 0x32,
    Thermal = 0x33,
    Performance = 0x34,
    Line0 = 0x35,
    Line1 = 0x36,
    Error = 0x37,
    InitialCount = 0x38,
    CurrentCount = 0x39,
    Divider = 0x3e,
}

/// Address of the registers in memory; 0 in x2APIC mode.
static REGISTERS: AtomicU64 = AtomicU64::new(0);

static INITIALISED: AtomicBool = AtomicBool::new(false);

const MASKED: u32 = 1 << 16;

/// Whether the boot processor's controller is on.
pub fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

#[inline]
fn read(register: Register) -> u32 {
    let base = REGISTERS.load(Ordering::Relaxed);
    // SAFETY: `initialise` found out which of the two ways this machine has; reads of these
    // registers have no effects.
    unsafe {
        if base == 0 {
            Msr::new(X2APIC_FIRST + register as u32).read() as u32
        } else {
            ((base + register as u64 * 16) as *const u32).read_volatile()
        }
    }
}

#[inline]
fn write(register: Register, value: u32) {
    let base = REGISTERS.load(Ordering::Relaxed);
    // SAFETY: as for `read`; no register makes the controller write to memory.
    unsafe {
        if base == 0 {
            Msr::new(X2APIC_FIRST + register as u32).write(u64::from(value));
        } else {
            ((base + register as u64 * 16) as *mut u32).write_volatile(value);
        }
    }
}

/// Writes registers one after the other. Short code: each processor does it once.
#[inline(never)]
fn write_all(values: &[(Register, u32)]) {
    for (register, value) in rolled(values) {
        write(*register, *value);
    }
}

/// The controller on, its sources masked.
static SILENT: [(Register, u32); 8] = [
    (Register::SpuriousVector, 1 << 8 | SPURIOUS as u32),
    (Register::Timer, MASKED | TIMER as u32),
    (Register::Thermal, MASKED),
    (Register::Performance, MASKED),
    (Register::Line0, MASKED),
    // Line 1 is where a PC wires its non-maskable interrupt.
    (Register::Line1, 4 << 8),
    (Register::Error, MASKED),
    // Last: it makes the controller reconsider what it signals to the processor.
    (Register::TaskPriority, 0),
];

/// Switches the running processor's controller on, with all its own sources masked.
pub(crate) fn initialise() {
    // SAFETY: every 64-bit processor has the base register; bit 11 enables, bit 10 is x2APIC's and
    // set only where that exists (section 11.12.1).
    unsafe {
        let mut base = Msr::new(APIC_BASE);
        let value = base.read() | 1 << 11;
        base.write(value);
        if features().contains(Features::X2APIC) {
            base.write(value | 1 << 10);
        } else {
            REGISTERS.store(DIRECT_MAP + (value & 0xf_ffff_f000), Ordering::Relaxed);
        }
    }
    write_all(&SILENT);
    INITIALISED.store(true, Ordering::Relaxed);
}

/// The running processor's identifier.
#[inline(never)]
pub fn identifier() -> u32 {
    let value = read(Register::Identifier);
    if REGISTERS.load(Ordering::Relaxed) == 0 {
        value
    } else {
        value >> 24
    }
}

/// Tells the controller that the interrupt it delivered has been taken.
#[inline]
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}

/// What is sent to another processor (section 11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// An ordinary interrupt.
    Vector(u8),
    /// A non-maskable interrupt.
    NonMaskable,
    /// Resets the processor to its waiting state.
    Initialise,
    /// Starts a waiting processor at this page of the first MiB, in real mode.
    StartUp(u8),
}

impl Message {
    fn command(self) -> u32 {
        const ASSERT: u32 = 1 << 14;
        match self {
            Self::Vector(vector) => ASSERT | u32::from(vector),
            Self::NonMaskable => ASSERT | 4 << 8,
            Self::Initialise => ASSERT | 5 << 8,
            Self::StartUp(page) => ASSERT | 6 << 8 | u32::from(page),
        }
    }
}

/// Times the delivery bit is looked at before a message is sent over an unfinished one.
const DELIVERY_PATIENCE: u32 = 100_000;

fn command(destination: u32, value: u32) {
    if REGISTERS.load(Ordering::Relaxed) == 0 {
        // Memory written for the receiver must be visible first: this register write does not
        // serialise.
        // SAFETY: the command register of x2APIC; fences are always allowed.
        unsafe {
            core::arch::x86_64::_mm_mfence();
            core::arch::x86_64::_mm_lfence();
            Msr::new(X2APIC_FIRST + Register::Command as u32)
                .write(u64::from(destination) << 32 | u64::from(value));
        }
        return;
    }
    let mut patience = DELIVERY_PATIENCE;
    while read(Register::Command) & 1 << 12 != 0 && patience > 0 {
        patience -= 1;
        core::hint::spin_loop();
    }
    write(Register::CommandHigh, destination << 24);
    write(Register::Command, value);
}

/// Sends to the processor with this APIC identifier.
pub fn send(destination: u32, message: Message) {
    command(destination, message.command());
}

/// How the timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerMode {
    /// Once, after a count.
    OneShot,
    /// Once, when the time stamp counter reaches a value written to its own register.
    Deadline,
}

/// Prepares the running processor's timer; it stays quiet until set.
pub(crate) fn prepare_timer(mode: TimerMode) {
    let mode = match mode {
        TimerMode::OneShot => 0,
        TimerMode::Deadline => 2 << 17,
    };
    write_all(&[
        // Divide by one.
        (Register::Divider, 0b1011),
        (Register::InitialCount, 0),
        (Register::Timer, mode | u32::from(TIMER)),
    ]);
    // The change of mode must be seen before a deadline is written (section 11.5.4.1).
    // SAFETY: a fence.
    unsafe { core::arch::x86_64::_mm_mfence() };
}

/// Starts counting down from `count`; 0 stops.
pub(crate) fn set_timer_count(count: u32) {
    write(Register::InitialCount, count);
}

/// What is left of the count.
pub(crate) fn timer_count() -> u32 {
    read(Register::CurrentCount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_manuals_encoding() {
        assert_eq!(Message::Initialise.command(), 0x4500);
        assert_eq!(Message::StartUp(8).command(), 0x4608);
        assert_eq!(Message::NonMaskable.command(), 0x4400);
        assert_eq!(Message::Vector(0xf1).command(), 0x40f1);
    }
}
