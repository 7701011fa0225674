//! What a process pays for in the tables of all.

use core::sync::atomic::{AtomicU32, Ordering};

use kiln_object::Error;

/// Most objects that one process can pay for, so that no giver fills another's table alone.
pub(super) const SHARE: u32 = 1 << 15;

/// How many objects a process pays for.
#[derive(Debug)]
pub struct Share {
    held: AtomicU32,
    program: bool,
}

impl Share {
    /// Of a process that pays for nothing yet; `program` is whether it is the program's.
    #[must_use]
    pub const fn new(program: bool) -> Self {
        Self {
            held: AtomicU32::new(0),
            program,
        }
    }

    /// Whether it is the program's.
    pub(super) fn is_program(&self) -> bool {
        self.program
    }

    pub(super) fn take(&self) -> Result<(), Error> {
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < SHARE).then_some(held + 1)
            })
            .map(|_| ())
            .map_err(|_| Error::Exhausted)
    }

    pub(super) fn give_back(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many it pays for now.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }
}
