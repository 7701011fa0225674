//! Time without a kernel entry, from the page that the kernel shares with everybody.

use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::fence;

use kiln_object::startup::KernelInformation;

use crate::kernel_information;

/// Nanoseconds since the machine started.
///
/// On the host: counts of the time stamp counter.
#[must_use]
#[inline]
pub fn monotonic_ns() -> u64 {
    read(kernel_information(), ticks).0
}

/// Nanoseconds since 1970-01-01 UTC.
#[must_use]
#[inline]
pub fn wall_clock_ns() -> u64 {
    let (monotonic, offset) = read(kernel_information(), ticks);
    monotonic.wrapping_add(offset)
}

/// Monotonic time and the wall clock's offset to it, both of one version of the page.
#[inline]
fn read(information: &KernelInformation, ticks: impl Fn() -> u64) -> (u64, u64) {
    loop {
        let version = information.version.load(Acquire);
        let tsc_base = information.tsc_base.load(Relaxed);
        let ns_base = information.ns_base.load(Relaxed);
        let multiplier = information.multiplier.load(Relaxed);
        let offset = information.wall_clock_offset.load(Relaxed);
        let now = ticks();
        fence(Acquire);
        if version & 1 == 0 && information.version.load(Relaxed) == version {
            // Another processor's counter may be slightly behind: time stands still then.
            let passed = u128::from(now.saturating_sub(tsc_base));
            let passed = ((passed * u128::from(multiplier)) >> 32) as u64;
            return (ns_base.wrapping_add(passed), offset);
        }
        core::hint::spin_loop();
    }
}

/// The time stamp counter, unscaled: for measurements.
#[must_use]
#[inline(always)]
pub fn counter() -> u64 {
    ticks()
}

#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: the instruction exists on every x86-64 and user mode may use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::sync::atomic::Ordering::Relaxed;

    use kiln_object::startup::KernelInformation;

    fn information(version: u64) -> KernelInformation {
        let information = KernelInformation::default();
        information.version.store(version, Relaxed);
        information.tsc_base.store(1_000, Relaxed);
        information.ns_base.store(50, Relaxed);
        information.multiplier.store(1 << 31, Relaxed);
        information.wall_clock_offset.store(7, Relaxed);
        information
    }

    #[test]
    fn ticks_are_scaled_from_the_base() {
        assert_eq!(super::read(&information(2), || 3_000), (1_050, 7));
    }

    #[test]
    fn a_counter_behind_the_base_does_not_turn_time_back() {
        assert_eq!(super::read(&information(0), || 999), (50, 7));
    }

    #[test]
    fn centuries_do_not_overflow() {
        let (now, _) = super::read(&information(0), || u64::MAX);
        assert_eq!(now, 50 + (u64::MAX - 1_000) / 2);
    }

    #[test]
    fn a_page_that_is_being_written_is_read_again() {
        let information = information(3);
        let reads = Cell::new(0);
        let (now, _) = super::read(&information, || {
            reads.set(reads.get() + 1);
            match reads.get() {
                1 => information.version.store(4, Relaxed),
                2 => {
                    information.ns_base.store(100, Relaxed);
                    information.version.store(6, Relaxed);
                }
                _ => {}
            }
            1_000
        });
        assert_eq!((now, reads.get()), (100, 3));
    }

    #[test]
    fn time_passes() {
        let before = super::monotonic_ns();
        assert!(super::wall_clock_ns() > before);
        assert!(super::monotonic_ns() >= before);
    }
}
