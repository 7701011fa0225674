//! Configuration space through ports 0xcf8 and 0xcfc, which every PC's host bridge has.
//!
//! Both together are one register file, so a lock goes around each access. Only the first 256
//! bytes of a function are in reach, which is where everything of interest here is. Source: PCI
//! Local Bus specification 3.0, section 3.2.2.3.2.

use spin::Mutex;
use x86_64::instructions::port::Port;

use super::{ConfigurationAccess, DeviceFunction};

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// Address bit: accesses to the data port are configuration accesses.
const ENABLE: u32 = 1 << 31;

static LOCK: Mutex<()> = Mutex::new(());

/// The ports, of a machine that has them.
#[derive(Clone, Copy, Debug)]
pub struct Ports(());

impl Ports {
    /// The ports, if something answers there: the address reads back as it was written.
    #[must_use]
    pub fn find() -> Option<Self> {
        let _guard = LOCK.lock();
        let mut address = Port::<u32>::new(ADDRESS);
        // SAFETY: on a PC nothing but the host bridge answers to double words at this port; what
        // it held is put back.
        let held = unsafe {
            let before = address.read();
            address.write(ENABLE);
            let held = address.read();
            address.write(before);
            held
        };
        (held == ENABLE).then_some(Self(()))
    }
}

/// What selects a register.
fn address(place: DeviceFunction, register: u8) -> u32 {
    ENABLE
        | u32::from(place.bus) << 16
        | u32::from(place.device & 31) << 11
        | u32::from(place.function & 7) << 8
        | u32::from(register & 0xfc)
}

impl ConfigurationAccess for Ports {
    fn read_word(&self, place: DeviceFunction, register: u8) -> u32 {
        let _guard = LOCK.lock();
        // SAFETY: the ports are there; reading configuration space changes nothing.
        unsafe {
            Port::new(ADDRESS).write(address(place, register));
            Port::new(DATA).read()
        }
    }

    fn write_word(&mut self, place: DeviceFunction, register: u8, data: u32) {
        let _guard = LOCK.lock();
        // SAFETY: the ports are there. What a write does is for the function's driver to know,
        // which is the only caller.
        unsafe {
            Port::new(ADDRESS).write(address(place, register));
            Port::new(DATA).write(data);
        }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_selects_function_and_double_word() {
        let place = DeviceFunction {
            bus: 0x12,
            device: 31,
            function: 7,
        };
        assert_eq!(address(place, 0x37), 0x8012_ff34);
    }
}
