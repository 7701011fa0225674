//! Values that travel as bytes: structures too large for registers, and slices of them.
//!
//! Any bytes are a value of such a type, and all its bytes are its own: nothing has to be checked
//! on arrival but the length, and nothing of the sender's memory travels along.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Error, fingerprint};

/// Where plain values start in a message, if they are not alone in it; none is aligned to more.
pub const ALIGNMENT: usize = 8;

/// A value that travels as its bytes; `#[derive(Plain)]` beside the derives of `zerocopy`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as bytes",
    label = "not a plain type",
    note = "a plain type is `repr(C)`, has no padding, and derives `Plain`, `FromBytes`, \
            `IntoBytes`, `Immutable` and `KnownLayout`"
)]
pub trait Plain:
    FromBytes + IntoBytes + Immutable + KnownLayout + Copy + fmt::Debug + PartialEq
{
    /// Hash of what the bytes mean.
    const LAYOUT: u64;
}

macro_rules! plain_integers {
    ($($integer:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl Plain for $integer {
            const LAYOUT: u64 = fingerprint::text(stringify!($integer));
        }
    )*};
}

plain_integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! plain_names {
    ($($name:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl Plain for $name {
            const LAYOUT: u64 = fingerprint::text(stringify!($name));
        }
    )*};
}

plain_names!(crate::ProcessId, crate::ObjectName, crate::RawReference);

#[diagnostic::do_not_recommend]
impl<T: Plain, const N: usize> Plain for [T; N] {
    const LAYOUT: u64 =
        fingerprint::combine(fingerprint::text("[]"), &[<T as Plain>::LAYOUT, N as u64]);
}

/// Fails to compile for a type that a message cannot carry at an aligned place.
pub const fn check<T: Plain>() {
    assert!(
        align_of::<T>() <= ALIGNMENT,
        "a plain type that travels is aligned to 8 bytes at most"
    );
    assert!(size_of::<T>() > 0, "a plain type that travels has a size");
}

/// The bytes of a value.
#[inline(always)]
pub fn bytes<T: Plain>(value: &T) -> &[u8] {
    value.as_bytes()
}

/// The bytes of a value, to be overwritten.
#[inline(always)]
pub fn bytes_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    value.as_mut_bytes()
}

/// The bytes of values.
#[inline(always)]
pub fn slice_bytes<T: Plain>(values: &[T]) -> &[u8] {
    values.as_bytes()
}

/// The bytes of at most `bound` values, to be overwritten.
#[inline(always)]
pub fn slice_bytes_mut<T: Plain>(values: &mut [T], bound: usize) -> &mut [u8] {
    let bound = bound.min(values.len());
    values.get_mut(..bound).unwrap_or_default().as_mut_bytes()
}

/// The value that `bytes` are.
///
/// # Errors
/// [`Error::BadArgument`] if they are too many, too few or not aligned.
#[inline(always)]
pub fn one<T: Plain>(bytes: &[u8]) -> Result<&T, Error> {
    T::ref_from_bytes(bytes).map_err(|_| Error::BadArgument)
}

/// The values that `bytes` are.
///
/// # Errors
/// [`Error::BadArgument`] if they are no whole number of values, or not aligned.
#[inline(always)]
pub fn slice<T: Plain>(bytes: &[u8]) -> Result<&[T], Error> {
    <[T]>::ref_from_bytes(bytes).map_err(|_| Error::BadArgument)
}

/// Room for a value, holding zeroes, in the room for the bytes out.
///
/// # Errors
/// [`Error::TooLarge`] if there is not as much room.
#[inline(always)]
pub fn one_out<T: Plain>(output: &mut [u8]) -> Result<&mut T, Error> {
    let place = output.get_mut(..size_of::<T>()).ok_or(Error::TooLarge)?;
    // What an earlier call left there must not travel if the method writes nothing.
    place.fill(0);
    T::mut_from_bytes(place).map_err(|_| Error::BadArgument)
}

/// The same, holding what is there.
///
/// # Errors
/// [`Error::TooLarge`] if there is not as much room.
#[inline(always)]
pub fn one_in_out<T: Plain>(output: &mut [u8]) -> Result<&mut T, Error> {
    let place = output.get_mut(..size_of::<T>()).ok_or(Error::TooLarge)?;
    T::mut_from_bytes(place).map_err(|_| Error::BadArgument)
}

/// As many values as fit in the room for the bytes out, at most `bound`.
///
/// # Errors
/// [`Error::BadArgument`] if the room is not aligned.
#[inline(always)]
pub fn slice_out<T: Plain>(output: &mut [u8], bound: usize) -> Result<&mut [T], Error> {
    let count = (output.len() / size_of::<T>()).min(bound);
    let room = output
        .get_mut(..count * size_of::<T>())
        .ok_or(Error::TooLarge)?;
    <[T]>::mut_from_bytes(room).map_err(|_| Error::BadArgument)
}

/// The bytes of so many values in `room`.
///
/// # Errors
/// [`Error::BadAnswer`] if there is not as much room.
#[inline(always)]
pub fn count<T: Plain>(values: u64, room: &[u8]) -> Result<usize, Error> {
    usize::try_from(values)
        .ok()
        .and_then(|values| values.checked_mul(size_of::<T>()))
        .filter(|bytes| *bytes <= room.len())
        .ok_or(Error::BadAnswer)
}

/// Checks that so many bytes hold as many values.
///
/// # Errors
/// [`Error::BadAnswer`] if they do not.
#[inline(always)]
pub fn fits<T: Plain>(values: u64, bytes: usize) -> Result<(), Error> {
    if values <= (bytes / size_of::<T>()) as u64 {
        Ok(())
    } else {
        Err(Error::BadAnswer)
    }
}
