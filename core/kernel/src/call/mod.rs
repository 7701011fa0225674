//! Object calls: the way into the kernel, and through it into another address space.
//!
//! A call is the caller's own processor crossing over. Nothing is queued, allocated or scheduled
//! on the way: [`entry`] saves what the convention keeps, [`native`] tells the operations apart,
//! [`crossing`] switches address spaces, [`kernel_object`] serves the kernel's own objects.

pub mod activation;
pub mod crossing;
pub mod entry;
mod extended_state;
pub mod kernel_object;
mod local;
mod native;
pub mod run;

pub use local::{current_dispatcher, set_current, set_thread_pointer};
