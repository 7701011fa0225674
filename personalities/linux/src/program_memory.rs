//! Access to the program's memory, where any address may be bad.
//!
//! An address in the system's range or above the user half is refused; every other fault is caught
//! in the copy loops, whose addresses the trap handler knows, and becomes `EFAULT`. Nothing else of
//! this library may touch memory at an address that the program chose.

use alloc::vec::Vec;
use core::mem::size_of;
use core::ops::Deref;

use kiln_object::layout::{SYSTEM_END, SYSTEM_START, USER_END};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::errno::Errno;

mod copy;

pub use copy::fixup;

/// Longest path that a system call takes, with the NUL (`PATH_MAX`).
pub const PATH_BYTES: usize = 4096;

/// Most entries of an I/O vector (`UIO_MAXIOV`).
pub const VECTOR_ENTRIES: usize = 1024;

/// A range of the program's memory, as an `iovec` names it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Slice {
    /// Where it starts.
    pub address: u64,
    /// Its bytes.
    pub length: u64,
}

/// Whether `length` bytes at `address` could be the program's.
///
/// # Errors
/// `EFAULT` if any byte lies in the system's range or outside the user half.
#[inline]
pub fn check(address: u64, length: u64) -> Result<(), Errno> {
    let end = address.checked_add(length).ok_or(Errno::EFAULT)?;
    if end > USER_END || (address < SYSTEM_END && end > SYSTEM_START) {
        return Err(Errno::EFAULT);
    }
    Ok(())
}

