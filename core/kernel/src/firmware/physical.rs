//! Reading what firmware and boot loaders left in physical memory.
//!
//! Nothing there is trusted: parsers get bytes copied out through this trait, so that the same
//! code runs on made-up memory in tests, and an address out of reach is an answer, not a fault.

/// The address is not readable memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfReach;

/// Physical memory that can be copied from.
pub trait PhysicalMemory {
    /// Copies bytes from a physical address.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), OutOfReach>;

    /// The byte at an address.
    fn u8(&self, address: u64) -> Result<u8, OutOfReach> {
        let mut bytes = [0; 1];
        self.read(address, &mut bytes)?;
        Ok(bytes[0])
    }

    /// The little-endian word at an address.
    fn u16(&self, address: u64) -> Result<u16, OutOfReach> {
        let mut bytes = [0; 2];
        self.read(address, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// The little-endian double word at an address.
    fn u32(&self, address: u64) -> Result<u32, OutOfReach> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The little-endian quad word at an address.
    fn u64(&self, address: u64) -> Result<u64, OutOfReach> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Where the boot page tables map physical address 0, and the kernel's own tables after them.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

/// How much of physical memory the boot page tables map there.
pub const DIRECT_MAP_BYTES: u64 = 4 << 30;

/// The first 4 GiB, as the direct map shows them.
#[derive(Clone, Copy, Debug)]
pub struct DirectMap(());

impl DirectMap {
    /// The direct map, for a kernel that runs on its own page tables.
    ///
    /// # Safety
    /// The first 4 GiB must be mapped at [`DIRECT_MAP`]; and what is read through it must be
    /// memory or nothing: addresses come from firmware tables, which do not name devices where
    /// tables are expected.
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl PhysicalMemory for DirectMap {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), OutOfReach> {
        let end = address.checked_add(into.len() as u64).ok_or(OutOfReach)?;
        if end > DIRECT_MAP_BYTES {
            return Err(OutOfReach);
        }
        // SAFETY: the range is mapped (see `new`); the destination is a Rust slice, elsewhere or
        // not: the copy goes through a raw pointer and tolerates overlap.
        unsafe {
            core::ptr::copy(
                (DIRECT_MAP + address) as *const u8,
                into.as_mut_ptr(),
                into.len(),
            );
        }
        Ok(())
    }
}

/// Made-up memory for tests: pieces at addresses.
#[cfg(test)]
pub(crate) mod pieces {
    use super::*;
    use std::vec::Vec;

    #[derive(Debug, Default)]
    pub(crate) struct Pieces(pub(crate) Vec<(u64, Vec<u8>)>);

    impl PhysicalMemory for Pieces {
        fn read(&self, address: u64, into: &mut [u8]) -> Result<(), OutOfReach> {
            for (start, bytes) in &self.0 {
                if let Some(offset) = address.checked_sub(*start)
                    && let Ok(offset) = usize::try_from(offset)
                    && let Some(end) = offset.checked_add(into.len())
                    && let Some(piece) = bytes.get(offset..end)
                {
                    into.copy_from_slice(piece);
                    return Ok(());
                }
            }
            Err(OutOfReach)
        }
    }
}
