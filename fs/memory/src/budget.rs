//! How much memory the tree may hold, and who holds some of it.
//!
//! Every byte taken is in exactly one [`Charge`], which gives it back when it goes: so a file that
//! was removed while open costs until the last reference is gone, and nothing is counted twice. Below
//! the limit, too, nothing more is taken when the machine runs out of memory: a server that touches a
//! page that is not there is ended.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_object::Error;

/// The limit of a tree.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    nodes: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
            nodes: AtomicU64::new(0),
        })
    }

    /// Bytes in all.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that can still be taken.
    pub fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used.load(Relaxed))
    }

    /// Files, directories, links that there are.
    pub fn nodes(&self) -> u64 {
        self.nodes.load(Relaxed)
    }

    /// Takes `bytes` for a thing that is no node.
    ///
    /// # Errors
    /// [`Error::NoSpace`] beyond the limit.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Result<Charge, Error> {
        let mut charge = Charge {
            budget: Arc::clone(self),
            bytes: 0,
            is_node: false,
        };
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Takes `bytes` for a node.
    ///
    /// # Errors
    /// [`Error::NoSpace`] beyond the limit.
    pub fn take_node(self: &Arc<Self>, bytes: u64) -> Result<Charge, Error> {
        let mut charge = self.take(bytes)?;
        charge.is_node = true;
        self.nodes.fetch_add(1, Relaxed);
        Ok(charge)
    }
}

/// Bytes taken from a budget.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
    is_node: bool,
}

impl Charge {
    /// The budget it is from.
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Bytes that it holds.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes `more` bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`] beyond the limit; then nothing was taken.
    pub fn grow(&mut self, more: u64) -> Result<(), Error> {
        if more > 0 && !machine_has_room() {
            return Err(Error::NoSpace);
        }
        let Budget { limit, used, .. } = &*self.budget;
        used.try_update(Relaxed, Relaxed, |used| {
            used.checked_add(more).filter(|sum| sum <= limit)
        })
        .map_err(|_| Error::NoSpace)?;
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }

    /// Gives `less` of its bytes back.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.bytes);
        self.bytes -= less;
        self.budget.used.fetch_sub(less, Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
        if self.is_node {
            self.budget.nodes.fetch_sub(1, Relaxed);
        }
    }
}

/// Whether the machine has more memory than servers need to go on: the kernel refuses programs pages
/// at about a quarter of that, so those who come first do not meet.
#[cfg(kiln_freestanding)]
fn machine_has_room() -> bool {
    const LEAST: u64 = 256 << 10;
    let free = kiln_runtime::kernel_information().memory_free.load(Relaxed);
    free > LEAST.max(kiln_runtime::startup().memory_bytes / 64)
}

#[cfg(not(kiln_freestanding))]
fn machine_has_room() -> bool {
    true
}
