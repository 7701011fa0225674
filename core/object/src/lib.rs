//! What both sides of an object call share: names, registers, layout, errors.
//!
//! The kernel, the runtime and every stub are written against this crate and nothing else of each
//! other. It holds no code that runs on a call path except encodings, and no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(kiln_freestanding))]
extern crate std;

pub mod attention;
pub mod call;
pub mod configuration;
pub mod count;
pub mod describe;
pub mod dispatcher;
mod error;
pub mod fingerprint;
pub mod hand;
pub mod home;
pub mod identity;
pub mod interface;
pub mod layout;
mod loopback;
pub mod marshal;
pub mod message_ring;
pub mod near;
pub mod plain;
pub mod primitives;
pub mod process_record;
#[cfg(not(kiln_freestanding))]
pub mod recorder;
pub mod startup;
pub mod trace;
mod wire;

pub use count::Processor;
pub use error::Error;
pub use hand::Handed;
pub use identity::{ObjectName, ProcessId, RawReference, Reference, Rights};
pub use interface::{
    Answer, Bytes, Caller, Dispatch, Failure, Incoming, Interface, Outgoing, Reply, Transport,
};
pub use loopback::Loopback;
pub use near::{Binder, Callable, Object};
pub use plain::Plain;
pub use wire::Wire;

/// Items that exist on the host only, for tests.
#[cfg(kiln_freestanding)]
#[doc(hidden)]
#[macro_export]
macro_rules! on_host {
    ($($item:item)*) => {};
}

/// Items that exist on the host only, for tests.
#[cfg(not(kiln_freestanding))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_host {
    ($($item:item)*) => { $($item)* };
}
