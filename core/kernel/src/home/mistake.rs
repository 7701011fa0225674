//! What a mistake of a server in the kernel costs is the machine: here it is said whose it was.
//!
//! Such a server cannot be given up alone. It runs with the kernel's stack and heap locks, between two
//! instructions of which anything may be half done, in the objects that it shares with the servers beside it
//! and, through the kernel's objects, in the kernel's own; nothing unwinds. Its locks would stay taken for
//! good, so that the next call to the home would stop its processor, interrupts off.

use core::fmt::{self, Display, Formatter};
use core::sync::atomic::Ordering::Acquire;

use super::{STARTUP, heap, process};
use crate::memory::kernel_space::{FIRST_STACK_TOP, STACK_BYTES, used_of_stack};
use crate::processor::application::stack_tops;

/// The servers that live here.
struct Names;

impl Display for Names {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        // SAFETY: null, or what was given to the servers for good.
        let Some(startup) = (unsafe { STARTUP.load(Acquire).as_ref() }) else {
            return Ok(());
        };
        let mut separator = " (";
        for name in startup.hosted() {
            write!(formatter, "{separator}{name}")?;
            separator = ", ";
        }
        formatter.write_str(if separator == ", " { ")" } else { "" })
    }
}

/// Says that the machine ends by a server's mistake, if the running processor runs one.
pub(crate) fn blame() {
    if heap::serving() {
        crate::error!(
            "  in a server that lives in the kernel{Names}: with home = \"own\" it would end alone"
        );
    }
}

/// Says how much of the stacks on which the servers here run was ever used, if there are any.
pub(crate) fn say_depth() {
    if process().is_none() {
        return;
    }
    let tops = core::iter::once(FIRST_STACK_TOP).chain(stack_tops());
    let most = tops.map(used_of_stack).max().unwrap_or(0);
    crate::info!("{most} of {STACK_BYTES} bytes of a kernel stack were used at most");
}
