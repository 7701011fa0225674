//! Values that travel in registers.
//!
//! Decoding takes any words and answers a value of the type or an error: what a server's code sees
//! is always a value.

use core::fmt;

use crate::interface::Interface;
use crate::{Error, ProcessId, RawReference, Reference, Rights, fingerprint};

/// A value that travels in registers.
///
/// `#[derive(Wire)]` implements it for structures and enumerations of such values. What else a value
/// must be able to do is for the test doubles, which keep and compare arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent in words",
    label = "not a value that travels",
    note = "`#[derive(Wire)]` it if it is small; a large plain structure is sent as `&T`"
)]
pub trait Wire: Sized + Clone + fmt::Debug + PartialEq {
    /// Words it takes; at most [`RETURN_WORDS`](crate::call::RETURN_WORDS) for results.
    const WORDS: usize;
    /// Hash of what the words mean.
    const LAYOUT: u64;
    /// Writes the words to the front of `words`, which is at least [`Wire::WORDS`] long.
    fn encode(&self, words: &mut [u64]);
    /// Reads it back.
    ///
    /// # Errors
    /// [`Error::BadArgument`] if the words are no value of the type.
    fn decode(words: &[u64]) -> Result<Self, Error>;
}

macro_rules! wire_integers {
    ($($integer:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl Wire for $integer {
            const WORDS: usize = 1;
            const LAYOUT: u64 = fingerprint::text(stringify!($integer));
            #[inline(always)]
            fn encode(&self, words: &mut [u64]) {
                if let Some(word) = words.first_mut() {
                    *word = *self as u64;
                }
            }
            #[inline(always)]
            fn decode(words: &[u64]) -> Result<Self, Error> {
                let word = *words.first().ok_or(Error::BadArgument)?;
                let value = word as $integer;
                if value as u64 == word { Ok(value) } else { Err(Error::BadArgument) }
            }
        }
    )*};
}

wire_integers!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

#[diagnostic::do_not_recommend]
impl Wire for () {
    const WORDS: usize = 0;
    const LAYOUT: u64 = fingerprint::text("()");
    #[inline(always)]
    fn encode(&self, _words: &mut [u64]) {}
    #[inline(always)]
    fn decode(_words: &[u64]) -> Result<Self, Error> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl Wire for bool {
    const WORDS: usize = 1;
    const LAYOUT: u64 = fingerprint::text("bool");
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        u64::from(*self).encode(words);
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        match u64::decode(words)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::BadArgument),
        }
    }
}

#[diagnostic::do_not_recommend]
impl Wire for Rights {
    const WORDS: usize = 1;
    const LAYOUT: u64 = fingerprint::text("Rights");
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        self.bits().encode(words);
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        u32::decode(words).map(Rights::from_bits_retain)
    }
}

#[diagnostic::do_not_recommend]
impl Wire for ProcessId {
    const WORDS: usize = 1;
    const LAYOUT: u64 = fingerprint::text("ProcessId");
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        self.raw().encode(words);
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        u64::decode(words).map(ProcessId::from_raw)
    }
}

#[diagnostic::do_not_recommend]
impl Wire for RawReference {
    const WORDS: usize = 2;
    const LAYOUT: u64 = fingerprint::text("RawReference");
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        if let [process, object, ..] = words {
            *process = self.process.raw();
            *object = self.object.raw();
        }
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        match words {
            [process, object, ..] => Ok(RawReference {
                process: ProcessId::from_raw(*process),
                object: crate::ObjectName::from_raw(*object),
            }),
            _ => Err(Error::BadArgument),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<I: Interface + ?Sized> Wire for Reference<I> {
    const WORDS: usize = 2;
    const LAYOUT: u64 = fingerprint::combine(fingerprint::text("Reference"), &[I::TEXT]);
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        self.raw().encode(words);
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        RawReference::decode(words).map(Reference::new)
    }
}

#[diagnostic::do_not_recommend]
impl<A: Wire, B: Wire> Wire for (A, B) {
    const WORDS: usize = A::WORDS + B::WORDS;
    const LAYOUT: u64 = fingerprint::combine(fingerprint::text("()"), &[A::LAYOUT, B::LAYOUT]);
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        self.0.encode(words);
        if let Some(rest) = words.get_mut(A::WORDS..) {
            self.1.encode(rest);
        }
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        let rest = words.get(A::WORDS..).ok_or(Error::BadArgument)?;
        Ok((A::decode(words)?, B::decode(rest)?))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Wire> Wire for Option<T> {
    const WORDS: usize = 1 + T::WORDS;
    const LAYOUT: u64 = fingerprint::combine(fingerprint::text("Option"), &[T::LAYOUT]);
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        self.is_some().encode(words);
        if let (Some(value), Some(rest)) = (self, words.get_mut(1..)) {
            value.encode(rest);
        }
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> Result<Self, Error> {
        if bool::decode(words)? {
            T::decode(words.get(1..).ok_or(Error::BadArgument)?).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// Implements [`Wire`] for a type of `bitflags`: a bit without a name does not decode.
#[macro_export]
macro_rules! wire_flags {
    ($flags:ty) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Wire for $flags {
            const WORDS: usize = 1;
            const LAYOUT: u64 = $crate::fingerprint::combine(
                $crate::fingerprint::text(stringify!($flags)),
                &[<$flags>::all().bits() as u64],
            );
            #[inline(always)]
            fn encode(&self, words: &mut [u64]) {
                $crate::Wire::encode(&self.bits(), words);
            }
            #[inline(always)]
            fn decode(words: &[u64]) -> Result<Self, $crate::Error> {
                let bits = $crate::Wire::decode(words)?;
                <$flags>::from_bits(bits).ok_or($crate::Error::BadArgument)
            }
        }
    };
}
