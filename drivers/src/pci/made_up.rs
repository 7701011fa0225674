//! Configuration space made up for tests.

use std::collections::HashMap;
use std::vec::Vec;

use super::{ConfigurationAccess, DeviceFunction};

/// Functions by bus, device and function number; each has 64 words. A function that is not here
/// reads as all ones, as on a real bus.
#[derive(Clone, Debug, Default)]
pub(crate) struct MadeUp(pub(crate) HashMap<(u8, u8, u8), Vec<u32>>);

impl MadeUp {
    pub(crate) fn with(mut self, place: (u8, u8, u8), words: &[(u8, u32)]) -> Self {
        let space = self.0.entry(place).or_insert_with(|| [0; 64].into());
        for (register, word) in words {
            space[usize::from(register / 4)] = *word;
        }
        self
    }
}

impl ConfigurationAccess for MadeUp {
    fn read_word(&self, place: DeviceFunction, register: u8) -> u32 {
        assert!(place.valid() && register.is_multiple_of(4));
        let words = self.0.get(&(place.bus, place.device, place.function));
        words.map_or(u32::MAX, |words| words[usize::from(register / 4)])
    }

    fn write_word(&mut self, _: DeviceFunction, _: u8, _: u32) {
        panic!("looking at a function must not change it");
    }

    unsafe fn unsafe_clone(&self) -> Self {
        self.clone()
    }
}

/// The same 64 words as every function there could be.
#[derive(Clone, Debug)]
pub(crate) struct Everywhere(pub(crate) Vec<u32>);

impl ConfigurationAccess for Everywhere {
    fn read_word(&self, place: DeviceFunction, register: u8) -> u32 {
        assert!(place.valid() && register.is_multiple_of(4));
        // The secondary bus differs from bus to bus, so that bridges nest as deep as they can.
        let word = self.0[usize::from(register / 4)];
        match register {
            0x18 => word.wrapping_add(u32::from(place.bus) << 8),
            _ => word,
        }
    }

    fn write_word(&mut self, _: DeviceFunction, _: u8, _: u32) {
        panic!("looking at a function must not change it");
    }

    unsafe fn unsafe_clone(&self) -> Self {
        self.clone()
    }
}
