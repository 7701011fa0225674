//! Signals: actions, mask, what is pending, and delivery.
//!
//! A signal is delivered when a system call ends, by the trap that caused it, or by the soft interrupt
//! that announces it while the program computes. Default actions are Linux's, without job control: nobody could continue a stopped process, so what would stop it
//! is ignored.

mod action;
mod fault;
mod frame;
mod interruption;
mod pending;
mod send;
mod state;
mod waiting;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kiln_runtime::SpinMutex;
use linux_raw_sys::general as abi;

pub use action::{
    Action, AlternateStack, rt_sigaction, rt_sigpending, rt_sigprocmask, sigaltstack,
};
pub use fault::fault;
pub use frame::{minimum_stack_bytes, rt_sigreturn};
pub use interruption::{attend, interrupted, is_told};
pub use pending::{Information, Pending};
pub use send::{
    kill, rt_sigqueueinfo, rt_tgsigqueueinfo, send, send_from_terminal, send_of_timer, tgkill,
    tkill,
};
pub use waiting::{pause, rt_sigsuspend, rt_sigtimedwait, under_mask};

use crate::call::SavedRegisters;
use crate::entry::{TRACING, VectorSave};
use crate::errno::Errno;
use crate::files::files;
use crate::table::{Argument, SystemCall};
use crate::{LINUX, process, rewrite, strace, time};
use frame::Context;

/// Signals are numbered from 1 to this.
pub const SIGNALS: u32 = 64;

/// This family's state.
#[derive(Debug)]
pub struct Signals {
    /// Signals that are held back, as a mask.
    pub(crate) blocked: AtomicU64,
    /// Signals that wait for delivery, as a mask; details are in `pending`.
    waiting: AtomicU64,
    /// The mask that comes back when the next handler has run; see `rt_sigsuspend`.
    mask_to_restore: SpinMutex<Option<u64>>,
    actions: SpinMutex<[Action; SIGNALS as usize]>,
    stack: SpinMutex<AlternateStack>,
    pending: SpinMutex<Pending>,
    /// The program's FS base, where it cannot be read back.
    pub(crate) thread_pointer: AtomicU64,
}

impl Signals {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            blocked: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            mask_to_restore: SpinMutex::new(None),
            actions: SpinMutex::new([Action::DEFAULT; SIGNALS as usize]),
            stack: SpinMutex::new(AlternateStack::NONE),
            pending: SpinMutex::new(Pending::new()),
            thread_pointer: AtomicU64::new(0),
        }
    }

    /// What is done at `signal`.
    fn action(&self, signal: u32) -> Action {
        self.actions
            .lock()
            .get(signal.wrapping_sub(1) as usize)
            .copied()
            .unwrap_or(Action::DEFAULT)
    }
}

impl Default for Signals {
    fn default() -> Self {
        Self::new()
    }
}

/// The bit of `signal` in a mask.
#[must_use]
pub const fn bit(signal: u32) -> u64 {
    if signal == 0 || signal > SIGNALS {
        0
    } else {
        1 << (signal - 1)
    }
}

/// Signals that cannot be caught, ignored or blocked.
const UNSTOPPABLE: u64 = bit(abi::SIGKILL) | bit(abi::SIGSTOP);

/// What happens to a process that has no handler for the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DefaultAction {
    Terminate,
    Ignore,
}

const fn default_action(signal: u32) -> DefaultAction {
    match signal {
        abi::SIGCHLD
        | abi::SIGURG
        | abi::SIGWINCH
        | abi::SIGCONT
        | abi::SIGSTOP
        | abi::SIGTSTP
        | abi::SIGTTIN
        | abi::SIGTTOU => DefaultAction::Ignore,
        _ => DefaultAction::Terminate,
    }
}

/// Whether a signal is to be delivered before the program goes on.
#[must_use]
#[inline]
pub fn is_deliverable() -> bool {
    let signals = &LINUX.signal;
    signals.waiting.load(Relaxed) & !signals.blocked.load(Relaxed) != 0 || time::is_due()
}

/// Whether a wait should end so that a signal can be handled.
#[must_use]
pub fn interrupts_wait() -> bool {
    time::expire();
    is_deliverable()
}

/// Ends the process as the signal does.
pub fn terminate(signal: u32) -> ! {
    if TRACING.load(Relaxed) {
        strace::write_end(128 + signal, Some(signal));
    }
    process::exit_image(128 + signal)
}

/// Puts back what a new program finds: caught signals have their default action, and there is no
/// alternate stack. What was ignored or blocked stays so.
pub fn reset_for_execution() {
    let signals = &LINUX.signal;
    for action in signals.actions.lock().iter_mut() {
        if action.has_handler() {
            *action = Action::DEFAULT;
        }
    }
    *signals.stack.lock() = AlternateStack::NONE;
    *signals.mask_to_restore.lock() = None;
}

