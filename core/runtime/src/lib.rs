//! Linked into every process: entry, calls out and in, heap, object table, time, threads.
//!
//! A process of the system is this crate and what its author wrote. Nothing here waits for another
//! process except [`transport::Far`], and nothing takes a client's word for anything.
//!
//! - A server: [`server!`] names its `main`, which calls [`objects::serve`] and returns.
//! - A client: [`Object::bind`] gets an object, which is called where it lives; [`kernel_objects`] has
//!   the stubs of what the kernel gives each process.
//! - The real build has `--cfg kiln_freestanding`. Without it the crate compiles for the host, where
//!   [`Far`] answers `Unsupported` and the pure parts are tested.
#![no_std]

extern crate alloc;
#[cfg(not(kiln_freestanding))]
extern crate std;

mod binding;
mod call_entry;
#[cfg(all(test, not(kiln_freestanding)))]
mod crossing_test;
pub mod diagnostics;
pub mod dispatcher;
pub mod entry;
pub mod heap;
pub mod home;
#[cfg(kiln_kernel)]
mod kernel_home;
pub mod kernel_objects;
pub mod objects;
#[cfg(all(kiln_freestanding, not(kiln_kernel)))]
mod panic;
mod rebinding;
mod root_image;
mod spin_lock;
mod start_information;
pub mod thread;
pub mod time;
pub mod trace;
pub mod transport;
pub mod trap;

pub use binding::{Object, accept, bind, bind_server, grant, release, take_back};
pub use kernel_objects::{
    address_space, clock, console, log, machine, process, random, root_pages,
};
pub use rebinding::Lasting;
pub use root_image::root_image;
pub use spin_lock::{
    PlainMutex, PlainMutexGuard, RawPlainLock, RawSpinLock, SpinMutex, SpinMutexGuard, relax,
};
pub use start_information::{configuration, kernel_information, startup};
pub use transport::Far;
#[cfg(not(kiln_kernel))]
pub use transport::TryFar;

// The exported `memcpy` and its like must be in the link even though nothing names them.
extern crate kiln_memory_functions as _;
