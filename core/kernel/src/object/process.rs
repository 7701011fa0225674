//! A process as an object to itself.

use alloc::sync::Arc;

use kiln_interface::kernel::{Process as ProcessInterface, ProcessDispatch};
use kiln_object::layout::USER_END;
use kiln_object::{Dispatch, Error};

use crate::call::kernel_object::{Afterwards, afterwards};
use crate::call::{current_dispatcher, set_current, set_thread_pointer};
use crate::process::Process;
use crate::processor::PerCpu;
use crate::soft_interrupt;

struct Itself(&'static Process);

impl Itself {
    /// Refuses what a process can only do to itself: others may have been given the object.
    fn only_itself(&self) -> Result<(), Error> {
        match current_dispatcher() {
            Some(dispatcher) if core::ptr::eq(dispatcher.process(), self.0) => Ok(()),
            _ => Err(Error::Denied),
        }
    }
}

/// The object for `process`.
#[must_use]
pub fn process(process: &'static Process) -> Arc<dyn Dispatch> {
    Arc::new(ProcessDispatch(Itself(process)))
}

impl ProcessInterface for Itself {
    fn exit(&self, status: u32) -> Result<(), Error> {
        self.only_itself()?;
        afterwards(Afterwards::Exit(status));
        Ok(())
    }

    fn set_entries(&self, call: u64, reflected: u64, trap: u64) -> Result<(), Error> {
        self.0.entries.set(call, reflected, trap)?;
        // The CPU keeps a copy of the reflection entry.
        if let Some(dispatcher) = current_dispatcher() {
            set_current(dispatcher);
        }
        Ok(())
    }

    fn wait(&self, deadline: u64) -> Result<u64, Error> {
        self.only_itself()?;
        afterwards(Afterwards::Wait(deadline));
        Ok(0)
    }

    fn set_thread_pointer(&self, address: u64) -> Result<(), Error> {
        self.only_itself()?;
        if address >= USER_END {
            return Err(Error::BadArgument);
        }
        // The kernel never uses FS: the caller finds it so when the call returns.
        set_thread_pointer(address);
        Ok(())
    }

    fn ready(&self) -> Result<(), Error> {
        self.0.mark_ready();
        Ok(())
    }

    fn set_timer(&self, deadline: u64) -> Result<(), Error> {
        let cpu = PerCpu::here().cpu_number.get();
        soft_interrupt::set_timer(self.0, cpu, deadline)
    }

    fn processor_time(&self) -> Result<u64, Error> {
        Ok(crate::call::run::processor_time())
    }
}
