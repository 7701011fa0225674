//! Attacks the kernel and the servers from inside an image, in place of a personality.
//!
//! First come crafted attacks, each with the answer it must get; then random calls, by the boot
//! command line's words `seed=S` and `calls=N`. After each batch the kernel and the servers must
//! still answer and memory must be where it was. At the end there is a line `N calls, seed S: ok`
//! and the machine is off with status 0; what is wrong is said and ends it with another.
//!
//! The same component is also the servers that misbehave: see [`server`].
#![no_std]
#![cfg_attr(
    not(kiln_freestanding),
    allow(
        dead_code,
        reason = "host builds have no entry from which everything is reached"
    )
)]

extern crate alloc;

mod attacks;
mod caught;
mod hidden;
mod memory;
mod random;
mod registers;
mod report;
mod server;
mod storm;
mod together;

use kiln_interface::kernel::{Machine as _, Process as _};
use kiln_object::startup::InitialObject;
use kiln_runtime::{machine, process, startup};

kiln_runtime::component!(main);

/// Random calls if the command line says nothing.
const CALLS: u64 = 100_000;

fn main() {
    registers::look();
    if together::is_wanted() {
        together::main();
        return;
    }
    if startup().object(InitialObject::Machine).is_none() {
        server::main();
        return;
    }
    server::serve_calls();
    if process().ready().is_err() {
        report::failed(format_args!("the process cannot be ready"));
    }
    let seed = setting("seed").unwrap_or(1);
    attacks::all();
    let calls = storm::run(seed, setting("calls").unwrap_or(CALLS));
    attacks::last(seed);
    report::line(format_args!("\n{calls} calls, seed {seed}: ok"));
    // It does not come back.
    let _ = machine().power_off(0);
}

/// The number that the command line gives `name`.
fn setting(name: &str) -> Option<u64> {
    startup()
        .command_line()
        .split(|byte| *byte == b' ')
        .filter_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .filter_map(|digits| core::str::from_utf8(digits).ok()?.parse().ok())
        .next_back()
}

/// Whether the command line chooses that group of attacks, or none.
fn wanted(group: &str) -> bool {
    let chosen = startup()
        .command_line()
        .split(|byte| *byte == b' ')
        .find_map(|word| word.strip_prefix(b"only="));
    chosen.is_none_or(|chosen| chosen == group.as_bytes())
}

/// Whether the command line has that word.
fn is_set(word: &str) -> bool {
    startup()
        .command_line()
        .split(|byte| *byte == b' ')
        .any(|found| found == word.as_bytes())
}
