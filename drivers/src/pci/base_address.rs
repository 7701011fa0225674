//! Base address registers: where in physical memory a device's registers are.
//!
//! Only read. Finding out a range's size would mean writing to the register while the device does
//! not answer, and nobody here needs the size. Source: PCI Local Bus specification 3.0, section
//! 6.2.5.1.

#![forbid(unsafe_code)]

use super::{ConfigurationAccess, DeviceFunction};

const FIRST: u8 = 0x10;
const COUNT: u8 = 6;

/// Why there are no registers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMemory {
    /// There is no base address register of that number.
    NoRegister,
    /// The registers are ports.
    Ports,
    /// A kind of address that the specification does not define.
    UnknownKind,
    /// Firmware gave the range no address.
    NoAddress,
}

/// Physical address of the memory range in base address register `index`.
///
/// # Errors
/// [`NoMemory`] says why there is none.
pub fn memory(
    access: &impl ConfigurationAccess,
    place: DeviceFunction,
    index: u8,
) -> Result<u64, NoMemory> {
    if index >= COUNT {
        return Err(NoMemory::NoRegister);
    }
    let register = FIRST + 4 * index;
    let low = access.read_word(place, register);
    let high = match low & 7 {
        0 => 0,
        4 if index + 1 < COUNT => access.read_word(place, register + 4),
        4 => return Err(NoMemory::NoRegister),
        kind if kind & 1 != 0 => return Err(NoMemory::Ports),
        _ => return Err(NoMemory::UnknownKind),
    };
    match u64::from(high) << 32 | u64::from(low & !0xf) {
        0 => Err(NoMemory::NoAddress),
        address => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{Everywhere, MadeUp};
    use super::*;
    use proptest::prelude::*;

    const PLACE: DeviceFunction = DeviceFunction {
        bus: 0,
        device: 1,
        function: 0,
    };

    #[test]
    fn each_kind_of_register_is_told_apart() {
        let bus = MadeUp::default().with(
            (0, 1, 0),
            &[
                (0x10, 0xc001),
                (0x14, 0xfebd_5000),
                (0x18, 0x0000_400c),
                (0x1c, 0x38_0000),
                (0x20, 0x0000_0004),
                (0x24, 0xfeb0_0004),
            ],
        );
        let memory = |index| memory(&bus, PLACE, index);
        assert_eq!(memory(0), Err(NoMemory::Ports));
        assert_eq!(memory(1), Ok(0xfebd_5000));
        assert_eq!(memory(2), Ok(0x0038_0000_0000_4000));
        assert_eq!(memory(4), Ok(0xfeb0_0004_0000_0000));
        // The upper half of the last register would lie behind it.
        assert_eq!(memory(5), Err(NoMemory::NoRegister));
        assert_eq!(memory(6), Err(NoMemory::NoRegister));
        assert_eq!(memory(255), Err(NoMemory::NoRegister));
        let empty = MadeUp::default().with((0, 1, 0), &[(0x14, 0x2)]);
        assert_eq!(super::memory(&empty, PLACE, 0), Err(NoMemory::NoAddress));
        assert_eq!(super::memory(&empty, PLACE, 1), Err(NoMemory::UnknownKind));
    }

    proptest! {
        #[test]
        fn any_register_is_an_aligned_address_or_none(
            words in prop::collection::vec(any::<u32>(), 64), index in any::<u8>()
        ) {
            if let Ok(address) = memory(&Everywhere(words), PLACE, index) {
                prop_assert!(index < COUNT && address != 0 && address % 16 == 0);
            }
        }
    }
}
