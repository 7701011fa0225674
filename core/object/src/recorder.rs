//! What generated test doubles are made of; there is none of it in an image.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
pub use std::vec::Vec;

use crate::call::RETURN_WORDS;
use crate::{Error, Wire};

/// The calls that were made, in order.
#[derive(Debug)]
pub struct Calls<C>(Mutex<Vec<C>>);

impl<C> Calls<C> {
    /// Notes a call.
    pub fn note(&self, call: C) {
        lock(&self.0).push(call);
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<C> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl<C> Default for Calls<C> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

/// What to answer to a call for which the test has said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// Nothing: the test is wrong, and panics.
    #[default]
    Panic,
    /// This error.
    Fail(Error),
    /// What these words are, if they are a result of the method; else `BadAnswer`.
    Words([u64; RETURN_WORDS]),
}

/// The answer in that case.
#[derive(Debug, Default)]
pub struct Fallback(Mutex<Otherwise>);

impl Fallback {
    /// Sets it.
    pub fn set(&self, otherwise: Otherwise) {
        *lock(&self.0) = otherwise;
    }
}

/// The answers to one method's calls, each with the bytes that go out.
#[derive(Debug)]
pub struct Script<R>(Mutex<VecDeque<Answer<R>>>);

#[derive(Debug)]
struct Answer<R> {
    result: Result<R, Error>,
    bytes: Vec<u8>,
}

impl<R> Default for Script<R> {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }
}

impl<R: Wire> Script<R> {
    /// The call after those that have an answer gets this one.
    pub fn add(&self, answer: Result<R, Error>, bytes: &[u8]) {
        lock(&self.0).push_back(Answer {
            result: answer,
            bytes: Vec::from(bytes),
        });
    }

    /// The answer to a call of `method`; as much of its bytes as fits goes to `output`.
    ///
    /// # Panics
    /// If the test has not said what to answer.
    ///
    /// # Errors
    /// Those that the test says.
    pub fn next(&self, method: &str, fallback: &Fallback, output: &mut [u8]) -> Result<R, Error> {
        let Some(Answer { result, bytes }) = lock(&self.0).pop_front() else {
            return match *lock(&fallback.0) {
                Otherwise::Panic => panic!("the test does not say what `{method}` answers"),
                Otherwise::Fail(error) => Err(error),
                Otherwise::Words(words) => R::decode(&words).map_err(|_| Error::BadAnswer),
            };
        };
        for (place, byte) in output.iter_mut().zip(bytes) {
            *place = byte;
        }
        result
    }
}

/// A test that panics in a call is told so by its own panic, not by the next lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
