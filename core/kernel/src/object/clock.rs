//! The machine's clock as an object.

use alloc::sync::Arc;

use kiln_interface::kernel::{Clock, ClockDispatch};
use kiln_object::{Dispatch, Error};

use crate::time;

struct Machine;

/// The object.
#[must_use]
pub fn clock() -> Arc<dyn Dispatch> {
    Arc::new(ClockDispatch(Machine))
}

impl Clock for Machine {
    fn monotonic(&self) -> Result<u64, Error> {
        Ok(time::monotonic_ns())
    }

    fn wall_clock(&self) -> Result<u64, Error> {
        Ok(time::wall_clock_ns())
    }

    fn set_wall_clock(&self, now: u64) -> Result<(), Error> {
        time::set_wall_clock(now);
        Ok(())
    }
}
