//! Where the bytes of a read go and those of a write come from.
//!
//! Both ends are either the program's memory, where any address may be bad, or the library's own
//! (a loader that reads a header, `sendfile`). A transfer that meets a bad address answers what came
//! before it; only one that moved nothing fails.

use crate::errno::Errno;
use crate::program_memory;

/// Takes the bytes of a read.
#[derive(Debug)]
pub struct Destination<'a> {
    place: Place<'a>,
    stored: usize,
}

#[derive(Debug)]
enum Place<'a> {
    Program { address: u64, length: usize },
    Library(&'a mut [u8]),
}

impl<'a> Destination<'a> {
    /// `length` bytes of the program's memory.
    ///
    /// # Errors
    /// `EFAULT` for a range that cannot be the program's.
    #[inline]
    pub fn program(address: u64, length: usize) -> Result<Self, Errno> {
        program_memory::check(address, length as u64)?;
        Ok(Self::checked(address, length))
    }

    /// As [`Self::program`], of memory that somebody found to be the program's already.
    #[must_use]
    pub const fn checked(address: u64, length: usize) -> Self {
        Self {
            place: Place::Program { address, length },
            stored: 0,
        }
    }

    /// The library's own memory.
    #[must_use]
    pub const fn library(bytes: &'a mut [u8]) -> Self {
        Self {
            place: Place::Library(bytes),
            stored: 0,
        }
    }

    /// Bytes that still fit.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        match &self.place {
            Place::Program { length, .. } => length - self.stored,
            Place::Library(bytes) => bytes.len() - self.stored,
        }
    }

    /// Bytes stored so far.
    #[must_use]
    pub const fn stored(&self) -> usize {
        self.stored
    }

    /// Stores as many of `bytes` as fit, and answers how many.
    ///
    /// # Errors
    /// `EFAULT` if none could be stored although there is room.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let count = bytes.len().min(self.room());
        let bytes = bytes.get(..count).unwrap_or_default();
        let count = match &mut self.place {
            Place::Program { address, .. } => {
                program_memory::copy_out_partly(*address + self.stored as u64, bytes)?
            }
            Place::Library(place) => {
                if let Some(place) = place.get_mut(self.stored..self.stored + count) {
                    place.copy_from_slice(bytes);
                }
                count
            }
        };
        self.stored += count;
        Ok(count)
    }
}

/// Gives the bytes of a write.
#[derive(Debug)]
pub struct Source<'a> {
    place: From<'a>,
    taken: usize,
}

#[derive(Debug)]
enum From<'a> {
    Program { address: u64, length: usize },
    Library(&'a [u8]),
}

impl<'a> Source<'a> {
    /// `length` bytes of the program's memory.
    ///
    /// # Errors
    /// `EFAULT` for a range that cannot be the program's.
    #[inline]
    pub fn program(address: u64, length: usize) -> Result<Self, Errno> {
        program_memory::check(address, length as u64)?;
        Ok(Self::checked(address, length))
    }

    /// As [`Self::program`], of memory that somebody found to be the program's already.
    #[must_use]
    pub const fn checked(address: u64, length: usize) -> Self {
        Self {
            place: From::Program { address, length },
            taken: 0,
        }
    }

    /// The library's own memory.
    #[must_use]
    pub const fn library(bytes: &'a [u8]) -> Self {
        Self {
            place: From::Library(bytes),
            taken: 0,
        }
    }

    /// Bytes not yet taken.
    #[inline]
    #[must_use]
    pub fn left(&self) -> usize {
        match &self.place {
            From::Program { length, .. } => length - self.taken,
            From::Library(bytes) => bytes.len() - self.taken,
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// Fills the front of `bytes` with what comes next, as far as there is something.
    ///
    /// # Errors
    /// `EFAULT`; nothing counts as taken then.
    #[inline]
    pub fn take<'b>(&mut self, bytes: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let count = bytes.len().min(self.left());
        let bytes = bytes.get_mut(..count).unwrap_or_default();
        match &self.place {
            From::Program { address, .. } => {
                program_memory::copy_in(*address + self.taken as u64, bytes)?;
            }
            From::Library(place) => {
                if let Some(place) = place.get(self.taken..self.taken + count) {
                    bytes.copy_from_slice(place);
                }
            }
        }
        self.taken += count;
        Ok(bytes)
    }

    /// Takes all bytes without looking at them.
    pub fn skip_all(&mut self) -> usize {
        let left = self.left();
        self.taken += left;
        left
    }

    /// Gives the last `count` bytes back: they were not written after all.
    pub fn give_back(&mut self, count: usize) {
        self.taken -= count.min(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_move_in_pieces() {
        let mut place = [0; 5];
        let mut destination = Destination::library(&mut place);
        assert_eq!(destination.put(b"abc"), Ok(3));
        assert_eq!(destination.put(b"def"), Ok(2));
        assert_eq!(destination.room(), 0);
        assert_eq!(&place, b"abcde");

        let mut source = Source::library(b"abcde");
        let mut piece = [0; 3];
        assert_eq!(source.take(&mut piece), Ok(&b"abc"[..]));
        source.give_back(1);
        assert_eq!(source.take(&mut piece), Ok(&b"cde"[..]));
        assert_eq!(source.left(), 0);
    }

    #[test]
    fn the_programs_memory_is_one_end() {
        let mut place = [0; 4];
        let address = place.as_mut_ptr() as u64;
        let mut destination = Destination::program(address, 4).expect("is the program's");
        assert_eq!(destination.put(b"wxyz"), Ok(4));
        assert_eq!(&place, b"wxyz");
        assert!(Destination::program(0x6000_0000_0000, 1).is_err());
        assert!(Source::program(u64::MAX, 2).is_err());
    }
}
