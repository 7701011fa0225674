//! What each processor runs next, and how processors reach each other.
//!
//! Every processor has a queue of activations that it alone touches, and a `Cpu` through which
//! others leave requests: bits of one word and a bounded mailbox, announced by an interrupt. Nobody
//! waits for another processor while it holds a lock, and whoever waits answers flush requests
//! meanwhile, so that two can wait for each other.

mod cpu;
pub mod domain;
mod ending;
mod flush;
mod limit;
pub mod mailbox;
pub mod page_wait;
mod queue;
pub mod remote;
mod requests;
mod run;
mod start;
mod tickets;
pub mod waiters;
mod wanted;

/// What the parts with a model lock with.
mod lock {
    pub use spin::Mutex;
}

#[cfg(test)]
mod tests;

use kiln_object::primitives;

pub use cpu::{Request, ask, is_told, set_told, wake};
pub use ending::{end_current, end_later, exit_current, give_back_to_nobody};
pub use flush::{answer_flushes, flush_others, leave_tables};
pub use limit::watch as watch_time;
pub use queue::{Timers, with_home_dispatchers, with_timers};
pub use run::{
    after_interrupt, processor_time, wait, wait_for_start, wake_stopped, watch_returns_from, woken,
};
pub use start::{enter, prepare, start, start_activation, start_activation_first};
