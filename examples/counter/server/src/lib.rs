//! Keeps one number for all that may bind to it: a whole server.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_example_counter_interface::Counter;
use kiln_object::{Caller, Error};

/// The server's state. Calls on several processors may be in it at once, so it locks nothing.
#[derive(Debug, Default)]
pub struct CounterServer {
    value: AtomicU64,
}

impl Counter for CounterServer {
    fn add(&self, amount: u64) -> Result<u64, Error> {
        let add = |value: u64| value.checked_add(amount);
        match self.value.fetch_update(Relaxed, Relaxed, add) {
            Ok(before) => Ok(before + amount),
            Err(_) => Err(Error::TooLarge),
        }
    }

    fn describe(&self, caller: Caller, greeting: &str, answer: &mut [u8]) -> Result<usize, Error> {
        let value = self.value.load(Relaxed);
        let text = format!("{greeting}, {:?}: it is {value}", caller.0);
        answer
            .get_mut(..text.len())
            .ok_or(Error::TooLarge)?
            .copy_from_slice(text.as_bytes());
        Ok(text.len())
    }

    fn reset(&self) -> Result<(), Error> {
        self.value.store(0, Relaxed);
        Ok(())
    }
}

#[cfg(kiln_freestanding)]
kiln_runtime::server!("counter", main);

#[cfg(kiln_freestanding)]
fn main() {
    use alloc::sync::Arc;
    use kiln_example_counter_interface::CounterDispatch;

    kiln_runtime::objects::serve(Arc::new(CounterDispatch(CounterServer::default())));
}

#[cfg(test)]
mod tests;
