//! The list of a function's capabilities.
//!
//! A device that links its list into a ring gets as many steps as a list can be long. Source: PCI
//! Local Bus specification 3.0, section 6.7.

#![forbid(unsafe_code)]

use super::{COMMAND, ConfigurationAccess, DeviceFunction};

/// Register with the list's first offset.
const FIRST: u8 = 0x34;
/// Status bit, in the register of [`COMMAND`]: there is a list.
const HAS_LIST: u32 = 1 << 20;
/// Capabilities lie behind the header.
const LOWEST: u8 = 0x40;
/// As many as fit between the header and the end, at the least size of one.
const MOST: usize = (256 - LOWEST as usize) / 4;

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it describes.
    pub identifier: u8,
    /// Its offset in configuration space, a multiple of four from 0x40 on.
    pub offset: u8,
    /// The two bytes after identifier and link.
    pub header: [u8; 2],
}

impl Capability {
    /// The register `distance` bytes after the start; `None` behind the end of the space.
    #[must_use]
    pub fn register(&self, distance: u8) -> Option<u8> {
        self.offset.checked_add(distance)
    }
}

/// The function's capabilities, in the order of the list.
pub fn capabilities(
    access: &impl ConfigurationAccess,
    place: DeviceFunction,
) -> impl Iterator<Item = Capability> {
    let mut next = 0;
    if access.read_word(place, COMMAND) & HAS_LIST != 0 {
        [next, ..] = access.read_word(place, FIRST).to_le_bytes();
    }
    core::iter::from_fn(move || {
        // The two lowest bits are reserved, and to be masked.
        let offset = next & 0xfc;
        if offset < LOWEST {
            return None;
        }
        let [identifier, link, first, second] = access.read_word(place, offset).to_le_bytes();
        next = link;
        Some(Capability {
            identifier,
            offset,
            header: [first, second],
        })
    })
    .take(MOST)
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{Everywhere, MadeUp};
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const PLACE: DeviceFunction = DeviceFunction {
        bus: 0,
        device: 1,
        function: 0,
    };

    fn offsets(words: &[(u8, u32)]) -> Vec<u8> {
        let bus = MadeUp::default().with((0, 1, 0), words);
        capabilities(&bus, PLACE)
            .map(|capability| capability.offset)
            .collect()
    }

    #[test]
    fn a_list_is_followed_to_its_end() {
        let list = [
            (0x04, HAS_LIST),
            (0x34, 0x43),
            (0x40, 0x1234_8409),
            (0x84, 0x11),
        ];
        let bus = MadeUp::default().with((0, 1, 0), &list);
        let found: Vec<_> = capabilities(&bus, PLACE).collect();
        let capability = |identifier, offset, header| Capability {
            identifier,
            offset,
            header,
        };
        assert_eq!(
            found,
            [
                capability(9, 0x40, [0x34, 0x12]),
                capability(0x11, 0x84, [0, 0])
            ]
        );
        assert_eq!(found[0].register(16), Some(0x50));
        assert_eq!(capability(9, 0xf8, [0, 0]).register(8), None);
    }

    #[test]
    fn there_is_no_list_without_the_status_bit() {
        assert!(offsets(&[(0x34, 0x40), (0x40, 9)]).is_empty());
    }

    #[test]
    fn rings_end() {
        let ring = offsets(&[(0x04, HAS_LIST), (0x34, 0x40), (0x40, 0x4009)]);
        assert_eq!(ring.len(), MOST);
    }

    proptest! {
        #[test]
        fn any_list_ends_and_stays_in_configuration_space(
            words in prop::collection::vec(any::<u32>(), 64)
        ) {
            let bus = Everywhere(words);
            for capability in capabilities(&bus, PLACE) {
                prop_assert!(capability.offset >= LOWEST && capability.offset % 4 == 0);
            }
        }
    }
}