/// Fills `bytes` from the program's memory at `address`.
///
/// # Errors
/// `EFAULT`; then `bytes` may be partly filled.
#[inline]
pub fn copy_in(address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    check(address, bytes.len() as u64)?;
    match copy::from_program(address, bytes) {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Stores `bytes` in the program's memory at `address`.
///
/// # Errors
/// `EFAULT`; then part of them may be stored.
#[inline]
pub fn copy_out(address: u64, bytes: &[u8]) -> Result<(), Errno> {
    check(address, bytes.len() as u64)?;
    match copy::to_program(address, bytes) {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Stores `bytes` as far as the memory at `address` goes; answers how many were stored.
///
/// This is what `read` does at a bad page: it answers the bytes before it.
///
/// # Errors
/// `EFAULT` if not one byte could be stored (of at least one).
#[inline]
pub fn copy_out_partly(address: u64, bytes: &[u8]) -> Result<usize, Errno> {
    check(address, bytes.len() as u64)?;
    let stored = bytes.len() - copy::to_program(address, bytes);
    if stored == 0 && !bytes.is_empty() {
        return Err(Errno::EFAULT);
    }
    Ok(stored)
}

/// Stores zeroes in `length` bytes at `address`.
///
/// # Errors
/// `EFAULT`; then part of them may be stored.
pub fn zero(address: u64, length: u64) -> Result<(), Errno> {
    check(address, length)?;
    match copy::zero(address, length) {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Reads a value at `address`, which need not be aligned.
///
/// # Errors
/// `EFAULT`.
#[inline]
pub fn read<T: FromBytes + IntoBytes>(address: u64) -> Result<T, Errno> {
    let mut value = T::new_zeroed();
    copy_in(address, value.as_mut_bytes())?;
    Ok(value)
}

/// Writes a value at `address`, which need not be aligned.
///
/// # Errors
/// `EFAULT`.
#[inline]
pub fn write<T: IntoBytes + Immutable + ?Sized>(address: u64, value: &T) -> Result<(), Errno> {
    copy_out(address, value.as_bytes())
}

/// Writes a value unless `address` is null: an optional result.
///
/// # Errors
/// `EFAULT`.
#[inline]
pub fn write_if_wanted<T: IntoBytes + Immutable>(address: u64, value: &T) -> Result<(), Errno> {
    if address == 0 {
        return Ok(());
    }
    write(address, value)
}

/// Reads `count` values that lie one after another.
///
/// # Errors
/// `EFAULT`; the caller bounds `count`.
pub fn read_array<T: FromBytes + IntoBytes>(address: u64, count: usize) -> Result<Vec<T>, Errno> {
    let bytes = count.checked_mul(size_of::<T>()).ok_or(Errno::EFAULT)?;
    check(address, bytes as u64)?;
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    values.resize_with(count, T::new_zeroed);
    copy_in(address, values.as_mut_slice().as_mut_bytes())?;
    Ok(values)
}

/// The bytes of the string at `address`, without its NUL.
///
/// # Errors
/// `EFAULT`; `ENAMETOOLONG` if there is no NUL among the first `max` bytes.
pub fn c_string(address: u64, max: usize) -> Result<Vec<u8>, Errno> {
    const CHUNK: u64 = 64;
    let mut string = Vec::with_capacity(max.min(2 * CHUNK as usize));
    let mut position = address;
    while string.len() < max {
        // A chunk never crosses a page, so a string that ends before a bad page is read.
        let chunk = CHUNK - position % CHUNK;
        let start = string.len();
        string.resize(start + chunk as usize, 0);
        let tail = string.get_mut(start..).unwrap_or_default();
        copy_in(position, tail)?;
        if let Some(end) = tail.iter().position(|byte| *byte == 0) {
            string.truncate(start + end);
            return if string.len() < max {
                Ok(string)
            } else {
                Err(Errno::ENAMETOOLONG)
            };
        }
        position += chunk;
    }
    Err(Errno::ENAMETOOLONG)
}

/// As [`c_string`], but a longer string is cut after `max` bytes instead of refused.
///
/// # Errors
/// `EFAULT`.
pub fn c_string_prefix(address: u64, max: usize) -> Result<Vec<u8>, Errno> {
    let mut string = Vec::with_capacity(max);
    while string.len() < max {
        match read::<u8>(address.wrapping_add(string.len() as u64))? {
            0 => break,
            byte => string.push(byte),
        }
    }
    Ok(string)
}

/// A path argument: at most [`PATH_BYTES`] with its NUL. The empty path is the caller's matter.
///
/// # Errors
/// `EFAULT`, `ENAMETOOLONG`.
pub fn path(address: u64) -> Result<Vec<u8>, Errno> {
    c_string(address, PATH_BYTES)
}

/// Entries of an I/O vector that need no memory of their own: as many as Linux takes so.
const FEW: usize = 8;

/// The entries of an I/O vector, as they were when they were read.
#[derive(Debug)]
pub struct Slices {
    few: [Slice; FEW],
    many: Vec<Slice>,
    count: usize,
}

impl Deref for Slices {
    type Target = [Slice];

    #[inline]
    fn deref(&self) -> &[Slice] {
        match self.few.get(..self.count) {
            Some(few) => few,
            None => &self.many,
        }
    }
}

impl Slices {
    /// Room for the entries of an I/O vector.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self {
            few: FromZeros::new_zeroed(),
            many: Vec::new(),
            count: 0,
        }
    }

    /// Reads the I/O vector of `count` entries at `address`, as `readv` and its kin take it; answers
    /// the entries.
    ///
    /// # Errors
    /// `EINVAL` if `count` is negative or above [`VECTOR_ENTRIES`], or the lengths exceed `ssize_t`;
    /// `EFAULT` if the vector cannot be read or an entry lies outside the program's memory.
    pub fn read(&mut self, address: u64, count: i32) -> Result<&[Slice], Errno> {
        let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        if count > VECTOR_ENTRIES {
            return Err(Errno::EINVAL);
        }
        self.count = count;
        match self.few.get_mut(..count) {
            Some(few) => copy_in(address, few.as_mut_bytes())?,
            None => self.many = read_array(address, count)?,
        }
        let mut room = i64::MAX as u64;
        for slice in &**self {
            room = room.checked_sub(slice.length).ok_or(Errno::EINVAL)?;
            if slice.length > 0 {
                check(slice.address, slice.length)?;
            }
        }
        Ok(self)
    }
}

impl Default for Slices {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
