//! How fast the time stamp counter runs, where no hypervisor's clock tells.
//!
//! The processor or hypervisor may say so in CPUID. Otherwise the counter is compared for about a
//! millisecond with a timer of known rate: ACPI's power management timer, else the PC's interval
//! timer.

use core::arch::x86_64::{__cpuid, __cpuid_count};

use x86_64::instructions::port::Port;

use super::comparison::Pair;
use super::counter;

/// Used if nothing in the machine tells the rate: time is then wrong but runs.
const FALLBACK_HZ: u64 = 1_000_000_000;

/// How long the comparison takes.
const MEASURED_US: u64 = 1_000;

/// Counts in a second.
pub(super) fn counter_frequency_hz() -> u64 {
    told().or_else(measured).unwrap_or(FALLBACK_HZ)
}

/// What CPUID says: leaf 0x15, a hypervisor's leaf 0x4000_0010, leaf 0x16.
fn told() -> Option<u64> {
    let highest = __cpuid(0).eax;
    if highest >= 0x15 {
        let ratio = __cpuid_count(0x15, 0);
        if ratio.eax != 0 && ratio.ebx != 0 && ratio.ecx != 0 {
            return Some(u64::from(ratio.ecx) * u64::from(ratio.ebx) / u64::from(ratio.eax));
        }
    }
    let hypervisor = __cpuid(1).ecx & 1 << 31 != 0;
    if hypervisor && (0x4000_0010..0x4000_1000).contains(&__cpuid(0x4000_0000).eax) {
        let kilohertz = __cpuid(0x4000_0010).eax;
        if kilohertz != 0 {
            return Some(u64::from(kilohertz) * 1_000);
        }
    }
    if highest >= 0x16 && !hypervisor {
        let megahertz = __cpuid(0x16).eax & 0xffff;
        if megahertz != 0 {
            return Some(u64::from(megahertz) * 1_000_000);
        }
    }
    None
}

/// A timer that counts at a known rate.
trait Reference {
    /// Counts in a second.
    const HZ: u64;
    /// Largest count, a power of two less one.
    const MASK: u32;
    /// The count now, growing.
    fn count(&mut self) -> u32;
}

/// ACPI's power management timer (section 4.8.3.3 of its specification).
struct PowerTimer(Port<u32>);

impl Reference for PowerTimer {
    const HZ: u64 = 3_579_545;
    const MASK: u32 = 0xff_ffff;
    fn count(&mut self) -> u32 {
        // SAFETY: the firmware's table names the port as this timer's.
        unsafe { self.0.read() & Self::MASK }
    }
}

/// Channel 2 of the 8254 interval timer, whose output drives only the speaker.
struct IntervalTimer;

impl IntervalTimer {
    fn start() -> Self {
        // SAFETY: the ports of the PC's interval timer and its gate. Mode 0, counting down from
        // 0xffff, gate on, speaker off.
        unsafe {
            let mut gate = Port::<u8>::new(0x61);
            let value = gate.read();
            gate.write(value & !2 | 1);
            Port::<u8>::new(0x43).write(0b1011_0000);
            let mut channel = Port::<u8>::new(0x42);
            channel.write(0xff);
            channel.write(0xff);
        }
        Self
    }
}

impl Reference for IntervalTimer {
    const HZ: u64 = 1_193_182;
    const MASK: u32 = 0xffff;
    fn count(&mut self) -> u32 {
        // SAFETY: latches and reads channel 2 only.
        unsafe {
            Port::<u8>::new(0x43).write(0b1000_0000);
            let mut channel = Port::<u8>::new(0x42);
            let low = channel.read();
            let high = channel.read();
            0xffff - u32::from(u16::from_le_bytes([low, high]))
        }
    }
}

fn measured() -> Option<u64> {
    let timer = crate::firmware::acpi_tables().and_then(|tables| tables.power().timer);
    timer
        .and_then(|port| measure(PowerTimer(Port::new(port)), counter))
        .or_else(|| measure(IntervalTimer::start(), counter))
}

/// A count that does not wrap, out of one that does and is looked at often enough.
fn unwrapped<R: Reference>(mut timer: R) -> impl FnMut() -> u64 {
    let mut last = timer.count();
    let mut total = 0;
    move || {
        let count = timer.count();
        total += u64::from(count.wrapping_sub(last) & R::MASK);
        last = count;
        total
    }
}

fn measure<R: Reference>(timer: R, clock: impl FnMut() -> u64) -> Option<u64> {
    let goal = R::HZ * MEASURED_US / 1_000_000;
    let mut pair = Pair {
        clock,
        timer: unwrapped(timer),
    };
    let (elapsed, counts) = pair.compare(goal)?;
    let frequency = u128::from(elapsed) * u128::from(R::HZ) / u128::from(counts.max(1));
    u64::try_from(frequency).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A timer and a counter that advance together, a step for each look at either.
    struct Simulated<'a> {
        now_ns: &'a Cell<u64>,
        first: u64,
    }

    impl Reference for Simulated<'_> {
        const HZ: u64 = 1_193_182;
        const MASK: u32 = 0xffff;
        fn count(&mut self) -> u32 {
            self.now_ns.set(self.now_ns.get() + 1_000);
            ((self.now_ns.get() * Self::HZ / 1_000_000_000 + self.first) & 0xffff) as u32
        }
    }

    #[test]
    fn a_counter_is_measured_whether_the_timer_wraps_or_not() {
        for first in [0, 0xffff, 0xfd00] {
            let now = Cell::new(0);
            let timer = Simulated {
                now_ns: &now,
                first,
            };
            let found = measure(timer, || {
                now.set(now.get() + 50);
                now.get() * 5 / 2
            })
            .unwrap();
            assert!((2_490_000_000..2_510_000_000).contains(&found), "{found}");
        }
    }
}
