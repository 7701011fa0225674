//! Where a virtio PCI device says its registers are.
//!
//! A device may offer a structure several times, best first; the first in usable memory counts.
//! Lengths that a device claims beyond what anybody needs are cut. Source: section 4.1.4.

#![forbid(unsafe_code)]

use core::fmt;

use crate::device_memory::{LARGEST, Registers};
use crate::pci::base_address::{self, NoMemory};
use crate::pci::capabilities::{Capability, capabilities};
use crate::pci::{ConfigurationAccess, DeviceFunction};

/// Capability identifier: the vendor's own.
const VENDOR: u8 = 9;
/// Bytes of a capability that describes a structure.
const DESCRIPTION_BYTES: u8 = 16;

/// A structure, by the number of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Structure {
    /// Features, status and queues.
    Common = 1,
    /// Where queues are notified.
    Notification = 2,
    /// Why the device interrupted.
    Interrupt = 3,
}

impl Structure {
    /// Bytes that are used, and the alignment they need.
    fn layout(self) -> (u64, u64) {
        match self {
            Self::Common => (56, 4),
            Self::Notification => (2, 2),
            Self::Interrupt => (1, 1),
        }
    }

    /// Bytes of the describing capability: notification has a multiplier behind.
    fn description_bytes(self) -> u8 {
        match self {
            Self::Notification => DESCRIPTION_BYTES + 4,
            _ => DESCRIPTION_BYTES,
        }
    }
}

/// Why a structure cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The device does not have it: no device by the modern standard.
    Missing,
    /// Its registers are not in memory.
    NoMemory(NoMemory),
    /// It is too small, misaligned, or goes over the end.
    Malformed,
}

/// A structure that cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(pub Structure, pub Reason);

/// Written out, because derived text of nested errors is a few KiB of an image.
impl fmt::Display for Unusable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self.0 {
            Structure::Common => "its common registers",
            Structure::Notification => "its notification registers",
            Structure::Interrupt => "its interrupt registers",
        })?;
        to.write_str(match self.1 {
            Reason::Missing => " are missing: it is older than the standard",
            Reason::NoMemory(NoMemory::NoAddress) => " got no address from firmware",
            Reason::NoMemory(NoMemory::Ports) => " are ports",
            Reason::NoMemory(_) | Reason::Malformed => " are described wrongly",
        })
    }
}

/// Where a device's structures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// Features, status and queues.
    pub common: Registers,
    /// Where queues are notified.
    pub notification: Registers,
    /// Bytes between the places of two notification offsets.
    pub notification_multiplier: u32,
    /// Why the device interrupted.
    pub interrupt: Registers,
}

impl Structures {
    /// Finds the structures of a virtio device.
    ///
    /// # Errors
    /// The first structure that cannot be used.
    pub fn find(
        access: &impl ConfigurationAccess,
        place: DeviceFunction,
    ) -> Result<Self, Unusable> {
        let (common, _) = structure(access, place, Structure::Common)?;
        let (notification, described) = structure(access, place, Structure::Notification)?;
        let (interrupt, _) = structure(access, place, Structure::Interrupt)?;
        let multiplier = described.register(DESCRIPTION_BYTES);
        Ok(Self {
            common,
            notification,
            notification_multiplier: multiplier
                .map_or(0, |register| access.read_word(place, register)),
            interrupt,
        })
    }
}

fn structure(
    access: &impl ConfigurationAccess,
    place: DeviceFunction,
    wanted: Structure,
) -> Result<(Registers, Capability), Unusable> {
    let mut reason = Reason::Missing;
    for capability in capabilities(access, place) {
        let [bytes, kind] = capability.header;
        let described = wanted.description_bytes();
        if capability.identifier != VENDOR
            || kind != wanted as u8
            || bytes < described
            || capability.register(described - 1).is_none()
        {
            continue;
        }
        match registers(access, place, capability, wanted) {
            Ok(registers) => return Ok((registers, capability)),
            Err(found) => reason = found,
        }
    }
    Err(Unusable(wanted, reason))
}

