//! Counters that can be waited for (`eventfd`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use kiln_interface::file::Attributes;
use kiln_runtime::PlainMutex as Mutex;
use linux_raw_sys::general::{EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, O_NONBLOCK, O_RDWR};

use super::buffer::{Destination, Source};
use super::description::Description;
use super::files;
use super::object::{Object, Position, readiness};
use crate::call::Call;
use crate::errno::{Answer, Errno};

/// The counter never reaches this.
const LIMIT: u64 = u64::MAX;

struct Counter {
    /// The count, and how often it was written.
    state: Mutex<(u64, u64)>,
    one_by_one: bool,
}

impl Object for Counter {
    fn read(&self, _offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        if into.room() < size_of::<u64>() {
            return Err(Errno::EINVAL);
        }
        let mut state = self.state.lock();
        let taken = match state.0 {
            0 => return Err(Errno::EAGAIN),
            _ if self.one_by_one => 1,
            count => count,
        };
        let stored = into.put(&taken.to_le_bytes())?;
        state.0 -= taken;
        state.1 += 1;
        Ok(stored)
    }

    fn write(&self, _position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        let mut bytes = [0; size_of::<u64>()];
        if from.left() < bytes.len() {
            return Err(Errno::EINVAL);
        }
        from.take(&mut bytes)?;
        let added = u64::from_le_bytes(bytes);
        if added == LIMIT {
            return Err(Errno::EINVAL);
        }
        let mut state = self.state.lock();
        match state.0.checked_add(added).filter(|sum| *sum < LIMIT) {
            Some(sum) => {
                *state = (sum, state.1 + 1);
                Ok((bytes.len(), 0))
            }
            None => {
                from.give_back(bytes.len());
                Err(Errno::EAGAIN)
            }
        }
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes {
            mode: 0o600,
            number: 6,
            ..crate::pseudo::own_attributes()
        })
    }

    fn readiness(&self) -> u32 {
        let count = self.state.lock().0;
        let mut ready = 0;
        if count > 0 {
            ready |= readiness::IN;
        }
        if count < LIMIT - 1 {
            ready |= readiness::OUT;
        }
        ready
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn activity(&self) -> u64 {
        self.state.lock().1
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"anon_inode:[eventfd]");
    }
}

fn make(count: u32, flags: u32) -> Answer {
    if flags & !(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE) != 0 {
        return Err(Errno::EINVAL);
    }
    let counter = Arc::new(Counter {
        state: Mutex::new((count.into(), 0)),
        one_by_one: flags & EFD_SEMAPHORE != 0,
    });
    let description = Description::new(counter, O_RDWR | flags & O_NONBLOCK, Vec::new());
    Ok(files().add(description, flags & EFD_CLOEXEC != 0)? as u64)
}

/// eventfd(2)
pub fn eventfd(call: &Call<'_>) -> Answer {
    make(call.unsigned(0), 0)
}

/// eventfd2(2)
pub fn eventfd2(call: &Call<'_>) -> Answer {
    make(call.unsigned(0), call.unsigned(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(count: u64, one_by_one: bool) -> Counter {
        Counter {
            state: Mutex::new((count, 0)),
            one_by_one,
        }
    }

    fn read(counter: &Counter) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        counter.read(0, &mut Destination::library(&mut bytes))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(counter: &Counter, count: u64) -> Result<usize, Errno> {
        let bytes = count.to_le_bytes();
        counter
            .write(Position::End, &mut Source::library(&bytes))
            .map(|(written, _)| written)
    }

    #[test]
    fn counts_and_is_emptied() {
        let counter = counter(3, false);
        assert_eq!(write(&counter, 4), Ok(8));
        assert_eq!(read(&counter), Ok(7));
        assert_eq!(read(&counter), Err(Errno::EAGAIN));
        assert_eq!(counter.readiness(), readiness::OUT);
    }

    #[test]
    fn never_overflows() {
        let counter = counter(u64::MAX - 1, true);
        assert_eq!(write(&counter, 1), Err(Errno::EAGAIN));
        assert_eq!(write(&counter, u64::MAX), Err(Errno::EINVAL));
        assert_eq!(counter.readiness(), readiness::IN);
        assert_eq!(read(&counter), Ok(1));
        assert_eq!(write(&counter, 1), Ok(8));
    }
}
