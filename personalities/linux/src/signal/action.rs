//! Actions, the mask, the alternate stack.

use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{DefaultAction, SIGNALS, UNSTOPPABLE, bit, default_action};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{LINUX, program_memory};

const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

/// Bytes of a signal mask.
const MASK_BYTES: u64 = 8;

/// The kernel's `struct sigaction` of x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Action {
    /// The handler's address, or `SIG_DFL` or `SIG_IGN`.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// What is blocked while it runs.
    pub mask: u64,
}

impl Action {
    /// What a process starts with.
    pub const DEFAULT: Self = Self {
        handler: SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };

    /// Whether there is no handler and no decision of the program.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.handler == SIG_DFL
    }

    /// Whether the program runs a function.
    #[must_use]
    pub fn has_handler(&self) -> bool {
        self.handler > SIG_IGN
    }

    /// Whether nothing happens at `signal`.
    #[must_use]
    pub(super) fn ignores(&self, signal: u32) -> bool {
        self.handler == SIG_IGN
            || (self.is_default() && default_action(signal) == DefaultAction::Ignore)
    }

    /// Whether interrupted calls are made again.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.flags & u64::from(abi::SA_RESTART) != 0
    }

    /// Whether a flag (`SA_*`) is set.
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.flags & u64::from(flag) != 0
    }
}

fn mask_size(call: &Call<'_>, n: usize) -> Result<(), Errno> {
    if call.long(n) == MASK_BYTES {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

pub(super) fn check_mask_size(call: &Call<'_>, n: usize) -> Result<(), Errno> {
    mask_size(call, n)
}

/// `rt_sigaction(signal, new, old, mask size)`.
///
/// # Errors
/// `EINVAL` for a signal that does not exist or cannot be caught; `EFAULT`.
pub fn rt_sigaction(call: &Call<'_>) -> Answer {
    mask_size(call, 3)?;
    let signal = call.unsigned(0);
    if signal == 0 || signal > SIGNALS {
        return Err(Errno::EINVAL);
    }
    let new = match call.pointer(1) {
        0 => None,
        _ if bit(signal) & UNSTOPPABLE != 0 => return Err(Errno::EINVAL),
        address => Some(program_memory::read::<Action>(address)?),
    };
    let signals = &LINUX.signal;
    let old = signals.action(signal);
    program_memory::write_if_wanted(call.pointer(2), &old)?;
    if let Some(mut new) = new {
        new.mask &= !UNSTOPPABLE;
        if let Some(action) = signals.actions.lock().get_mut(signal as usize - 1) {
            *action = new;
        }
        if new.ignores(signal) {
            signals.pending.lock().drop_all(signal, signals);
        }
    }
    Ok(0)
}

/// `rt_sigprocmask(how, new, old, mask size)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn rt_sigprocmask(call: &Call<'_>) -> Answer {
    mask_size(call, 3)?;
    let blocked = &LINUX.signal.blocked;
    let old = blocked.load(Relaxed);
    if call.pointer(1) != 0 {
        let set: u64 = program_memory::read(call.pointer(1))?;
        let new = match call.unsigned(0) {
            abi::SIG_BLOCK => old | set,
            abi::SIG_UNBLOCK => old & !set,
            abi::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        blocked.store(new & !UNSTOPPABLE, Relaxed);
    }
    program_memory::write_if_wanted(call.pointer(2), &old)?;
    Ok(0)
}

/// `rt_sigpending(set, mask size)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn rt_sigpending(call: &Call<'_>) -> Answer {
    if call.long(1) > MASK_BYTES {
        return Err(Errno::EINVAL);
    }
    let signals = &LINUX.signal;
    let set = signals.waiting.load(Relaxed) & signals.blocked.load(Relaxed);
    let bytes = set.to_le_bytes();
    let wanted = bytes.get(..call.long(1) as usize).unwrap_or_default();
    program_memory::copy_out(call.pointer(0), wanted)?;
    Ok(0)
}

/// A `stack_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AlternateStack {
    /// Lowest address.
    pub address: u64,
    /// `SS_*`.
    pub flags: u32,
    padding: u32,
    /// Bytes.
    pub length: u64,
}

impl AlternateStack {
    /// No alternate stack.
    pub const NONE: Self = Self {
        address: 0,
        flags: abi::SS_DISABLE,
        padding: 0,
        length: 0,
    };

    /// Whether there is one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flags & abi::SS_DISABLE == 0
    }

    /// Whether `stack_pointer` lies in it.
    #[must_use]
    pub fn holds(&self, stack_pointer: u64) -> bool {
        self.is_set() && stack_pointer.wrapping_sub(self.address).wrapping_sub(1) < self.length
    }

    /// The same with the flag that says whether it is in use.
    #[must_use]
    pub fn seen_from(mut self, stack_pointer: u64) -> Self {
        if self.holds(stack_pointer) {
            self.flags |= abi::SS_ONSTACK;
        }
        self
    }
}

/// `sigaltstack(new, old)`.
///
/// # Errors
/// `EPERM` while it is in use; `EINVAL` for unknown flags; `ENOMEM` if it is too small; `EFAULT`.
pub fn sigaltstack(call: &Call<'_>) -> Answer {
    let stack_pointer = call.registers.rsp.get();
    let mut stack = LINUX.signal.stack.lock();
    let old = stack.seen_from(stack_pointer);
    if call.pointer(0) != 0 {
        let mut new: AlternateStack = program_memory::read(call.pointer(0))?;
        if stack.holds(stack_pointer) {
            return Err(Errno::EPERM);
        }
        match new.flags {
            0 | abi::SS_ONSTACK => {
                if new.length < u64::from(abi::MINSIGSTKSZ) {
                    return Err(Errno::ENOMEM);
                }
                new.flags = 0;
                *stack = new;
            }
            abi::SS_DISABLE => *stack = AlternateStack::NONE,
            _ => return Err(Errno::EINVAL),
        }
    }
    program_memory::write_if_wanted(call.pointer(1), &old)?;
    Ok(0)
}
