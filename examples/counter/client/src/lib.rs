//! Calls the counter and prints what it answers, in place of a personality.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use kiln_example_counter_interface::Counter;
use kiln_interface::kernel::{Console as _, Machine as _};
use kiln_object::{Caller, Error};
use kiln_runtime::{Object, console, machine, startup};

kiln_runtime::component!(main);

#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
fn main() {
    let text = match talk() {
        Ok(text) => text,
        Err(error) => format!("the counter answered {error}\n"),
    };
    // The machine is on its way down: there is nobody to tell that these did not succeed.
    let _ = console().write(text.as_bytes());
    let _ = machine().power_off(0);
}

fn talk() -> Result<String, Error> {
    let counter = Object::<dyn Counter>::bind("counter")?;
    count(&counter, Caller(startup().process))
}

fn count(counter: &dyn Counter, myself: Caller) -> Result<String, Error> {
    let sum = counter.add(40).and_then(|_| counter.add(2))?;
    let mut answer = [0; 64];
    // What is given as the caller is not sent: the kernel says who calls.
    let length = counter.describe(myself, "Hello", &mut answer)?;
    let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
    Ok(format!("{sum}; {text}; reset: {:?}\n", counter.reset()))
}

#[cfg(test)]
mod tests;
