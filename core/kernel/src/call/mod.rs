//! Object calls: the way into the kernel, and through it into another address space.
//!
//! A call is the caller's own processor crossing over. Nothing is queued, allocated or scheduled
//! on the way: `straight_line` is the whole of it in the common case. Where it is left, [`entry`]
//! saves what the convention keeps, `native` tells the operations apart, [`crossing`] switches
//! address spaces, [`kernel_object`] serves the kernel's own objects.

pub mod activation;
pub mod crossing;
pub mod entry;
pub(crate) mod extended_state;
pub mod kernel_object;
pub(crate) mod local;
pub mod message;
pub(crate) mod native;
pub(crate) mod straight_line;

pub use crate::schedule as run;
pub use local::{
    current_dispatcher, forget_activation, initialise, set_current, set_thread_pointer,
};
