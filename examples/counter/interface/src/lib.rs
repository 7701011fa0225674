//! What can be asked of a counter: the contract of its server and its clients.
#![no_std]
#![forbid(unsafe_code)]

use kiln_interface::interface;
use kiln_object::{Caller, Error};

/// A number that all clients share.
#[interface(name = "example.counter")]
pub trait Counter {
    /// Adds `amount` and answers the sum; `TooLarge`, and no change, if it does not fit.
    #[method(1, right = WRITE)]
    fn add(&self, amount: u64) -> Result<u64, Error>;

    /// Writes `greeting` and a sentence about the counter to `answer`; answers how long that is.
    #[method(2, right = READ, idempotent)]
    fn describe(
        &self,
        caller: Caller,
        #[bound(16)] greeting: &str,
        answer: &mut [u8],
    ) -> Result<usize, Error>;

    /// Starts again at zero.
    #[method(3, right = CONTROL, idempotent)]
    fn reset(&self) -> Result<(), Error>;
}
