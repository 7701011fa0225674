//! Finding functions: bus 0, and the buses behind the bridges found on the way.

#![forbid(unsafe_code)]

use super::{ConfigurationAccess, DeviceFunction};

/// Header register: the layout in bits 16 to 22, several functions in bit 23.
const HEADER: u8 = 0x0c;
/// Bus number register of a bridge: the bus behind it in bits 8 to 15.
const BUSES: u8 = 0x18;

/// One function that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub place: DeviceFunction,
    /// Who made it.
    pub vendor: u16,
    /// What it is.
    pub device: u16,
    /// Layout of its configuration space: 0 is a device, 1 a bridge.
    pub header: u8,
}

/// Bus numbers.
#[derive(Default)]
struct Buses([u64; 4]);

impl Buses {
    /// Adds a bus; false if it was there.
    fn add(&mut self, bus: u8) -> bool {
        let bit = 1 << (bus & 63);
        let Some(word) = self.0.get_mut(usize::from(bus >> 6)) else {
            return false;
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes the lowest bus out.
    fn take(&mut self) -> Option<u8> {
        let (index, word) = (0..).zip(&mut self.0).find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as u8;
        *word &= *word - 1;
        Some(index << 6 | bit)
    }
}

/// The first answer of `visit`, which is called for each function in turn; every bus is looked at
/// once, whatever the bridges say.
pub fn find_map<R>(
    access: &impl ConfigurationAccess,
    mut visit: impl FnMut(Function) -> Option<R>,
) -> Option<R> {
    let mut waiting = Buses::default();
    let mut known = Buses::default();
    waiting.add(0);
    known.add(0);
    while let Some(bus) = waiting.take() {
        for device in 0..32 {
            let mut functions = 1;
            let mut next = 0;
            while next < functions {
                let place = DeviceFunction {
                    bus,
                    device,
                    function: next,
                };
                next += 1;
                let [v0, v1, d0, d1] = access.read_word(place, 0).to_le_bytes();
                let function = Function {
                    place,
                    vendor: u16::from_le_bytes([v0, v1]),
                    device: u16::from_le_bytes([d0, d1]),
                    header: 0,
                };
                if function.vendor == u16::MAX {
                    continue;
                }
                let [.., layout, _] = access.read_word(place, HEADER).to_le_bytes();
                if layout & 0x80 != 0 && place.function == 0 {
                    functions = 8;
                }
                let header = layout & 0x7f;
                if header == 1 {
                    let [_, secondary, ..] = access.read_word(place, BUSES).to_le_bytes();
                    if known.add(secondary) {
                        waiting.add(secondary);
                    }
                }
                let found = visit(Function { header, ..function });
                if found.is_some() {
                    return found;
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{Everywhere, MadeUp};
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn all(access: &impl ConfigurationAccess) -> Vec<(u8, u8, u8, u16)> {
        let mut found = Vec::new();
        find_map(access, |function| {
            let place = function.place;
            found.push((place.bus, place.device, place.function, function.device));
            None::<()>
        });
        found
    }

    #[test]
    fn functions_and_the_buses_behind_bridges_are_found() {
        let bus = MadeUp::default()
            .with((0, 0, 0), &[(0, 0x1111_8086)])
            .with((0, 3, 0), &[(0, 0x2222_1af4), (0x0c, 0x80_0000)])
            .with((0, 3, 5), &[(0, 0x3333_1af4)])
            // Not several functions, whatever answers there.
            .with((0, 4, 0), &[(0, 0x4444_1af4)])
            .with((0, 4, 1), &[(0, 0x4445_1af4)])
            .with(
                (0, 5, 0),
                &[(0, 0x5555_1b36), (0x0c, 0x01_0000), (0x18, 0x0007_0700)],
            )
            .with((7, 0, 0), &[(0, 0x6666_1af4)])
            .with((9, 0, 0), &[(0, 0x7777_1af4)]);
        let expected = [
            (0, 0, 0, 0x1111),
            (0, 3, 0, 0x2222),
            (0, 3, 5, 0x3333),
            (0, 4, 0, 0x4444),
            (0, 5, 0, 0x5555),
            (7, 0, 0, 0x6666),
        ];
        assert_eq!(all(&bus), expected);
    }

    #[test]
    fn a_bridge_to_its_own_bus_is_no_endless_walk() {
        let bridge = [(0, 0x5555_1b36), (0x0c, 0x01_0000), (0x18, 0)];
        let bus = MadeUp::default().with((0, 1, 0), &bridge);
        assert_eq!(all(&bus).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_configuration_space_is_walked_at_most_once(
            words in prop::collection::vec(any::<u32>(), 64), bridge in any::<bool>()
        ) {
            let mut words = words;
            if bridge {
                words[3] = words[3] & !0x7f_0000 | 0x81_0000;
            }
            let mut found = all(&Everywhere(words));
            let count = found.len();
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(found.len(), count);
        }
    }
}
