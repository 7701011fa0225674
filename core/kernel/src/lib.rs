//! The kernel: boot, memory, processes, object calls

#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(
        dead_code,
        reason = "host builds have no entry from which everything is reached"
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(kiln_freestanding)]
use kiln_memory_functions as _;

pub mod boot;
pub mod call;
pub mod device;
pub mod fault;
pub mod firmware;
pub mod home;
pub mod image;
pub mod interrupt;
pub mod log;
pub mod memory;
pub mod object;
pub mod panic;
pub mod power;
pub mod process;
pub mod processor;
pub mod random;
pub mod rolled;
pub mod schedule;
#[cfg(feature = "self-test")]
mod self_test;
pub mod set_once;
pub mod soft_interrupt;
mod start;
pub mod time;
pub mod trace;
#[cfg(kiln_freestanding)]
mod unwinding;
