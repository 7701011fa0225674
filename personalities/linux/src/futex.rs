//! Futexes of a process with one thread: nobody can wake whoever waits.
//!
//! A wait whose word has the expected value therefore ends by its timeout or by a signal; a wake
//! finds nobody.

use linux_raw_sys::general as abi;

use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::files;
use crate::program_memory;
use crate::table::{Argument, SystemCall};
use crate::time::TimeSpec;

const OPERATION_NAMES: &[(u64, &str)] = &[
    (0, "FUTEX_WAIT"),
    (1, "FUTEX_WAKE"),
    (3, "FUTEX_REQUEUE"),
    (4, "FUTEX_CMP_REQUEUE"),
    (5, "FUTEX_WAKE_OP"),
    (9, "FUTEX_WAIT_BITSET"),
    (10, "FUTEX_WAKE_BITSET"),
    (128, "FUTEX_WAIT_PRIVATE"),
    (129, "FUTEX_WAKE_PRIVATE"),
    (131, "FUTEX_REQUEUE_PRIVATE"),
    (132, "FUTEX_CMP_REQUEUE_PRIVATE"),
    (133, "FUTEX_WAKE_OP_PRIVATE"),
    (137, "FUTEX_WAIT_BITSET_PRIVATE"),
    (138, "FUTEX_WAKE_BITSET_PRIVATE"),
    (393, "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME"),
];

/// The calls of this family.
pub const CALLS: &[SystemCall] = {
    use Argument::{Choice, Hexadecimal, Pointer, Unsigned};
    &[SystemCall::new(
        abi::__NR_futex,
        "futex",
        futex,
        &[
            Pointer,
            Choice(OPERATION_NAMES),
            Unsigned,
            Pointer,
            Pointer,
            Hexadecimal,
        ],
    )]
};

/// `futex(word, operation, value, timeout, ...)`.
///
/// # Errors
/// `EAGAIN` if a wait's word has another value; `ETIMEDOUT`, `EINTR`; `ENOSYS` for the operations
/// with priority inheritance; `EINVAL`, `EFAULT`.
pub fn futex(call: &Call<'_>) -> Answer {
    let word = call.pointer(0);
    if !word.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let flags = abi::FUTEX_PRIVATE_FLAG | abi::FUTEX_CLOCK_REALTIME;
    match call.unsigned(1) & !flags {
        abi::FUTEX_WAIT => wait(call, false),
        abi::FUTEX_WAIT_BITSET if call.unsigned(5) != 0 => wait(call, true),
        abi::FUTEX_WAKE | abi::FUTEX_REQUEUE => {
            program_memory::check(word, 4)?;
            Ok(0)
        }
        abi::FUTEX_WAKE_BITSET if call.unsigned(5) != 0 => Ok(0),
        abi::FUTEX_WAIT_BITSET | abi::FUTEX_WAKE_BITSET => Err(Errno::EINVAL),
        abi::FUTEX_CMP_REQUEUE => {
            if program_memory::read::<u32>(word)? == call.unsigned(5) {
                Ok(0)
            } else {
                Err(Errno::EAGAIN)
            }
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// `absolute`: the timeout is a time of the chosen clock, else a duration.
fn wait(call: &Call<'_>, absolute: bool) -> Answer {
    let deadline = match call.pointer(3) {
        0 => None,
        address => {
            let time = program_memory::read::<TimeSpec>(address)?.to_ns()?;
            let now = kiln_runtime::time::monotonic_ns();
            let real = call.unsigned(1) & abi::FUTEX_CLOCK_REALTIME != 0;
            Some(if !absolute {
                now.saturating_add(time)
            } else if real {
                now.saturating_add(time.saturating_sub(kiln_runtime::time::wall_clock_ns()))
            } else {
                time
            })
        }
    };
    loop {
        if program_memory::read::<u32>(call.pointer(0))? != call.unsigned(2) {
            return Err(Errno::EAGAIN);
        }
        if deadline.is_some_and(|deadline| kiln_runtime::time::monotonic_ns() >= deadline) {
            return Err(Errno::ETIMEDOUT);
        }
        files::pause(deadline)?;
    }
}
