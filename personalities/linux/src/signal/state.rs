//! The program's vector and floating-point state in memory, as a signal frame holds it.
//!
//! The format is the processor's (`xsave`, or `fxsave` where that is missing) with Linux's words in
//! the part that is software's. An image that the program may have touched is made one that the
//! processor takes, since a refusal would be a fault of the library.

use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::entry::VectorSave;
use crate::errno::Errno;
use crate::program_memory;

/// Magic words around an extended state (`asm/sigcontext.h`).
const XSTATE_MAGIC_1: u32 = 0x4650_5853;
const XSTATE_MAGIC_2: u32 = 0x4650_5845;

/// Bytes of the legacy area, and where in it software may keep what it wants.
const LEGACY_BYTES: usize = 512;
const SOFTWARE_OFFSET: usize = 464;
const XMM_OFFSET: usize = 160;
const MXCSR_OFFSET: usize = 24;
const MXCSR_MASK_OFFSET: usize = 28;

/// How the processor saves its vector and floating-point state.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateFormat {
    /// Bytes of the image; [`LEGACY_BYTES`] without `xsave`.
    bytes: usize,
    /// Enabled features (XCR0); zero without `xsave`.
    features: u64,
}

impl StateFormat {
    pub(super) fn find() -> Self {
        use core::arch::x86_64::{__cpuid, __cpuid_count};
        const OSXSAVE: u32 = 1 << 27;
        if __cpuid(1).ecx & OSXSAVE == 0 {
            return Self {
                bytes: LEGACY_BYTES,
                features: 0,
            };
        }
        let (low, high): (u32, u32);
        // SAFETY: `xgetbv` of register 0 exists where OSXSAVE is set.
        unsafe {
            core::arch::asm!(
                "xgetbv",
                in("ecx") 0,
                out("eax") low,
                out("edx") high,
                options(nomem, nostack, preserves_flags),
            );
        }
        Self {
            bytes: __cpuid_count(0xd, 0).ebx as usize,
            features: u64::from(high) << 32 | u64::from(low),
        }
    }

    pub(super) fn is_extended(self) -> bool {
        self.features != 0
    }

    /// Bytes in the frame: an extended state has a second magic word behind it.
    pub(super) fn frame_bytes(self) -> u64 {
        self.bytes as u64 + if self.is_extended() { 4 } else { 0 }
    }
}

/// An image of the state, at an address that is a multiple of 64.
pub(super) struct StateImage {
    memory: Vec<u8>,
    start: usize,
    format: StateFormat,
}

impl StateImage {
    fn new(format: StateFormat) -> Self {
        let memory = vec![0_u8; format.frame_bytes() as usize + 64];
        let start = memory.as_ptr().align_offset(64);
        Self {
            memory,
            start,
            format,
        }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let end = self.start + self.format.frame_bytes() as usize;
        self.memory.get_mut(self.start..end).unwrap_or_default()
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(room) = self.bytes().get_mut(at..at + value.len()) {
            room.copy_from_slice(value);
        }
    }

