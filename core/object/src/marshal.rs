//! What generated stubs and dispatches do with byte strings; nothing else calls it.
//!
//! Lengths from the other end are checked here, and only bytes that a method says it wrote travel.

use crate::call::{CALL_WORDS, MESSAGE_BYTES, RETURN_WORDS};
use crate::{Error, Failure};

/// Messages up to here are joined in a small buffer, since clearing a page costs more than the call.
const SHORT_BYTES: usize = 256;

/// As much of `output` as one call can fill.
#[inline(always)]
pub fn clamp(output: &mut [u8]) -> &mut [u8] {
    let length = output.len().min(MESSAGE_BYTES);
    output.get_mut(..length).unwrap_or_default()
}

/// Passes the parts, one after the other, to `then`.
///
/// # Errors
/// [`Error::TooLarge`] if they are longer than a message; then nothing was called.
#[inline]
pub fn with_joined<const N: usize, T>(
    parts: [&[u8]; N],
    then: impl FnOnce(&[u8]) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut length = 0usize;
    for part in parts {
        length = length.saturating_add(part.len());
    }
    if length <= SHORT_BYTES {
        then(joined(&parts, &mut [0; SHORT_BYTES])?)
    } else if length <= MESSAGE_BYTES {
        then(joined(&parts, &mut [0; MESSAGE_BYTES])?)
    } else {
        Err(Error::TooLarge)
    }
}

/// Puts the parts, each at a multiple of [`ALIGNMENT`](crate::plain::ALIGNMENT), in `room`.
///
/// # Errors
/// [`Error::TooLarge`] if there is not enough of it.
#[inline]
pub fn join_aligned<'a>(parts: &[&[u8]], room: &'a mut [u8]) -> Result<&'a [u8], Error> {
    let mut used = 0usize;
    for part in parts {
        let start = aligned(used);
        used = start.saturating_add(part.len());
        room.get_mut(start..used)
            .ok_or(Error::TooLarge)?
            .copy_from_slice(part);
    }
    room.get(..used).ok_or(Error::TooLarge)
}

/// The room that parts of at most so many bytes take in a message, if that is known of all of them;
/// else a message's.
#[must_use]
pub const fn room(bounds: &[Option<usize>]) -> usize {
    let mut used = 0usize;
    let mut index = 0;
    while index < bounds.len() {
        match bounds[index] {
            Some(bound) => used = aligned(used).saturating_add(bound),
            None => return MESSAGE_BYTES,
        }
        index += 1;
    }
    used
}

const fn aligned(length: usize) -> usize {
    // Lengths are of slices, so none is near the end of the numbers.
    length.next_multiple_of(crate::plain::ALIGNMENT)
}

fn joined<'a>(parts: &[&[u8]], buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
    let mut used = 0;
    for part in parts {
        let end = used + part.len();
        buffer
            .get_mut(used..end)
            .ok_or(Error::TooLarge)?
            .copy_from_slice(part);
        used = end;
    }
    buffer.get(..used).ok_or(Error::TooLarge)
}

/// Takes the first `length` of `bytes`.
///
/// # Errors
/// [`Error::BadArgument`] if there are not as many.
#[inline]
pub fn split(bytes: &[u8], length: u64) -> Result<(&[u8], &[u8]), Error> {
    usize::try_from(length)
        .ok()
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or(Error::BadArgument)
}

/// Takes the first `length` of `bytes` and leaves what follows at the next aligned place.
///
/// # Errors
/// [`Error::BadArgument`] if there are not as many.
#[inline]
pub fn split_aligned(bytes: &[u8], length: u64) -> Result<(&[u8], &[u8]), Error> {
    let (part, _) = split(bytes, length)?;
    let rest = bytes.get(aligned(part.len())..).ok_or(Error::BadArgument)?;
    Ok((part, rest))
}

/// Whether a number is within a limit, where both are known to the compiler.
#[must_use]
pub const fn at_most(number: usize, limit: usize) -> bool {
    number <= limit
}

/// Checks a length against its declared bound.
///
/// # Errors
/// [`Error::TooLarge`] if it is longer.
#[inline(always)]
pub fn within(length: usize, bound: usize) -> Result<(), Error> {
    if length <= bound {
        Ok(())
    } else {
        Err(Error::TooLarge)
    }
}

/// Empties the words in whose place the result's go, so that no argument is among them.
#[inline(always)]
pub fn clear(words: &mut [u64; CALL_WORDS]) {
    words[..RETURN_WORDS].fill(0);
}

/// Refuses bytes where none belong.
///
/// # Errors
/// [`Error::BadArgument`] if there are some.
#[inline(always)]
pub fn expect_none(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(Error::BadArgument)
    }
}

/// The text that `bytes` are.
///
/// # Errors
/// [`Error::BadArgument`] if they are not UTF-8.
#[inline]
pub fn text(bytes: &[u8]) -> Result<&str, Error> {
    core::str::from_utf8(bytes).map_err(|_| Error::BadArgument)
}

/// At most `bound` bytes of `output`.
#[inline(always)]
pub fn clamp_to(output: &mut [u8], bound: usize) -> &mut [u8] {
    let length = output.len().min(bound);
    output.get_mut(..length).unwrap_or_default()
}

/// The room for the bytes out, holding the bytes that came in for it.
///
/// # Errors
/// [`Error::BadArgument`] if the room is not as long.
#[inline]
pub fn filled<'a>(output: &'a mut [u8], bytes: &[u8]) -> Result<&'a mut [u8], Error> {
    if output.len() != bytes.len() {
        return Err(Error::BadArgument);
    }
    output.copy_from_slice(bytes);
    Ok(output)
}

/// Makes sure that a buffer which the method leaves untouched holds an empty path.
#[inline(always)]
pub fn prepare(output: &mut [u8]) {
    if let Some(first) = output.first_mut() {
        *first = 0;
    }
}

/// How many bytes travel with `error`: with `Elsewhere` the path and its NUL, else none.
#[inline]
#[must_use]
pub fn failure(error: Error, output: &[u8]) -> Failure {
    let output = match error {
        Error::Elsewhere => output
            .iter()
            .position(|byte| *byte == 0)
            .map_or(0, |end| end + 1),
        _ => 0,
    };
    Failure { error, output }
}

/// Checks the number of bytes that a method says it wrote to `output`.
///
/// # Errors
/// [`Error::BadAnswer`] if they are more than there is room for.
#[inline(always)]
pub fn count(bytes: u64, output: &[u8]) -> Result<usize, Error> {
    match usize::try_from(bytes) {
        Ok(bytes) if bytes <= output.len() => Ok(bytes),
        _ => Err(Error::BadAnswer),
    }
}
