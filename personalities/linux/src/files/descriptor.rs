//! The table from descriptors to open files.
//!
//! A new descriptor is always the lowest free number; that is what programs rely on when they
//! close 0 and open. Nothing here knows what an open file is.

use alloc::vec::Vec;
use core::mem;

use crate::errno::Errno;

/// Descriptors that a process may have unless it lowers its limit.
pub const LIMIT: usize = 1 << 20;

/// The usual soft limit, as `RLIMIT_NOFILE` starts.
pub const SOFT_LIMIT: usize = 1024;

#[derive(Clone, Debug)]
struct Entry<T> {
    file: T,
    close_on_exec: bool,
}

/// Descriptors and what they stand for.
#[derive(Debug)]
pub struct Descriptors<T> {
    entries: Vec<Option<Entry<T>>>,
    limit: usize,
    /// No descriptor below this one is free.
    lowest: usize,
}

impl<T: Clone> Descriptors<T> {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            limit: SOFT_LIMIT,
            lowest: 0,
        }
    }

    /// Fills an empty table with the descriptors that a program starts with, which `execve` leaves open.
    pub fn begin(&mut self, files: [T; 3]) {
        let entry = |file| {
            Some(Entry {
                file,
                close_on_exec: false,
            })
        };
        self.lowest = files.len();
        let [input, output, errors] = files;
        let entries = [entry(input), entry(output), entry(errors)];
        let empty = mem::replace(&mut self.entries, Vec::from(entries));
        debug_assert!(empty.capacity() == 0, "nothing was open before");
        // There is nothing to free.
        mem::forget(empty);
    }

    /// Says how many descriptors there may be from now on; those there are stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(LIMIT);
    }

    /// What `descriptor` stands for.
    ///
    /// # Errors
    /// `EBADF` if it is not open.
    #[inline]
    pub fn get(&self, descriptor: i32) -> Result<&T, Errno> {
        match self.entries.get(descriptor as u32 as usize) {
            Some(Some(entry)) => Ok(&entry.file),
            _ => Err(Errno::EBADF),
        }
    }

    /// Puts `file` at the lowest free descriptor that is at least `minimum`.
    ///
    /// # Errors
    /// `EINVAL` for a `minimum` beyond the limit, `EMFILE` if all below the limit are taken.
    pub fn add(&mut self, file: T, minimum: usize, close_on_exec: bool) -> Result<i32, Errno> {
        if minimum != 0 && minimum >= self.limit {
            return Err(Errno::EINVAL);
        }
        let start = minimum.max(self.lowest);
        let place = self
            .entries
            .iter()
            .skip(start)
            .position(Option::is_none)
            .map_or(self.entries.len().max(start), |found| start + found);
        if place >= self.limit {
            return Err(Errno::EMFILE);
        }
        self.put(place, file, close_on_exec);
        if start == self.lowest {
            self.lowest = place + 1;
        }
        Ok(place as i32)
    }

    /// Puts `file` at `descriptor` and answers what was there.
    ///
    /// # Errors
    /// `EBADF` for a number outside the limit.
    pub fn replace(
        &mut self,
        descriptor: i32,
        file: T,
        close_on_exec: bool,
    ) -> Result<Option<T>, Errno> {
        let place = usize::try_from(descriptor).map_err(|_| Errno::EBADF)?;
        if place >= self.limit {
            return Err(Errno::EBADF);
        }
        Ok(self.put(place, file, close_on_exec))
    }

    fn put(&mut self, place: usize, file: T, close_on_exec: bool) -> Option<T> {
        while self.entries.len() <= place {
            self.entries.push(None);
        }
        let entry = Entry {
            file,
            close_on_exec,
        };
        self.entries
            .get_mut(place)
            .and_then(|slot| slot.replace(entry))
            .map(|old| old.file)
    }

    /// Takes `descriptor` out.
    ///
    /// # Errors
    /// `EBADF` if it is not open.
    pub fn remove(&mut self, descriptor: i32) -> Result<T, Errno> {
        let place = descriptor as u32 as usize;
        let entry = self
            .entries
            .get_mut(place)
            .and_then(Option::take)
            .ok_or(Errno::EBADF)?;
        self.lowest = self.lowest.min(place);
        Ok(entry.file)
    }

    /// Whether `descriptor` is closed by `execve`.
    ///
    /// # Errors
    /// `EBADF` if it is not open.
    pub fn close_on_exec(&self, descriptor: i32) -> Result<bool, Errno> {
        match self.entries.get(descriptor as u32 as usize) {
            Some(Some(entry)) => Ok(entry.close_on_exec),
            _ => Err(Errno::EBADF),
        }
    }

    /// Says whether `descriptor` is closed by `execve`.
    ///
    /// # Errors
    /// `EBADF` if it is not open.
    pub fn set_close_on_exec(&mut self, descriptor: i32, close_on_exec: bool) -> Result<(), Errno> {
        match self.entries.get_mut(descriptor as u32 as usize) {
            Some(Some(entry)) => {
                entry.close_on_exec = close_on_exec;
                Ok(())
            }
            _ => Err(Errno::EBADF),
        }
    }

    /// The open descriptors, lowest first, from `first` on.
    pub fn open_from(&self, first: usize) -> impl Iterator<Item = i32> {
        self.entries
            .iter()
            .enumerate()
            .skip(first)
            .filter(|(_, entry)| entry.is_some())
            .map(|(place, _)| place as i32)
    }
}

