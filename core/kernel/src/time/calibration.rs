//! How fast the time stamp counter runs, where no hypervisor's clock tells.
//!
//! The processor or hypervisor may say so in CPUID. Otherwise the counter is compared for at least a
//! millisecond with a timer of known rate: ACPI's power management timer, else the PC's interval
//! timer. The comparison starts as early as that timer is known and ends when the rate is needed.

use core::arch::x86_64::{__cpuid, __cpuid_count};

use x86_64::instructions::port::Port;

use super::comparison::{PRECISE, Pair, Step};
use super::counter;
use crate::processor::{Features, features};

/// Used if nothing in the machine tells the rate: time is then wrong but runs.
const FALLBACK_HZ: u64 = 1_000_000_000;

/// How long the comparison takes at the least.
const MEASURED_US: u64 = 1_000;
/// It is checked by one that is so many times shorter, and may differ from that by one part in so
/// many.
const SHORT: u64 = 20;
const AGREEMENT: u64 = 8;
/// The check need not be more precise than four times that: the timer is slow to read, above all where
/// it is emulated, and the machine waits for the check.
const ROUGH: u64 = 4 * AGREEMENT;

/// Counts in a second, of which something may have been `begun` to be measured.
pub(super) fn counter_frequency_hz(begun: &mut Option<Begun>) -> u64 {
    let measured = begun
        .as_mut()
        .and_then(|Begun { running, start }| running.finish(*start));
    measured.or_else(told).unwrap_or(FALLBACK_HZ)
}