    fn word(&mut self, at: usize) -> u32 {
        self.bytes()
            .get(at..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Takes the registers' state, the low vector halves from `vectors`.
    pub(super) fn capture(format: StateFormat, vectors: &VectorSave) -> Self {
        let mut image = Self::new(format);
        let address = image.bytes().as_mut_ptr();
        // SAFETY: the image is writable, aligned to 64 and as long as the processor says that it
        // needs; its header is zero.
        unsafe {
            if format.is_extended() {
                core::arch::asm!(
                    "xsave64 [{}]",
                    in(reg) address,
                    in("eax") u32::MAX,
                    in("edx") u32::MAX,
                    options(nostack, preserves_flags),
                );
            } else {
                core::arch::asm!(
                    "fxsave64 [{}]",
                    in(reg) address,
                    options(nostack, preserves_flags),
                );
            }
        }
        image.put(XMM_OFFSET, vectors.0.as_bytes());
        if format.is_extended() {
            // The low halves are the program's whatever the processor thought of ours.
            const SSE: u8 = 2;
            if let Some(features) = image.bytes().get_mut(LEGACY_BYTES) {
                *features |= SSE;
            }
            let bytes = format.bytes;
            image.put(SOFTWARE_OFFSET, &XSTATE_MAGIC_1.to_le_bytes());
            image.put(SOFTWARE_OFFSET + 4, &(bytes as u32 + 4).to_le_bytes());
            image.put(SOFTWARE_OFFSET + 8, &format.features.to_le_bytes());
            image.put(SOFTWARE_OFFSET + 16, &(bytes as u32).to_le_bytes());
            image.put(bytes, &XSTATE_MAGIC_2.to_le_bytes());
        }
        image
    }

    /// The low vector halves.
    pub(super) fn vectors(&mut self) -> VectorSave {
        let mut vectors = VectorSave::default();
        if let Some(bytes) = self.bytes().get(XMM_OFFSET..XMM_OFFSET + 256) {
            vectors.0.as_mut_bytes().copy_from_slice(bytes);
        }
        vectors
    }

    /// Loads the image into the processor; the low vector halves are then the library's again.
    pub(super) fn load(&mut self) {
        let extended = self.format.is_extended();
        let address = self.bytes().as_ptr();
        // SAFETY: the image was written by the processor or made valid by `read`. The vector
        // registers that the compiler knows are declared, and it uses no other state.
        unsafe {
            if extended {
                core::arch::asm!(
                    "xrstor64 [{}]",
                    in(reg) address,
                    in("eax") u32::MAX,
                    in("edx") u32::MAX,
                    clobber_abi("sysv64"),
                    options(nostack, readonly),
                );
            } else {
                core::arch::asm!(
                    "fxrstor64 [{}]",
                    in(reg) address,
                    clobber_abi("sysv64"),
                    options(nostack, readonly),
                );
            }
        }
    }

    /// Reads an image that the program may have changed, and makes it one that the processor takes.
    pub(super) fn read(format: StateFormat, address: u64) -> Result<Self, Errno> {
        let mut mask = Self::new(format);
        let mxcsr_mask = {
            let mut legacy = Self::capture(format, &VectorSave::default());
            match legacy.word(MXCSR_MASK_OFFSET) {
                0 => 0xffbf,
                other => other,
            }
        };
        let image = &mut mask;
        program_memory::copy_in(address, image.bytes())?;
        let mxcsr = image.word(MXCSR_OFFSET) & mxcsr_mask;
        image.put(MXCSR_OFFSET, &mxcsr.to_le_bytes());
        if format.is_extended() {
            let is_whole = image.word(SOFTWARE_OFFSET) == XSTATE_MAGIC_1
                && image.word(SOFTWARE_OFFSET + 16) as usize == format.bytes
                && image.word(format.bytes) == XSTATE_MAGIC_2;
            let features = if is_whole {
                let low = u64::from(image.word(LEGACY_BYTES));
                let high = u64::from(image.word(LEGACY_BYTES + 4));
                (high << 32 | low) & format.features
            } else {
                // Only the legacy area can be trusted to be there.
                3
            };
            image.put(LEGACY_BYTES, &features.to_le_bytes());
            image.put(LEGACY_BYTES + 8, &[0; 56]);
        }
        Ok(mask)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_numbers() -> VectorSave {
        let mut vectors = VectorSave::default();
        for (index, register) in vectors.0.iter_mut().enumerate() {
            *register = (index as u128 + 1) << 64 | 0x1234;
        }
        vectors
    }

    #[test]
    fn an_image_comes_back_as_it_was() {
        let format = StateFormat::find();
        let mut image = StateImage::capture(format, &with_numbers());
        assert_eq!(image.bytes().as_ptr() as usize % 64, 0);
        let address = image.bytes().as_ptr() as u64;
        let mut back = StateImage::read(format, address).unwrap();
        assert_eq!(back.vectors().0, with_numbers().0);
        assert_eq!(
            back.bytes()[..SOFTWARE_OFFSET],
            image.bytes()[..SOFTWARE_OFFSET]
        );
        assert_eq!(back.bytes()[LEGACY_BYTES..], image.bytes()[LEGACY_BYTES..]);
        back.load();
    }

    #[test]
    fn a_frame_without_the_extended_part_restores_the_legacy_part() {
        let format = StateFormat::find();
        let mut image = StateImage::capture(format, &with_numbers());
        image.put(SOFTWARE_OFFSET, &[0; 4]);
        let address = image.bytes().as_ptr() as u64;
        let mut back = StateImage::read(format, address).unwrap();
        assert_eq!(back.vectors().0, with_numbers().0);
        if format.is_extended() {
            assert_eq!(back.word(LEGACY_BYTES), 3);
        }
    }

    proptest! {
        // A refused image would end the test by a signal.
        #[test]
        fn the_processor_takes_what_was_read(
            changes in prop::collection::vec((0_usize..4096, any::<u8>()), 0..64),
            keep_magic: bool,
        ) {
            let format = StateFormat::find();
            let mut image = StateImage::capture(format, &with_numbers());
            let length = image.bytes().len();
            for (at, value) in changes {
                let at = at % length;
                let is_magic = at >= format.bytes
                    || (SOFTWARE_OFFSET..SOFTWARE_OFFSET + 20).contains(&at);
                if !(keep_magic && is_magic) {
                    image.put(at, &[value]);
                }
            }
            let address = image.bytes().as_ptr() as u64;
            let mut back = StateImage::read(format, address).unwrap();
            back.load();
            // The test goes on with exceptions masked, whatever was loaded.
            StateImage::capture(format, &VectorSave::default());
            reset();
        }
    }

    fn reset() {
        let mxcsr = 0x1f80_u32;
        // SAFETY: these are the settings that Rust code expects.
        unsafe {
            core::arch::asm!("fninit", "ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack));
        }
    }
}
