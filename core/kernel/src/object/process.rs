//! A process as an object to itself.

use alloc::sync::Arc;

use kiln_interface::kernel::{Process as ProcessInterface, ProcessDispatch};
use kiln_object::dispatcher::soft_interrupt::WAKE;
use kiln_object::layout::USER_END;
use kiln_object::{Dispatch, Error, ProcessId};

use crate::call::activation::Entry;
use crate::call::kernel_object::{Afterwards, afterwards};
use crate::call::{current_dispatcher, set_current, set_thread_pointer};
use crate::memory::heap;
use crate::process::{self, Process};
use crate::processor::PerCpu;
use crate::{schedule, soft_interrupt};

/// One incarnation: whoever has the object of an ended one has no say in the next.
struct Itself(&'static Process, ProcessId);

impl Itself {
    /// Refuses what only a living process has.
    fn living(&self) -> Result<(), Error> {
        if self.0.lives_as(self.1) {
            Ok(())
        } else {
            Err(Error::ServerDied)
        }
    }

    /// Refuses what a process can only do to itself: others may have been given the object.
    fn only_itself(&self) -> Result<(), Error> {
        match current_dispatcher() {
            Some(dispatcher) if dispatcher.process().id() == self.1 => Ok(()),
            _ => Err(Error::Denied),
        }
    }
}

/// The object for `process`.
#[must_use]
pub fn process(process: &'static Process) -> Arc<dyn Dispatch> {
    Arc::new(ProcessDispatch(Itself(process, process.id())))
}

impl ProcessInterface for Itself {
    fn exit(&self, status: u32) -> Result<(), Error> {
        self.only_itself()?;
        afterwards(Afterwards::Exit(status));
        Ok(())
    }

    fn set_entries(&self, call: u64, reflected: u64, trap: u64) -> Result<(), Error> {
        self.living()?;
        self.0.set_entries(call, reflected, trap)?;
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
        self.0.mark_ready_as(self.1)
    }

    fn set_timer(&self, deadline: u64) -> Result<(), Error> {
        self.living()?;
        let here = PerCpu::number();
        if self.0.only_cpu().is_some_and(|only| only != here) {
            return Err(Error::Denied);
        }
        soft_interrupt::set_timer(self.0, deadline)
    }

    fn start_dispatcher(
        &self,
        cpu: u32,
        entry: u64,
        stack: u64,
        argument: u64,
    ) -> Result<(), Error> {
        self.only_itself()?;
        if entry >= USER_END || stack >= USER_END {
            return Err(Error::BadArgument);
        }
        heap::ensure_room(self.0.is_program())?;
        let entry = Entry {
            address: entry,
            stack,
            argument,
        };
        schedule::start_activation(self.0, cpu, entry)
    }

    fn wake(&self, cpu: u32) -> Result<(), Error> {
        self.living()?;
        let bit = 1_u64.checked_shl(cpu).unwrap_or(0);
        if self.0.started_cpus() & bit == 0 {
            return Err(Error::NotFound);
        }
        soft_interrupt::raise(self.0.dispatcher(cpu)?, WAKE);
        Ok(())
    }

    fn made_room(&self, cpu: u32) -> Result<(), Error> {
        self.living()?;
        let dispatcher = self.0.made_dispatcher(cpu).ok_or(Error::NotFound)?;
        dispatcher.waiters().wake();
        Ok(())
    }

    fn watch_deaths(&self) -> Result<(), Error> {
        self.living()?;
        self.0.watch_deaths();
        Ok(())
    }

    fn lives(&self, process: ProcessId) -> Result<bool, Error> {
        Ok(process == ProcessId::KERNEL || process::find(process).is_some())
    }

    fn processor_time(&self) -> Result<u64, Error> {
        Ok(schedule::processor_time())
    }
}
