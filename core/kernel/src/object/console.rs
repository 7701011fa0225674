//! The machine's console as an object.

use alloc::sync::Arc;

use kiln_interface::kernel::{Console, ConsoleDispatch};
use kiln_object::dispatcher::soft_interrupt::{CONSOLE, CONSOLE_OUTPUT};
use kiln_object::{Dispatch, Error};

use crate::device::console as device;
use crate::process::console_owner;
use crate::processor::PerCpu;
use crate::soft_interrupt;

struct Terminal;

/// The object.
#[must_use]
pub fn console() -> Arc<dyn Dispatch> {
    device::on_receive(input_came);
    device::on_room(room_came);
    Arc::new(ConsoleDispatch(Terminal))
}

/// Tells the console's owner, which was just started, of input that came before it.
pub fn announce_input() {
    if device::pending() > 0 {
        input_came();
    }
}

/// Tells the console's owner, on the CPU where it started.
fn input_came() {
    if let Some(owner) = console_owner() {
        tell(owner.started_cpus().trailing_zeros(), CONSOLE);
    }
}

/// Tells the console's owner on a CPU that found no room.
fn room_came(cpu: u32) {
    tell(cpu, CONSOLE_OUTPUT);
}

/// Raises a soft interrupt for the console's owner on a CPU, which may be another than this.
fn tell(cpu: u32, bit: u64) {
    if let Some(owner) = console_owner()
        && let Ok(dispatcher) = owner.dispatcher(cpu)
    {
        soft_interrupt::raise(dispatcher, bit);
    }
}

impl Console for Terminal {
    fn write(&self, bytes: &[u8]) -> Result<usize, Error> {
        match device::write_as(PerCpu::number(), bytes) {
            0 if !bytes.is_empty() => Err(Error::WouldBlock),
            count => Ok(count),
        }
    }

    fn read(&self, bytes: &mut [u8]) -> Result<usize, Error> {
        match device::read(bytes) {
            0 => Err(Error::WouldBlock),
            count => Ok(count),
        }
    }
}
