//! The log as an object: what servers and the personality say about themselves.

use alloc::sync::Arc;

use kiln_interface::kernel::{Log, LogDispatch};
use kiln_object::{Dispatch, Error};

use crate::process::Process;

struct Lines(&'static Process);

/// The object for `process`; its name stands before each line that is not a record.
#[must_use]
pub fn log(process: &'static Process) -> Arc<dyn Dispatch> {
    Arc::new(LogDispatch(Lines(process)))
}

impl Log for Lines {
    fn line(&self, text: &[u8]) -> Result<(), Error> {
        // Only the program may speak in records, and not in those that are the kernel's.
        let record = self.0.is_program() && text.starts_with(b"kiln:strace:");
        crate::log::foreign_line((!record).then(|| self.0.name()), text);
        Ok(())
    }
}
