//! What can be asked of a server that takes time on purpose.
#![no_std]
#![forbid(unsafe_code)]

use kiln_interface::interface;
use kiln_object::Error;

/// A server that computes for nothing.
#[interface(name = "test.load")]
pub trait Load {
    /// Answers which processor it runs on.
    #[method(1, right = READ)]
    fn cpu(&self) -> Result<u64, Error>;

    /// Makes the server compute on its own time from now on (1), or stop (0).
    #[method(2, right = WRITE)]
    fn be_busy(&self, busy: u64) -> Result<(), Error>;

    /// Computes in the call, for so many nanoseconds of the machine's time; `u64::MAX` for ever.
    #[method(3, right = WRITE)]
    fn take(&self, time: u64) -> Result<(), Error>;

    /// Waits in the call for ever.
    #[method(5, right = WRITE)]
    fn wait(&self) -> Result<(), Error>;

    /// Answers the bytes in as the bytes out.
    #[method(4, right = READ)]
    fn echo(&self, input: &[u8], output: &mut [u8]) -> Result<usize, Error>;

    /// Waits in the call, which has no right to, for so many nanoseconds: others come meanwhile.
    #[method(6, right = WRITE)]
    fn rest(&self, time: u64) -> Result<(), Error>;
}
