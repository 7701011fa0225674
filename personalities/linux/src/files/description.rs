//! An open file description: an object, how it was opened, and where its next read starts.
//!
//! Descriptors made by `dup` share one; each `open` makes another. The position is locked while a
//! read or write that uses it runs, so that two of them never move the same bytes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use kiln_runtime::{PlainMutex as Mutex, PlainMutexGuard as MutexGuard};
use linux_raw_sys::general::{
    O_ACCMODE, O_APPEND, O_DIRECT, O_NOATIME, O_NONBLOCK, O_PATH, O_RDONLY, O_WRONLY,
};

use super::buffer::{Destination, Source};
use super::object::{Object, Position};
use super::waiting;
use crate::errno::Errno;

/// Flags that `fcntl(F_SETFL)` may change.
pub const CHANGEABLE: u32 = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC;

/// `O_ASYNC`, as `fcntl` takes it.
const O_ASYNC: u32 = 0x2000;

/// An open file description.
pub struct Description {
    object: Arc<dyn Object>,
    flags: AtomicU32,
    position: Mutex<u64>,
    path: Vec<u8>,
}

impl Description {
    /// `object` opened with the `flags` of `open`; `path` is its absolute path, or empty.
    #[must_use]
    pub fn new(object: Arc<dyn Object>, flags: u32, path: Vec<u8>) -> Self {
        Self {
            object,
            flags: AtomicU32::new(flags),
            position: Mutex::new(0),
            path,
        }
    }

    /// What is open.
    #[must_use]
    pub fn object(&self) -> &Arc<dyn Object> {
        &self.object
    }

    /// The absolute path that it was opened by; empty if none leads to it.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// How it was opened, and the flags set since.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Takes over the flags that may be changed.
    pub fn set_flags(&self, flags: u32) {
        let kept = self.flags() & !CHANGEABLE;
        self.flags
            .store(kept | flags & CHANGEABLE, Ordering::Relaxed);
    }

    /// Sets or clears `O_NONBLOCK`.
    pub fn set_non_blocking(&self, on: bool) {
        if on {
            self.flags.fetch_or(O_NONBLOCK, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!O_NONBLOCK, Ordering::Relaxed);
        }
    }

    /// Whether it was opened for reading.
    #[must_use]
    pub fn may_read(&self) -> bool {
        let flags = self.flags();
        flags & O_PATH == 0 && flags & O_ACCMODE != O_WRONLY
    }

    /// Whether it was opened for writing.
    #[must_use]
    pub fn may_write(&self) -> bool {
        let flags = self.flags();
        flags & O_PATH == 0 && flags & O_ACCMODE != O_RDONLY
    }

    /// Whether it is only a place, not open for anything.
    #[must_use]
    pub fn is_path_only(&self) -> bool {
        self.flags() & O_PATH != 0
    }

    fn waits(&self) -> bool {
        self.flags() & O_NONBLOCK == 0
    }

    /// The position, locked.
    pub fn position(&self) -> MutexGuard<'_, u64> {
        self.position.lock()
    }

    /// `read`: at the position, which moves.
    ///
    /// # Errors
    /// `EBADF` if it is not open for reading; the object's.
    #[inline]
    pub fn read(&self, into: &mut Destination<'_>) -> Result<usize, Errno> {
        if !self.may_read() {
            return Err(Errno::EBADF);
        }
        if self.object.is_seekable() {
            let mut position = self.position.lock();
            let count = self.object.read(*position, into)?;
            *position += count as u64;
            return Ok(count);
        }
        let longest = self.object.longest_wait();
        let deadline =
            longest.map(|longest| kiln_runtime::time::monotonic_ns().saturating_add(longest));
        match self.until_done(deadline, || self.object.read(0, into)) {
            // Only a wait with a deadline ends so.
            Err(Errno::ETIME) => Ok(0),
            done => done,
        }
    }

    /// `pread`: at `offset`.
    ///
    /// # Errors
    /// `ESPIPE` where offsets mean nothing; those of [`Description::read`].
    pub fn read_at(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        if !self.may_read() {
            return Err(Errno::EBADF);
        }
        if !self.object.is_seekable() {
            return Err(Errno::ESPIPE);
        }
        self.object.read(offset, into)
    }

    /// `write`: at the position, or at the end with `O_APPEND`.
    ///
    /// # Errors
    /// `EBADF` if it is not open for writing; the object's.
    pub fn write(&self, from: &mut Source<'_>) -> Result<usize, Errno> {
        if !self.may_write() {
            return Err(Errno::EBADF);
        }
        if self.object.is_seekable() {
            let mut position = self.position.lock();
            let (count, after) = self.object.write(self.place(*position), from)?;
            *position = after;
            return Ok(count);
        }
        // A write that is too long for the room there is goes on until all of it is written.
        let mut written = 0;
        loop {
            let step = self.until_done(None, || {
                let (count, _) = self.object.write(Position::End, from)?;
                Ok(count)
            });
            match step {
                Ok(count) => written += count,
                Err(_) if written > 0 => return Ok(written),
                Err(error) => return Err(error),
            }
            if from.left() == 0 || !self.waits() {
                return Ok(written);
            }
        }
    }

    /// `pwrite`: at `offset`; at the end all the same with `O_APPEND`, as Linux has it.
    ///
    /// # Errors
    /// `ESPIPE` where offsets mean nothing; those of [`Description::write`].
    pub fn write_at(&self, offset: u64, from: &mut Source<'_>) -> Result<usize, Errno> {
        if !self.may_write() {
            return Err(Errno::EBADF);
        }
        if !self.object.is_seekable() {
            return Err(Errno::ESPIPE);
        }
        let (count, _) = self.object.write(self.place(offset), from)?;
        Ok(count)
    }

    fn place(&self, offset: u64) -> Position {
        if self.flags() & O_APPEND != 0 {
            Position::End
        } else {
            Position::At(offset)
        }
    }

    /// Repeats `step` until it need not wait; `ETIME` if the deadline is reached first.
    fn until_done(
        &self,
        deadline: Option<u64>,
        mut step: impl FnMut() -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        loop {
            match step() {
                Err(Errno::EAGAIN) if self.waits() => {
                    if deadline.is_some_and(|end| end <= kiln_runtime::time::monotonic_ns()) {
                        return Err(Errno::ETIME);
                    }
                    waiting::pause(deadline)?;
                }
                done => return done,
            }
        }
    }

    /// The name that `/proc/self/fd` shows.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        let mut name = self.path.clone();
        if name.is_empty() {
            self.object.describe(&mut name);
        }
        name
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Description")
            .field("path", &self.path)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}
