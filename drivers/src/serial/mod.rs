//! Driver `serial`: the first serial port as the program's console.
//!
//! Bytes come and go by interrupt, or by a timer where no interrupt controller has the line. Those
//! that nobody reads stay in the device, which holds its sender back.

#[cfg(test)]
mod made_up;
mod port;
mod registers;
#[cfg(test)]
mod tests;

use kiln_kernel::device::console;
use kiln_kernel::device::{Outcome, Stage};
use kiln_kernel::interrupt::{io_apic, local_apic, table};
use kiln_kernel::log::{self, Rank};
use kiln_kernel::processor::PerCpu;
use kiln_kernel::time::{self, timer};
use port::{Alarm, Serial};
use registers::Registers;
use x86_64::instructions::port::Port;

/// First port of COM1.
const BASE: u16 = 0x3f8;
/// ISA interrupt request of COM1.
const LINE: u8 = 4;

kiln_kernel::driver!("KILN_DRIVER_SERIAL", 2, "serial", start);

struct Ports;

impl Registers for Ports {
    fn read(&self, register: u8) -> u8 {
        // SAFETY: COM1's registers, which only this driver uses.
        unsafe { Port::new(BASE + u16::from(register & 7)).read() }
    }

    fn write(&self, register: u8, value: u8) {
        // SAFETY: as above; a UART writes to no memory.
        unsafe { Port::new(BASE + u16::from(register & 7)).write(value) }
    }

    fn burst(&self, bytes: &[u8]) {
        // SAFETY: the data register takes every byte; one string instruction leaves a virtual
        // machine once instead of once for each byte.
        unsafe {
            core::arch::asm!(
                "rep outsb",
                inout("rcx") bytes.len() => _,
                inout("rsi") bytes.as_ptr() => _,
                in("dx") BASE,
                options(nostack, preserves_flags, readonly),
            );
        }
    }
}

impl Alarm for Ports {
    fn set(&self, ns: u64) {
        timer::arm_for(
            timer::User::Console,
            time::monotonic_ns().saturating_add(ns),
        );
    }
}

static SERIAL: Serial<Ports> = Serial::new(Ports);

extern "sysv64" fn start(stage: Stage) -> Outcome {
    match stage {
        Stage::Channel => {
            if !SERIAL.uart().is_present() {
                return Outcome::Absent;
            }
            SERIAL.initialise();
            console::register(&SERIAL);
            log::register(console::write_through, Rank::Shared);
        }
        Stage::Device if SERIAL.uart().is_present() => {
            let route = table::allocate(|_| SERIAL.interrupt())
                .ok()
                .and_then(|vector| {
                    let here = u8::try_from(local_apic::identifier()).ok()?;
                    io_apic::route_isa(LINE, vector, here).ok()
                });
            timer::on_expiry_for(timer::User::Console, || {
                SERIAL.expired(PerCpu::number() == 0);
            });
            SERIAL.go_live(route.is_some());
        }
        // Said at the first stage.
        Stage::Device => {}
    }
    Outcome::Ready
}
