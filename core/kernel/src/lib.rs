//! The kernel: boot, memory, processes, object calls

#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(
        dead_code,
        reason = "host builds have no entry from which everything is reached"
    )
)]

#[cfg(test)]
extern crate std;

pub mod boot;
#[cfg(kiln_freestanding)]
mod bytes;
pub mod device;
pub mod firmware;
pub mod interrupt;
pub mod log;
pub mod panic;
pub mod power;
pub mod processor;
mod start;
pub mod time;
#[cfg(kiln_freestanding)]
mod unwinding;
