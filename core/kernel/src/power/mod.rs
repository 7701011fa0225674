//! The end of the machine, with the program's exit status.
//!
//! Ways are tried from the one that tells most to the one that always works: a line for the host
//! side of `kiln run`, QEMU's exit device, ACPI's power-off, then resets. None waits.

use x86_64::instructions::port::Port;

use crate::firmware::acpi::Register;
use crate::firmware::physical::DIRECT_MAP;

/// What the machine's end means to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The program's exit status, or 128 plus the signal that ended it.
    Code(u8),
    /// The kernel failed.
    Panic,
}

impl ExitStatus {
    /// What to write to QEMU's exit device; its own status becomes twice this plus one.
    fn device_value(self) -> u32 {
        match self {
            Self::Code(status) => u32::from(status & 0x7f),
            Self::Panic => 0x7f,
        }
    }
}

/// I/O port of QEMU's `isa-debug-exit` as `kiln run` sets it up.
const EXIT_DEVICE: u16 = 0xf4;

/// Ends the machine.
pub fn off(status: ExitStatus) -> ! {
    if status != ExitStatus::Panic {
        crate::home::say_depth();
    }
    match status {
        ExitStatus::Code(number) => crate::log::number("kiln:exit:", u64::from(number), ""),
        ExitStatus::Panic => crate::log::line("kiln:exit:panic", format_args!("")),
    }
    crate::device::console::drain();
    // SAFETY: the machine is to end here. Nothing answers on the port unless it is QEMU's device.
    unsafe { Port::new(EXIT_DEVICE).write(status.device_value()) };
    sleep();
    reset();
    crate::processor::stop()
}

/// Starts the machine anew.
pub fn restart() -> ! {
    crate::device::console::drain();
    reset();
    crate::processor::stop()
}

fn write_register(register: Register, value: u8) {
    // SAFETY: the firmware's own table names the register for this use, and the machine ends.
    unsafe {
        match register {
            Register::Port(port) => Port::new(port).write(value),
            Register::Memory(address) if address < crate::firmware::physical::DIRECT_MAP_BYTES => {
                ((DIRECT_MAP + address) as *mut u8).write_volatile(value);
            }
            Register::Memory(_) => {}
        }
    }
}

/// Enters ACPI's sleep state S5 (section 16.1.1), which is off.
fn sleep() {
    let Some(tables) = crate::firmware::acpi_tables() else {
        return;
    };
    let power = tables.power();
    // SAFETY: the kernel runs on tables that map the first 4 GiB; see `memory`.
    let memory = unsafe { crate::firmware::DirectMap::new() };
    let (type_a, type_b) = power.sleep_types(&memory).unwrap_or((5, 5));
    if let Some(control) = power.sleep_control {
        write_register(control, type_a << 2 | 1 << 5);
    }
    for (control, sleep_type) in [(power.control_a, type_a), (power.control_b, type_b)] {
        if let Some(port) = control {
            // SAFETY: the firmware's own table names the port for this use.
            unsafe { Port::new(port).write(u16::from(sleep_type & 7) << 10 | 1 << 13) };
        }
    }
}

fn reset() {
    if let Some(tables) = crate::firmware::acpi_tables()
        && let Some((register, value)) = tables.power().reset
    {
        write_register(register, value);
    }
    // SAFETY: the keyboard controller's command to pulse the reset line; then, if the machine has
    // none, an empty interrupt table makes the next exception shut the processor down.
    unsafe {
        Port::<u8>::new(0x64).write(0xfe);
        core::arch::asm!("push 0", "push 0", "lidt [rsp]", "ud2", options(noreturn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_not_taken_for_a_program() {
        assert_eq!(ExitStatus::Panic.device_value(), 0x7f);
        assert_eq!(ExitStatus::Code(0).device_value(), 0);
        assert_eq!(ExitStatus::Code(42).device_value(), 42);
    }
}