/// Lets `context` go on in the handlers of what is deliverable; answers whether there is one. Before
/// the first, `prepare` may change the context that comes back when it has run.
fn deliver(
    context: &mut Context,
    vectors: &VectorSave,
    mut prepare: impl FnMut(&mut Context, &Action),
) -> bool {
    time::expire();
    let signals = &LINUX.signal;
    let mut handled = false;
    loop {
        let unblocked = !signals.blocked.load(Relaxed);
        let Some(information) = signals.pending.lock().take(unblocked, signals) else {
            return handled;
        };
        let signal = information.signal();
        let action = signals.action(signal);
        if action.ignores(signal) {
            continue;
        }
        if TRACING.load(Relaxed) {
            strace::write_signal(&information);
        }
        if action.is_default() {
            terminate(signal);
        }
        if !handled {
            prepare(context, &action);
        }
        handled = true;
        if frame::push(context, vectors, &information, &action).is_err() {
            terminate(abi::SIGSEGV);
        }
    }
}

/// Delivers what is deliverable at the end of a system call that answered `rax`.
#[cold]
pub fn deliver_after_call(registers: &SavedRegisters, vectors: &VectorSave, rax: u64) {
    let signals = &LINUX.signal;
    let number = registers.rax.get();
    let restarts = rax == Errno::EINTR.register() && can_restart(number);
    let mut context = Context::of_call(registers);
    let handled = deliver(&mut context, vectors, |context, action| {
        context.rax = rax;
        if restarts && action.restarts() {
            context.rip = rewrite::restart_address(context.rip);
            context.rax = number;
        }
    });
    if handled {
        context.store_to_call(registers);
        return;
    }
    if restarts {
        // Nothing wanted the interruption after all.
        registers
            .rip
            .set(rewrite::restart_address(registers.rip.get()));
        registers.keep_rax.set(1);
    }
    if let Some(mask) = signals.mask_to_restore.lock().take() {
        signals.blocked.store(mask, Relaxed);
    }
}

/// Whether an interrupted call of that number is made again after a handler with `SA_RESTART`.
fn can_restart(number: u64) -> bool {
    const RESTARTABLE: [u32; 15] = [
        abi::__NR_read,
        abi::__NR_readv,
        abi::__NR_preadv,
        abi::__NR_preadv2,
        abi::__NR_write,
        abi::__NR_writev,
        abi::__NR_pwritev,
        abi::__NR_pwritev2,
        abi::__NR_ioctl,
        abi::__NR_open,
        abi::__NR_openat,
        abi::__NR_flock,
        abi::__NR_futex,
        abi::__NR_sendfile,
        abi::__NR_copy_file_range,
    ];
    RESTARTABLE
        .iter()
        .any(|restartable| u64::from(*restartable) == number)
}

/// The name of the running program, for messages.
fn program_name() -> alloc::string::String {
    alloc::string::String::from_utf8_lossy(&files().program.lock().path).into_owned()
}

const HOW_NAMES: &[(u64, &str)] = &[
    (abi::SIG_BLOCK as u64, "SIG_BLOCK"),
    (abi::SIG_UNBLOCK as u64, "SIG_UNBLOCK"),
    (abi::SIG_SETMASK as u64, "SIG_SETMASK"),
];

/// The calls of this family.
pub const CALLS: &[SystemCall] = {
    use Argument::{Choice, Pointer, Signal, Signed, Unsigned};
    &[
        SystemCall::new(
            abi::__NR_rt_sigaction,
            "rt_sigaction",
            rt_sigaction,
            &[Signal, Pointer, Pointer, Unsigned],
        ),
        SystemCall::new(
            abi::__NR_rt_sigprocmask,
            "rt_sigprocmask",
            rt_sigprocmask,
            &[Choice(HOW_NAMES), Pointer, Pointer, Unsigned],
        ),
        SystemCall::new(abi::__NR_rt_sigreturn, "rt_sigreturn", rt_sigreturn, &[]),
        SystemCall::new(
            abi::__NR_rt_sigpending,
            "rt_sigpending",
            rt_sigpending,
            &[Pointer, Unsigned],
        ),
        SystemCall::new(
            abi::__NR_rt_sigtimedwait,
            "rt_sigtimedwait",
            rt_sigtimedwait,
            &[Pointer, Pointer, Pointer, Unsigned],
        ),
        SystemCall::new(
            abi::__NR_rt_sigsuspend,
            "rt_sigsuspend",
            rt_sigsuspend,
            &[Pointer, Unsigned],
        ),
        SystemCall::new(
            abi::__NR_rt_sigqueueinfo,
            "rt_sigqueueinfo",
            rt_sigqueueinfo,
            &[Signed, Signal, Pointer],
        ),
        SystemCall::new(
            abi::__NR_rt_tgsigqueueinfo,
            "rt_tgsigqueueinfo",
            rt_tgsigqueueinfo,
            &[Signed, Signed, Signal, Pointer],
        ),
        SystemCall::new(
            abi::__NR_sigaltstack,
            "sigaltstack",
            sigaltstack,
            &[Pointer, Pointer],
        ),
        SystemCall::new(abi::__NR_pause, "pause", pause, &[]),
        SystemCall::new(abi::__NR_kill, "kill", kill, &[Signed, Signal]),
        SystemCall::new(abi::__NR_tkill, "tkill", tkill, &[Signed, Signal]),
        SystemCall::new(
            abi::__NR_tgkill,
            "tgkill",
            tgkill,
            &[Signed, Signed, Signal],
        ),
    ]
};
