//! The machine's power switch as an object.

use alloc::sync::Arc;

use kiln_interface::kernel::{Machine, MachineDispatch};
use kiln_object::{Dispatch, Error};

use crate::power::{self, ExitStatus};

struct Switch;

/// The object.
#[must_use]
pub fn machine() -> Arc<dyn Dispatch> {
    Arc::new(MachineDispatch(Switch))
}

impl Machine for Switch {
    fn power_off(&self, status: u32) -> Result<(), Error> {
        power::off(ExitStatus::Code((status & 0xff) as u8))
    }

    fn restart(&self) -> Result<(), Error> {
        power::restart()
    }
}
