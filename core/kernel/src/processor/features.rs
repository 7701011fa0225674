//! What the processor offers, asked once through CPUID, and switched on.
//!
//! The same code runs on each processor. A feature that only some processors of a machine have
//! is not supported: the first one's answer counts.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bitflags::bitflags;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;
use x86_64::registers::xcontrol::XCr0;

use crate::rolled::rolled;

bitflags! {
    /// Features that some part of the kernel decides by.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// RDFSBASE and its kin work in user mode.
        const FSGSBASE = 1 << 0;
        /// Supervisor-mode execution prevention.
        const SMEP = 1 << 1;
        /// Supervisor-mode access prevention: STAC and CLAC exist.
        const SMAP = 1 << 2;
        /// XSAVE is on and the enabled state components are in XCR0.
        const XSAVE = 1 << 3;
        /// XSAVEOPT exists.
        const XSAVEOPT = 1 << 4;
        /// XSAVEC exists.
        const XSAVEC = 1 << 5;
        /// Protection keys for user pages are on.
        const PKU = 1 << 6;
        /// User-mode instruction prevention.
        const UMIP = 1 << 7;
        /// Pages can be marked no-execute.
        const NX = 1 << 8;
        /// 1 GiB pages.
        const HUGE_PAGES = 1 << 9;
        /// Process-context identifiers.
        const PCID = 1 << 10;
        /// INVPCID exists.
        const INVPCID = 1 << 11;
        /// Enhanced REP MOVSB.
        const ERMS = 1 << 12;
        /// The x2APIC interface to the local APIC.
        const X2APIC = 1 << 13;
        /// The local APIC timer has TSC-deadline mode.
        const TSC_DEADLINE = 1 << 14;
        /// The time stamp counter runs at one rate for ever.
        const INVARIANT_TSC = 1 << 15;
        /// RDTSCP and RDPID's source register exist.
        const RDTSCP = 1 << 16;
        /// RDRAND exists.
        const RDRAND = 1 << 17;
        /// RDSEED exists.
        const RDSEED = 1 << 18;
        /// A hypervisor runs this machine.
        const HYPERVISOR = 1 << 19;
        /// Global pages.
        const GLOBAL_PAGES = 1 << 20;
        /// XGETBV tells which state components are in use.
        const XINUSE = 1 << 21;
    }
}

/// What is of no use without XSAVE.
const BY_XSAVE: Features = Features::XSAVEOPT
    .union(Features::XSAVEC)
    .union(Features::XINUSE)
    .union(Features::PKU);

/// A CPUID leaf, zero in all registers if the processor has no such leaf.
fn leaf(number: u32, sub: u32) -> [u32; 4] {
    let highest = __cpuid(number & 0xffff_0000).eax;
    if number < number & 0xffff_0000
        || highest < number
        || highest & 0xffff_0000 != number & 0xffff_0000
    {
        return [0; 4];
    }
    let answer = __cpuid_count(number, sub);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
}

impl Features {
    /// Asks the running processor; also what belongs into its CR4.
    fn ask() -> (Self, Cr4Flags) {
        let (mut found, mut control) = (Self::empty(), ALWAYS_ON);
        let (mut asked, mut answer) = (0, [0; 4]);
        for place in rolled(&PLACES) {
            if place.leaf.0 != asked {
                asked = place.leaf.0;
                answer = leaf(place.leaf.0, place.leaf.1);
            }
            if answer[place.register as usize] >> place.bit & 1 != 0 {
                found = found.union(place.feature);
                control = control.union(place.control);
            }
        }
        if !found.contains(Self::XSAVE) {
            found.remove(BY_XSAVE);
            control.remove(Cr4Flags::PROTECTION_KEY_USER);
        }
        (found, control)
    }
}