fn registers(
    access: &impl ConfigurationAccess,
    place: DeviceFunction,
    capability: Capability,
    wanted: Structure,
) -> Result<Registers, Reason> {
    let word = |distance| {
        let register = capability.register(distance).ok_or(Reason::Malformed)?;
        Ok(access.read_word(place, register))
    };
    let [index, ..] = word(4)?.to_le_bytes();
    let offset = u64::from(word(8)?);
    let length = u64::from(word(12)?);
    let base = base_address::memory(access, place, index).map_err(Reason::NoMemory)?;
    let (least, alignment) = wanted.layout();
    match base.checked_add(offset) {
        Some(base)
            if length >= least
                && base.is_multiple_of(alignment)
                && base.checked_add(length).is_some() =>
        {
            Ok(Registers {
                base,
                bytes: length.min(LARGEST),
            })
        }
        _ => Err(Reason::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::made_up::{Everywhere, MadeUp};
    use proptest::prelude::*;
    use std::vec::Vec;

    const PLACE: DeviceFunction = DeviceFunction {
        bus: 0,
        device: 2,
        function: 0,
    };

    /// The registers that describe one structure, in a capability at `offset` linked to `next`.
    fn description(offset: u8, next: u8, kind: u8, range: (u8, u32, u32)) -> [(u8, u32); 5] {
        let (index, start, length) = range;
        let header = u32::from_le_bytes([VENDOR, next, 20, kind]);
        [
            (offset, header),
            (offset + 4, index.into()),
            (offset + 8, start),
            (offset + 12, length),
            (offset + 16, 4),
        ]
    }

    fn device(descriptions: &[[(u8, u32); 5]]) -> MadeUp {
        let mut words: Vec<_> = descriptions.concat();
        words.extend([
            (0x04, 1 << 20),
            (0x34, 0x40),
            (0x10, 0xc001),
            (0x14, 0xfebd_0000),
            (0x20, 0x0000_400c),
            (0x24, 0x38_0000),
        ]);
        MadeUp::default().with((0, 2, 0), &words)
    }

    const HIGH: u64 = 0x38_0000_0000_4000;

    #[test]
    fn structures_are_found_where_the_device_says() {
        let device = device(&[
            description(0x40, 0x54, 1, (4, 0, 0x1000)),
            description(0x54, 0x68, 3, (4, 0x1000, 0x1000)),
            description(0x68, 0, 2, (4, 0x3000, 0xffff_0000)),
        ]);
        let registers = |base, bytes| Registers { base, bytes };
        assert_eq!(
            Structures::find(&device, PLACE),
            Ok(Structures {
                common: registers(HIGH, 0x1000),
                notification: registers(HIGH + 0x3000, LARGEST),
                notification_multiplier: 4,
                interrupt: registers(HIGH + 0x1000, 0x1000),
            })
        );
    }

    #[test]
    fn the_first_usable_offer_counts() {
        let device = device(&[
            description(0x40, 0x54, 1, (0, 0, 0x1000)),
            description(0x54, 0x68, 1, (9, 0, 0x1000)),
            description(0x68, 0x7c, 1, (1, 0x40, 56)),
            description(0x7c, 0, 1, (4, 0, 0x1000)),
        ]);
        let (found, _) = structure(&device, PLACE, Structure::Common).unwrap();
        assert_eq!(found.base, 0xfebd_0040);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let reason = |range| {
            let device = device(&[description(0x40, 0, 1, range)]);
            Structures::find(&device, PLACE).unwrap_err()
        };
        let unusable = |reason| Unusable(Structure::Common, reason);
        assert_eq!(
            reason((0, 0, 0x1000)),
            unusable(Reason::NoMemory(NoMemory::Ports))
        );
        assert_eq!(
            reason((2, 0, 0x1000)),
            unusable(Reason::NoMemory(NoMemory::NoAddress))
        );
        assert_eq!(reason((1, 0, 55)), unusable(Reason::Malformed));
        assert_eq!(reason((1, 2, 0x1000)), unusable(Reason::Malformed));
        let no_list = MadeUp::default().with((0, 2, 0), &[]);
        assert_eq!(
            Structures::find(&no_list, PLACE),
            Err(unusable(Reason::Missing))
        );
    }

    proptest! {
        #[test]
        fn any_configuration_space_is_refused_or_gives_whole_structures(
            words in prop::collection::vec(any::<u32>(), 64),
            headers in prop::collection::vec((any::<u8>(), 0_u8..5), 32),
            list in any::<bool>(),
        ) {
            let mut words = words;
            if list {
                // Else hardly any list is long enough to have all three structures.
                words[1] |= 1 << 20;
                for (index, (next, kind)) in headers.iter().enumerate() {
                    let bytes = [VENDOR, next | 0x40, 20, *kind];
                    words[16 + index] = u32::from_le_bytes(bytes);
                }
            }
            if let Ok(found) = Structures::find(&Everywhere(words), PLACE) {
                for (registers, kind) in [
                    (found.common, Structure::Common),
                    (found.notification, Structure::Notification),
                    (found.interrupt, Structure::Interrupt),
                ] {
                    let (least, alignment) = kind.layout();
                    prop_assert!(registers.bytes >= least && registers.bytes <= LARGEST);
                    prop_assert!(registers.base % alignment == 0);
                    prop_assert!(registers.base.checked_add(registers.bytes).is_some());
                }
            }
        }
    }
}
