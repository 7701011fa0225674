//! Time: one clock made of the time stamp counter, the wall clock, and each processor's timer.
//!
//! The clock's parameters are plain numbers, fixed at boot: whoever can read the counter and the
//! numbers, user mode included, has the time without asking anybody.

mod calibration;
mod comparison;
mod kvm_clock;
pub mod timer;
mod wall;

use core::arch::x86_64::_rdtsc;
use core::sync::atomic::{AtomicU64, Ordering};
use kiln_object::startup::KernelInformation;
use spin::Mutex;

use crate::set_once::SetOnce;

/// How to make time out of the time stamp counter.
///
/// monotonic = `ns_base` + ((counter - `tsc_base`) * `multiplier` >> 32), with a 128-bit product;
/// wall clock = monotonic + `wall_offset_ns`. Times are in nanoseconds, the monotonic one since
/// the kernel's entry, the wall clock since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TimeInformation {
    /// Counter at `ns_base`.
    pub tsc_base: u64,
    /// Nanoseconds at `tsc_base`.
    pub ns_base: u64,
    /// Nanoseconds for each count, in 32.32 fixed point.
    pub multiplier: u64,
    /// Added to monotonic time makes it wall-clock time.
    pub wall_offset_ns: u64,
}

impl TimeInformation {
    /// The monotonic time of a counter value; one before the base counts as the base, which is
    /// how a processor whose counter lags a little never sees time run backwards.
    pub fn monotonic_ns(&self, counter: u64) -> u64 {
        let counts = counter.saturating_sub(self.tsc_base);
        let product = u128::from(counts) * u128::from(self.multiplier);
        self.ns_base.wrapping_add((product >> 32) as u64)
    }
}

/// The [`TimeInformation::multiplier`] for a counter of so many counts in a second.
fn multiplier(frequency_hz: u64) -> u64 {
    (1_000_000_000 << 32) / frequency_hz.max(1)
}

static TSC_BASE: AtomicU64 = AtomicU64::new(0);
/// Zero until somebody has asked for the time.
static MULTIPLIER: AtomicU64 = AtomicU64::new(0);
static WALL_OFFSET: AtomicU64 = AtomicU64::new(0);

/// What was begun to find out how fast the counter runs. One does; who asks meanwhile waits.
static SETTLING: Mutex<Option<calibration::Begun>> = Mutex::new(None);

/// Reads the time stamp counter.
#[inline]
pub fn counter() -> u64 {
    // SAFETY: the kernel may always read it.
    unsafe { _rdtsc() }
}

/// The clock's parameters, since `begin`.
pub fn information() -> TimeInformation {
    let known = MULTIPLIER.load(Ordering::Acquire);
    let multiplier = if known != 0 { known } else { settle() };
    TimeInformation {
        tsc_base: TSC_BASE.load(Ordering::Relaxed),
        ns_base: 0,
        multiplier,
        wall_offset_ns: WALL_OFFSET.load(Ordering::Relaxed),
    }
}

/// Nanoseconds since the kernel's entry.
pub fn monotonic_ns() -> u64 {
    information().monotonic_ns(counter())
}

/// Nanoseconds since 1970, or since the kernel's entry where the machine has no wall clock.
pub fn wall_clock_ns() -> u64 {
    let information = information();
    information
        .monotonic_ns(counter())
        .wrapping_add(information.wall_offset_ns)
}

/// The page that tells all processes, once there is one.
static PUBLISHED: SetOnce<&'static KernelInformation> = SetOnce::new();

/// One writer at a time: the page's version is a sequence lock.
static PUBLISHING: Mutex<()> = Mutex::new(());

/// Keeps `page` true from now on.
pub fn publish(page: &'static KernelInformation) {
    PUBLISHED.set(page);
    write_page();
}

/// Sets the wall clock, in nanoseconds since 1970, for the kernel and all processes.
pub fn set_wall_clock(now: u64) {
    WALL_OFFSET.store(now.wrapping_sub(monotonic_ns()), Ordering::Relaxed);
    write_page();
}

fn write_page() {
    let Some(page) = PUBLISHED.get() else { return };
    let _writing = PUBLISHING.lock();
    let time = information();
    page.version.fetch_add(1, Ordering::AcqRel);
    page.tsc_base.store(time.tsc_base, Ordering::Relaxed);
    page.ns_base.store(time.ns_base, Ordering::Relaxed);
    page.multiplier.store(time.multiplier, Ordering::Relaxed);
    page.wall_clock_offset
        .store(time.wall_offset_ns, Ordering::Relaxed);
    page.version.fetch_add(1, Ordering::Release);
}

/// Starts to find out how fast the counter runs; the firmware's tables have been read.
///
/// `entry_counter` is the counter's value at the kernel's entry.
pub(crate) fn begin(entry_counter: u64) {
    TSC_BASE.store(entry_counter, Ordering::Relaxed);
    if !kvm_clock::is_offered() {
        calibration::begin(&mut SETTLING.lock());
    }
}

/// Finds out how fast the counter runs and what time it is, when somebody first asks: whoever has
/// done something else since [`begin`] need not wait for a comparison. Answers the multiplier.
#[cold]
#[inline(never)]
fn settle() -> u64 {
    let mut begun = SETTLING.lock();
    let known = MULTIPLIER.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let kvm = kvm_clock::read();
    let found = match &kvm {
        Some(clock) => clock.multiplier,
        None => multiplier(calibration::counter_frequency_hz(&mut begun)),
    };
    let found = TimeInformation {
        tsc_base: TSC_BASE.load(Ordering::Relaxed),
        ns_base: 0,
        multiplier: found.max(1),
        wall_offset_ns: 0,
    };
    let wall = kvm.and_then(|clock| clock.wall_ns).or_else(wall::read_ns);
    let now = found.monotonic_ns(counter());
    let offset = wall.map_or(0, |wall| wall.saturating_sub(now));
    WALL_OFFSET.store(offset, Ordering::Relaxed);
    // Last, for those who look without the lock.
    MULTIPLIER.store(found.multiplier, Ordering::Release);
    found.multiplier
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_hour_at_three_gigahertz_is_an_hour() {
        let clock = TimeInformation {
            tsc_base: 1_000,
            ns_base: 5,
            multiplier: multiplier(3_000_000_000),
            wall_offset_ns: 0,
        };
        let hour = clock.monotonic_ns(1_000 + 3_600 * 3_000_000_000);
        // The fraction is cut at 32 bits: less than a microsecond in an hour.
        assert!(
            (3_600_000_000_005 - 2_000..=3_600_000_000_005).contains(&hour),
            "{hour}"
        );
        assert_eq!(clock.monotonic_ns(0), 5);
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards(
            first in any::<u32>(), later in any::<u32>(), hz in 1_000_000_u64..10_000_000_000
        ) {
            let clock = TimeInformation {
                tsc_base: 77, ns_base: 0, multiplier: multiplier(hz), wall_offset_ns: 0,
            };
            let first = u64::from(first);
            let later = first + u64::from(later);
            prop_assert!(clock.monotonic_ns(first) <= clock.monotonic_ns(later));
        }
    }
}