/// What CPUID says: leaf 0x15, a hypervisor's leaf 0x4000_0010, leaf 0x16.
// Not inlined: this runs a few times at boot, and once compiled is enough.
#[inline(never)]
fn told() -> Option<u64> {
    let highest = __cpuid(0).eax;
    if highest >= 0x15 {
        let ratio = __cpuid_count(0x15, 0);
        if ratio.eax != 0 && ratio.ebx != 0 && ratio.ecx != 0 {
            return Some(u64::from(ratio.ecx) * u64::from(ratio.ebx) / u64::from(ratio.eax));
        }
    }
    let hypervisor = features().contains(Features::HYPERVISOR);
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
#[derive(Clone, Copy, Debug)]
enum Timer {
    /// ACPI's power management timer (section 4.8.3.3 of its specification), by its port.
    Power(u16),
    /// Channel 2 of the 8254 interval timer, whose output drives only the speaker.
    Interval,
}

impl Timer {
    /// Channel 2 of the interval timer, started.
    fn interval() -> Self {
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
        Self::Interval
    }
}

/// A timer next to the counter.
trait Reference {
    /// The timer's counts in a second.
    fn hz(&self) -> u64;

    /// Its largest count, a power of two less one.
    fn mask(&self) -> u32;

    /// Its count now, growing.
    fn count(&self) -> u32;

    /// The counter now.
    fn clock(&self) -> u64;
}

impl Reference for Timer {
    fn hz(&self) -> u64 {
        match self {
            Self::Power(_) => 3_579_545,
            Self::Interval => 1_193_182,
        }
    }

    fn mask(&self) -> u32 {
        match self {
            Self::Power(_) => 0xff_ffff,
            Self::Interval => 0xffff,
        }
    }

    fn count(&self) -> u32 {
        match *self {
            // SAFETY: the firmware's table names the port as this timer's.
            Self::Power(port) => unsafe { Port::<u32>::new(port).read() & self.mask() },
            // SAFETY: latches and reads channel 2 only.
            Self::Interval => unsafe {
                Port::<u8>::new(0x43).write(0b1000_0000);
                let mut channel = Port::<u8>::new(0x42);
                let low = channel.read();
                let high = channel.read();
                0xffff - u32::from(u16::from_le_bytes([low, high]))
            },
        }
    }

    fn clock(&self) -> u64 {
        counter()
    }
}

/// A timer that has started, as a count that does not wrap if it is looked at often enough.
#[derive(Debug)]
struct Running<R> {
    reference: R,
    /// The timer's last count, and all counts until then.
    last: u32,
    total: u64,
}

impl<R: Reference> Pair for Running<R> {
    fn clock(&mut self) -> u64 {
        self.reference.clock()
    }

    fn timer(&mut self) -> u64 {
        let count = self.reference.count();
        self.total += u64::from(count.wrapping_sub(self.last) & self.reference.mask());
        self.last = count;
        self.total
    }
}

/// What [`begin`] has started.
#[derive(Debug)]
pub(super) struct Begun {
    running: Running<Timer>,
    start: Step,
}

/// Starts to measure, where it will be needed, so that the machine does something else meanwhile.
pub(super) fn begin(begun: &mut Option<Begun>) {
    if told().is_some() {
        return;
    }
    let tables = crate::firmware::acpi_tables();
    let power = tables.and_then(|tables| tables.timer());
    if !power.is_some_and(|port| begin_with(Timer::Power(port), begun)) {
        begin_with(Timer::interval(), begun);
    }
}

/// Whether a timer runs; then it is what is measured by.
fn begin_with(timer: Timer, place: &mut Option<Begun>) -> bool {
    let begun = place.insert(Begun {
        running: Running::new(timer),
        start: Step::default(),
    });
    let pair: &mut dyn Pair = &mut begun.running;
    // The second: between the readings of the first the machine fetches this code, or translates it
    // where it is emulated, and a start so vague would be given up for a later one.
    match pair.step().and_then(|_| pair.step()) {
        Some(start) => begun.start = start,
        None => *place = None,
    }
    place.is_some()
}

impl<R: Reference> Running<R> {
    fn new(reference: R) -> Self {
        Self {
            reference,
            last: 0,
            total: 0,
        }
    }

    /// Counts of the clock in a second.
    ///
    /// Since the start the timer may have wrapped unseen if the machine stood still: what comes out
    /// has to agree with a short comparison now, or a whole one decides.
    fn finish(&mut self, start: Step) -> Option<u64> {
        let hz = self.reference.hz();
        let goal = hz * MEASURED_US / 1_000_000;
        let pair: &mut dyn Pair = self;
        let long = pair.finish(start, goal, PRECISE)?;
        let short = pair.compare(goal / SHORT, ROUGH)?;
        let (long, short) = (frequency(long, hz), frequency(short, hz)?);
        if let Some(long) = long
            && long.abs_diff(short) <= long / AGREEMENT
        {
            return Some(long);
        }
        frequency(pair.compare(goal, PRECISE)?, hz)
    }
}

/// Counts in a second of what counted `elapsed` while one of `hz` counted `counts`, if that is a number
/// that can be.
// Not inlined: this runs a few times at boot, and once compiled is enough.
#[inline(never)]
fn frequency((elapsed, counts): (u64, u64), hz: u64) -> Option<u64> {
    Some(elapsed.checked_mul(hz)? / counts.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A timer and a counter that advance together, a step for each look at either.
    struct Simulated {
        now_ns: Cell<u64>,
        first: u64,
    }

    impl Simulated {
        /// What is found if the machine does something else for so long after the start.
        fn measure(&self, pause_ns: u64) -> u64 {
            let mut running = Running::new(self);
            let pair: &mut dyn Pair = &mut running;
            let start = pair.step().unwrap();
            self.now_ns.set(self.now_ns.get() + pause_ns);
            running.finish(start).unwrap()
        }
    }

    impl Reference for &Simulated {
        fn hz(&self) -> u64 {
            Timer::Interval.hz()
        }

        fn mask(&self) -> u32 {
            Timer::Interval.mask()
        }

        fn count(&self) -> u32 {
            self.now_ns.set(self.now_ns.get() + 1_000);
            let counts = self.now_ns.get() * self.hz() / 1_000_000_000;
            ((counts + self.first) & 0xffff) as u32
        }

        fn clock(&self) -> u64 {
            self.now_ns.set(self.now_ns.get() + 50);
            self.now_ns.get() * 5 / 2
        }
    }

    #[test]
    fn a_counter_is_measured_whether_the_timer_wraps_or_not() {
        for first in [0, 0xffff, 0xfd00] {
            for pause_ns in [0, 400_000, 20_000_000, 54_000_000, 60_000_000, 300_000_000] {
                let machine = Simulated {
                    now_ns: Cell::new(0),
                    first,
                };
                let found = machine.measure(pause_ns);
                assert!((2_490_000_000..2_510_000_000).contains(&found), "{found}");
            }
        }
    }
}
