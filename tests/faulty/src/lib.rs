//! Servers that fail in every way, and a client that looks what becomes of it.
//!
//! The component is linked several times: as the program (`faulty`), which makes the checks, and as
//! its servers, which do what they are told. Each check starts on its own, from servers that live.
//! At the end there is a line `N checks: ok` and the machine is off with status 0; what is wrong is
//! said and ends it with another. The boot command line's word `only=NAME` chooses one group;
//! `rounds=N` says how often the server that is at work on all processors ends.
#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(
        dead_code,
        reason = "host builds have no entry from which everything is reached"
    )
)]

extern crate alloc;

mod client;
mod failures;
mod interface;
mod pages;
mod server;

use kiln_object::startup::InitialObject;
use kiln_runtime::startup;

kiln_runtime::component!(main);

fn main() {
    if startup().object(InitialObject::Machine).is_none() {
        server::main();
    } else {
        client::main();
    }
}