/// A register of a leaf's answer.
#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// What every processor has on.
const ALWAYS_ON: Cr4Flags = Cr4Flags::OSFXSR
    .union(Cr4Flags::OSXMMEXCPT_ENABLE)
    .union(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
    .union(Cr4Flags::MACHINE_CHECK_EXCEPTION);

const NOTHING: Cr4Flags = Cr4Flags::empty();

/// Where the processor tells of a feature, and what is switched on for it.
struct Place {
    /// Leaf and subleaf.
    leaf: (u32, u32),
    register: Register,
    bit: u8,
    feature: Features,
    control: Cr4Flags,
}

const fn place(
    leaf: (u32, u32),
    register: Register,
    bit: u8,
    feature: Features,
    control: Cr4Flags,
) -> Place {
    Place {
        leaf,
        register,
        bit,
        feature,
        control,
    }
}

/// A leaf's features stand together. Data, not code: it is gone through once.
#[rustfmt::skip]
static PLACES: [Place; 22] = [
    place((1, 0), Register::Ecx, 17, Features::PCID, NOTHING),
    place((1, 0), Register::Ecx, 21, Features::X2APIC, NOTHING),
    place((1, 0), Register::Ecx, 24, Features::TSC_DEADLINE, NOTHING),
    place((1, 0), Register::Ecx, 26, Features::XSAVE, Cr4Flags::OSXSAVE),
    place((1, 0), Register::Ecx, 30, Features::RDRAND, NOTHING),
    place((1, 0), Register::Ecx, 31, Features::HYPERVISOR, NOTHING),
    place((1, 0), Register::Edx, 13, Features::GLOBAL_PAGES, Cr4Flags::PAGE_GLOBAL),
    place((7, 0), Register::Ebx, 0, Features::FSGSBASE, Cr4Flags::FSGSBASE),
    place((7, 0), Register::Ebx, 7, Features::SMEP, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
    place((7, 0), Register::Ebx, 9, Features::ERMS, NOTHING),
    place((7, 0), Register::Ebx, 10, Features::INVPCID, NOTHING),
    place((7, 0), Register::Ebx, 18, Features::RDSEED, NOTHING),
    place((7, 0), Register::Ebx, 20, Features::SMAP, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
    place((7, 0), Register::Ecx, 2, Features::UMIP, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
    place((7, 0), Register::Ecx, 3, Features::PKU, Cr4Flags::PROTECTION_KEY_USER),
    place((0xd, 1), Register::Eax, 0, Features::XSAVEOPT, NOTHING),
    place((0xd, 1), Register::Eax, 1, Features::XSAVEC, NOTHING),
    place((0xd, 1), Register::Eax, 2, Features::XINUSE, NOTHING),
    place((0x8000_0001, 0), Register::Edx, 20, Features::NX, NOTHING),
    place((0x8000_0001, 0), Register::Edx, 26, Features::HUGE_PAGES, NOTHING),
    place((0x8000_0001, 0), Register::Edx, 27, Features::RDTSCP, NOTHING),
    place((0x8000_0007, 0), Register::Edx, 8, Features::INVARIANT_TSC, NOTHING),
];

static FEATURES: AtomicU32 = AtomicU32::new(0);
/// CR4 of every processor.
static CONTROL: AtomicU64 = AtomicU64::new(0);
static EXTENDED_STATE: AtomicU64 = AtomicU64::new(0);
static EXTENDED_STATE_BYTES: AtomicU32 = AtomicU32::new(512);

/// The machine's features; empty before the boot processor is initialised.
pub fn features() -> Features {
    Features::from_bits_truncate(FEATURES.load(Ordering::Relaxed))
}

/// The state components in XCR0; x87 and SSE alone where there is no XSAVE.
pub fn extended_state_components() -> u64 {
    EXTENDED_STATE.load(Ordering::Relaxed)
}

/// Bytes of an XSAVE area in standard format for those components; 512 (FXSAVE) without XSAVE.
pub fn extended_state_bytes() -> u32 {
    EXTENDED_STATE_BYTES.load(Ordering::Relaxed)
}

/// State components that user programs may use: x87, SSE, AVX, the three of AVX-512, PKRU.
const USABLE_COMPONENTS: u64 = 0b11 | 1 << 2 | 0b111 << 5 | 1 << 9;

/// XCR0 must not have AVX-512 in part, nor without AVX (Intel manual volume 1, section 13.3).
fn consistent_components(offered: u64) -> u64 {
    let mut chosen = offered & USABLE_COMPONENTS | 0b11;
    if chosen & 1 << 2 == 0 || chosen & 0b111 << 5 != 0b111 << 5 {
        chosen &= !(0b111 << 5);
    }
    chosen
}

/// Switches on what the running processor has, the same on each processor.
pub(super) fn enable() {
    if FEATURES.load(Ordering::Relaxed) == 0 {
        let (features, control) = Features::ask();
        FEATURES.store(features.bits(), Ordering::Relaxed);
        CONTROL.store(control.bits(), Ordering::Relaxed);
    }
    write_control();

    if features().contains(Features::XSAVE) {
        enable_extended_state();
    } else {
        EXTENDED_STATE.store(0b11, Ordering::Relaxed);
    }
    if features().contains(Features::RDTSCP) {
        // SAFETY: IA32_TSC_AUX exists with RDTSCP; the number is what RDPID hands to programs.
        unsafe { Msr::new(0xc000_0103).write(u64::from(super::PerCpu::here().cpu_number.get())) };
    }
}

fn write_control() {
    // SAFETY: each flag's feature is there; paging, SSE and page formats stay as they are, and
    // nothing of the kernel lies in user pages that SMEP or SMAP would now refuse.
    unsafe { Cr4::write_raw(CONTROL.load(Ordering::Relaxed)) };
}

/// Enables the state components that programs may use; XSAVE is on.
fn enable_extended_state() {
    let [low, _, _, high] = leaf(0xd, 0);
    let components = consistent_components(u64::from(high) << 32 | u64::from(low));
    // SAFETY: OSXSAVE is on; the components are offered and consistent.
    unsafe { XCr0::write_raw(components) };
    let [_, bytes, ..] = leaf(0xd, 0);
    // CPUID goes to the hypervisor if there is one, and coming back it sets XCR0 to what it believes
    // that to be. One that was never told (QEMU's emulated SVM does not intercept XSETBV) takes
    // away what was enabled, and XSAVE would lose the vector registers.
    if XCr0::read_raw() == components {
        EXTENDED_STATE.store(components, Ordering::Relaxed);
        EXTENDED_STATE_BYTES.store(bytes, Ordering::Relaxed);
    } else {
        do_without_xsave();
    }
}

/// Has every processor keep x87 and SSE alone, by FXSAVE.
#[cold]
fn do_without_xsave() {
    let mut features = features();
    features.remove(Features::XSAVE.union(BY_XSAVE));
    FEATURES.store(features.bits(), Ordering::Relaxed);
    let off = Cr4Flags::OSXSAVE.union(Cr4Flags::PROTECTION_KEY_USER);
    CONTROL.fetch_and(!off.bits(), Ordering::Relaxed);
    write_control();
    EXTENDED_STATE.store(0b11, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avx512_is_enabled_whole_or_not_at_all() {
        assert_eq!(consistent_components(0xe7), 0xe7);
        assert_eq!(consistent_components(0x67), 0x07);
        assert_eq!(consistent_components(0xe3), 0x03);
        assert_eq!(consistent_components(0), 0x03);
    }

    #[test]
    fn components_beyond_the_usable_ones_stay_off() {
        assert_eq!(consistent_components(u64::MAX), USABLE_COMPONENTS);
    }

    #[test]
    fn a_leaf_beyond_the_highest_is_empty() {
        assert_eq!(leaf(0x7fff, 0), [0; 4]);
        assert_ne!(leaf(1, 0)[3], 0);
    }
}
