//! KVM's clock: the hypervisor says how fast the counter runs and what time it is.
//!
//! Asked once: the answer's scale is what this kernel's clock runs on, so that user mode reads
//! plain numbers. Source: Linux `Documentation/virt/kvm/x86/msr.rst` and `cpuid.rst`.

use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use x86_64::registers::model_specific::Msr;

use crate::processor::{Features, features};

/// What the hypervisor said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KvmClock {
    /// Nanoseconds for each count, 32.32.
    pub multiplier: u64,
    /// Wall-clock time now, in nanoseconds since 1970.
    pub wall_ns: Option<u64>,
}

/// Both structures that the hypervisor fills in, as words that change behind our back.
#[repr(C, align(64))]
struct Shared {
    clock: [AtomicU32; 8],
    wall: [AtomicU32; 4],
}

static SHARED: Shared = Shared {
    clock: [const { AtomicU32::new(0) }; 8],
    wall: [const { AtomicU32::new(0) }; 4],
};

/// The machine registers for the wall clock and the system time, if KVM offers them.
// Not inlined: this runs a few times at boot, and once compiled is enough.
#[inline(never)]
fn registers() -> Option<(u32, u32)> {
    if !features().contains(Features::HYPERVISOR) {
        return None;
    }
    // Another hypervisor's interface may come first, KVM's then follows 0x100 further.
    let base = (0x4000_0000..0x4000_1000).step_by(0x100).find(|leaf| {
        let answer = __cpuid(*leaf);
        [answer.ebx, answer.ecx, answer.edx].map(u32::to_le_bytes)
            == [*b"KVMK", *b"VMKV", *b"M\0\0\0"]
    })?;
    let offered = __cpuid(base + 1).eax;
    if offered & 1 << 3 != 0 {
        Some((0x4b56_4d00, 0x4b56_4d01))
    } else if offered & 1 != 0 {
        Some((0x11, 0x12))
    } else {
        None
    }
}

/// Reads words of a structure whose first is an even version when they belong together.
fn consistent<const N: usize>(words: &[AtomicU32; N]) -> Option<[u32; N]> {
    for _ in 0..1000 {
        let version = words[0].load(Ordering::Acquire);
        let copy = core::array::from_fn(|index| words[index].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if version & 1 == 0 && version != 0 && words[0].load(Ordering::Relaxed) == version {
            return Some(copy);
        }
        core::hint::spin_loop();
    }
    None
}

fn wide(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// 32.32 fixed point out of KVM's pair: a 0.32 fraction, and a shift of the counter before it.
fn multiplier(fraction: u32, shift: i8) -> u64 {
    let fraction = u64::from(fraction);
    match shift {
        0..32 => fraction << shift,
        -31..0 => fraction >> -shift,
        _ => 0,
    }
}

/// Whether the hypervisor is one that answers.
pub(super) fn is_offered() -> bool {
    registers().is_some()
}

/// Asks the hypervisor, if it is one that answers.
pub(super) fn read() -> Option<KvmClock> {
    let (wall_register, time_register) = registers()?;
    let clock = crate::boot::physical_of((&raw const SHARED.clock).cast());
    let wall = crate::boot::physical_of((&raw const SHARED.wall).cast());
    // SAFETY: the hypervisor offers the registers; the structures are static, aligned, and within
    // one page. After the read it is told to stop writing.
    let (words, wall_words, counter) = unsafe {
        Msr::new(time_register).write(clock | 1);
        Msr::new(wall_register).write(wall);
        let answer = (
            consistent(&SHARED.clock),
            consistent(&SHARED.wall),
            super::counter(),
        );
        Msr::new(time_register).write(0);
        answer
    };
    let [
        _,
        _,
        stamp_low,
        stamp_high,
        time_low,
        time_high,
        fraction,
        flags,
    ] = words?;
    let multiplier = multiplier(fraction, (flags & 0xff) as u8 as i8);
    if multiplier == 0 {
        return None;
    }
    let since = counter.saturating_sub(wide(stamp_low, stamp_high));
    let passed = ((u128::from(since) * u128::from(multiplier)) >> 32) as u64;
    let system = wide(time_low, time_high).wrapping_add(passed);
    let wall_ns = wall_words.map(|[_, seconds, nanoseconds, _]| {
        u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds) + system
    });
    Some(KvmClock {
        multiplier,
        wall_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_hypervisors() {
        // 2 GHz: half a nanosecond for each count.
        assert_eq!(multiplier(0x8000_0000, 0), 1 << 31);
        assert_eq!(multiplier(0x8000_0000, -1), 1 << 30);
        assert_eq!(multiplier(0x8000_0000, 1), 1 << 32);
        assert_eq!(multiplier(0x8000_0000, -40), 0);
    }

    #[test]
    fn an_odd_version_is_never_believed() {
        let words = [const { AtomicU32::new(3) }; 4];
        assert_eq!(consistent(&words), None);
        words[0].store(4, Ordering::Relaxed);
        assert_eq!(consistent(&words), Some([4, 3, 3, 3]));
    }
}
