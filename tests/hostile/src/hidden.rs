//! State that travels in no general or vector register: FS base, GS base, key rights, x87, MXCSR.

#[cfg(kiln_freestanding)]
pub use freestanding::{look, save_legacy, set_key_rights, spoil};

#[cfg(not(kiln_freestanding))]
pub use host::{look, save_legacy, set_key_rights, spoil};

/// Whether the bases can be read and written by instructions.
pub fn has_base_instructions() -> bool {
    use core::sync::atomic::Ordering;
    kiln_runtime::kernel_information()
        .features
        .load(Ordering::Relaxed)
        & 1
        != 0
}

/// Whether the protection keys' rights can be set (the kernel switched them on).
pub fn has_key_rights() -> bool {
    core::arch::x86_64::__cpuid_count(7, 0).ecx & 1 << 4 != 0
}

/// FXSAVE's area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Legacy(pub [u8; 512]);

impl Legacy {
    /// The x87 control word, the tags of its registers, and MXCSR (SDM volume 1, 10.5.1).
    pub fn controls(&self) -> (u16, u8, u32) {
        let bytes = &self.0;
        (
            u16::from_le_bytes([bytes[0], bytes[1]]),
            bytes[4],
            u32::from_le_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]),
        )
    }

    /// The x87 registers.
    pub fn registers(&self) -> &[u8] {
        &self.0[32..160]
    }
}

#[cfg(kiln_freestanding)]
mod freestanding {
    use core::arch::asm;

    use super::{Legacy, has_base_instructions, has_key_rights};

    /// FS base, GS base, key rights; zero where they cannot be read.
    pub fn look() -> [u64; 3] {
        let (mut fs, mut gs, mut rights) = (0u64, 0u64, 0u32);
        // SAFETY: the instructions are there as far as asked.
        unsafe {
            if has_base_instructions() {
                asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack));
            }
            if has_key_rights() {
                asm!("rdpkru", in("ecx") 0, out("eax") rights, out("edx") _, options(nomem, nostack));
            }
        }
        [fs, gs, u64::from(rights)]
    }

    /// Sets the key rights; those of key 0 rule all memory that there is.
    pub fn set_key_rights(rights: u32) {
        // SAFETY: the caller asked whether they are there.
        unsafe {
            asm!("wrpkru", in("ecx") 0, in("edx") 0, in("eax") rights, options(nostack));
        }
    }

    /// The legacy state.
    pub fn save_legacy() -> Legacy {
        let mut legacy = Legacy([0; 512]);
        // SAFETY: the area is aligned and as long as it must be.
        unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut legacy, options(nostack)) };
        legacy
    }

    /// Leaves marks wherever it can without hurting the one who does it.
    pub fn spoil() {
        let round_to_zero = 0x1f80u32 | 3 << 13;
        // SAFETY: nothing here uses FS, the x87 registers or a rounding mode.
        unsafe {
            if has_base_instructions() {
                asm!("wrfsbase {}", in(reg) 0x5e5e_5e5e_5e5eu64, options(nomem, nostack));
            }
            asm!("fld1", "fldpi", "ldmxcsr [{}]", in(reg) &raw const round_to_zero, options(nostack));
        }
        if has_key_rights() {
            // Key 1 alone: no page here has it.
            set_key_rights(0b1100);
        }
    }
}

#[cfg(not(kiln_freestanding))]
mod host {
    use super::Legacy;

    pub fn look() -> [u64; 3] {
        [0; 3]
    }

    pub fn set_key_rights(_rights: u32) {}

    pub fn save_legacy() -> Legacy {
        Legacy([0; 512])
    }

    pub fn spoil() {}
}
