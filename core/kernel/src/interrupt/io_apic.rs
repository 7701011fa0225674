//! I/O APICs: which vector a device's line raises, on which processor.
//!
//! All lines are masked until a driver asks for one. Source: Intel 82093AA data sheet, section 3.2.

use spin::Mutex;

use crate::firmware::physical::{DIRECT_MAP, DIRECT_MAP_BYTES};
use crate::firmware::{IoApic, IsaRoute, machine};

/// Held while a controller's index register is in use.
static INDEX: Mutex<()> = Mutex::new(());

/// No interrupt controller has the line that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoute;

// Not inlined: this runs a few times at boot, and once compiled is enough.
#[inline(never)]
fn access(controller: &IoApic, register: u32, value: Option<u32>) -> u32 {
    let base = DIRECT_MAP + u64::from(controller.address);
    let _held = INDEX.lock();
    // SAFETY: the firmware names the controller's address, which is below 4 GiB and so in the
    // direct map; the index is not changed by others while the lock is held.
    unsafe {
        (base as *mut u32).write_volatile(register);
        let window = (base + 0x10) as *mut u32;
        match value {
            Some(value) => {
                window.write_volatile(value);
                value
            }
            None => window.read_volatile(),
        }
    }
}

/// Number of input pins.
fn pins(controller: &IoApic) -> u32 {
    (access(controller, 1, None) >> 16 & 0xff) + 1
}

/// Masks every line.
pub(crate) fn initialise() {
    for controller in machine().io_apics() {
        for pin in 0..pins(controller) {
            access(controller, 0x10 + pin * 2, Some(1 << 16));
        }
    }
}

/// The redirection entry's lower half.
fn redirection(route: IsaRoute, vector: u8) -> u32 {
    u32::from(vector) | u32::from(route.active_low) << 13 | u32::from(route.level) << 15
}

/// Lets ISA line `line` raise `vector` on the processor with this APIC identifier.
pub fn route_isa(line: u8, vector: u8, destination: u8) -> Result<(), NoRoute> {
    let route = machine().isa_route(line).ok_or(NoRoute)?;
    for controller in machine().io_apics() {
        if u64::from(controller.address) + 0x20 > DIRECT_MAP_BYTES {
            continue;
        }
        if let Some(pin) = route.interrupt.checked_sub(controller.first_interrupt)
            && pin < pins(controller)
        {
            access(
                controller,
                0x11 + pin * 2,
                Some(u32::from(destination) << 24),
            );
            access(controller, 0x10 + pin * 2, Some(redirection(route, vector)));
            return Ok(());
        }
    }
    Err(NoRoute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polarity_and_trigger_are_where_the_data_sheet_has_them() {
        let plain = IsaRoute {
            interrupt: 4,
            active_low: false,
            level: false,
        };
        assert_eq!(redirection(plain, 0x30), 0x30);
        let shared = IsaRoute {
            interrupt: 9,
            active_low: true,
            level: true,
        };
        assert_eq!(redirection(shared, 0x31), 0xa031);
    }
}
