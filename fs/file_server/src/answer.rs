//! Packing what a method answers into the caller's buffer.
//!
//! A caller's buffer may be too short for an answer; then nothing is written and the answer is
//! [`Error::TooLarge`].

use kiln_interface::file::Attributes;
use kiln_object::Error;
use zerocopy::{FromBytes, IntoBytes};

use crate::walk::Stop;

/// Which path of a method a walk was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The only one, or the first of two.
    First,
    /// The second of two.
    Second,
}

impl Stop {
    /// The error to answer, with the path to go on with written to `buffer` if there is one.
    #[must_use]
    pub fn answer(self, which: Which, buffer: &mut [u8]) -> Error {
        let path = match self {
            Self::Failed(error) => return error,
            Self::Elsewhere(path) => path,
        };
        let shift = usize::from(which == Which::Second);
        let end = shift + path.len();
        match (buffer.get_mut(..shift), end.checked_add(1)) {
            (Some(mark), Some(length)) => {
                mark.fill(b'/');
                let Some([rest @ .., zero]) = buffer.get_mut(shift..length) else {
                    return Error::TooLarge;
                };
                rest.copy_from_slice(&path);
                *zero = 0;
                Error::Elsewhere
            }
            _ => Error::TooLarge,
        }
    }
}

/// Writes `attributes` to the front of `answer` and answers how many bytes they are.
///
/// # Errors
/// [`Error::TooLarge`] if `answer` is too short.
pub fn write_attributes(attributes: &Attributes, answer: &mut [u8]) -> Result<usize, Error> {
    let bytes = attributes.as_bytes();
    answer
        .get_mut(..bytes.len())
        .ok_or(Error::TooLarge)?
        .copy_from_slice(bytes);
    Ok(bytes.len())
}

/// Reads what a client passed as the bytes of an [`Attributes`].
///
/// # Errors
/// [`Error::BadArgument`] if they are not exactly as many.
pub fn take_attributes(bytes: &[u8]) -> Result<Attributes, Error> {
    Attributes::read_from_bytes(bytes).map_err(|_| Error::BadArgument)
}