impl<T: Clone> Default for Descriptors<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn gives_the_lowest_free_descriptor() {
        let mut table = Descriptors::new();
        assert_eq!(table.add('a', 0, false), Ok(0));
        assert_eq!(table.add('b', 0, true), Ok(1));
        assert_eq!(table.add('c', 10, false), Ok(10));
        assert_eq!(table.add('d', 0, false), Ok(2));
        assert_eq!(table.remove(1), Ok('b'));
        assert_eq!(table.remove(1), Err(Errno::EBADF));
        assert_eq!(table.add('e', 0, false), Ok(1));
        assert_eq!(table.add('f', 0, false), Ok(3));
        assert_eq!(table.replace(3, 'g', false), Ok(Some('f')));
        assert_eq!(table.get(-1), Err(Errno::EBADF));
        assert_eq!(table.close_on_exec(1), Ok(false));
    }

    #[test]
    fn begins_with_three() {
        let mut table = Descriptors::new();
        table.begin(['a', 'b', 'c']);
        assert_eq!(table.get(2), Ok(&'c'));
        assert_eq!(table.close_on_exec(0), Ok(false));
        assert_eq!(table.add('d', 0, false), Ok(3));
    }

    #[test]
    fn keeps_to_the_limit() {
        let mut table = Descriptors::new();
        table.set_limit(2);
        assert_eq!(table.add((), 0, false), Ok(0));
        assert_eq!(table.add((), 2, false), Err(Errno::EINVAL));
        assert_eq!(table.add((), 0, false), Ok(1));
        assert_eq!(table.add((), 0, false), Err(Errno::EMFILE));
        assert_eq!(table.replace(2, (), false), Err(Errno::EBADF));
        assert_eq!(table.replace(-1, (), false), Err(Errno::EBADF));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((0u8..4, 0i32..20), 1..200)) {
            let mut table = Descriptors::new();
            let mut model = BTreeMap::new();
            for (count, (step, number)) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        let expected = (0..).find(|free| !model.contains_key(free)).expect("one is free");
                        prop_assert_eq!(table.add(count, 0, false), Ok(expected));
                        model.insert(expected, count);
                    }
                    1 => {
                        let expected = (number..).find(|free| !model.contains_key(free)).expect("one is free");
                        prop_assert_eq!(table.add(count, number as usize, false), Ok(expected));
                        model.insert(expected, count);
                    }
                    2 => prop_assert_eq!(table.remove(number).ok(), model.remove(&number)),
                    _ => prop_assert_eq!(table.replace(number, count, true), Ok(model.insert(number, count))),
                }
                prop_assert_eq!(table.get(number).ok(), model.get(&number));
            }
            prop_assert!(table.open_from(0).eq(model.keys().copied()));
        }
    }
}
