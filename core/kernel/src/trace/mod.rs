//! Trace events: noted in rings that only a reader of the machine's memory empties.
//!
//! Every processor writes for each process, and for itself when it runs none, a ring of its own; so
//! nobody waits, no line of the cache is written by two processors, and no process can push another's
//! events out. While nothing is asked for, an event costs one test of a byte of the processor's own
//! block and a branch that is not taken, and there are neither rings nor entries.

mod account;
mod directory;
mod last;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[cfg(kiln_freestanding)]
use kiln_object::trace::EVENT_BYTES;
use kiln_object::trace::holder;
use kiln_object::trace::{COMMAND_WORD, DEFAULT_RING_BYTES, MOST_RING_BYTES, RING_WORD};
pub use kiln_object::trace::{Groups, Kind, head};
use kiln_object::{ObjectName, ProcessId};

pub use account::{Account, offset};
pub use directory::{enter_dispatcher, enter_process, enter_processor, renew_dispatcher};
pub use last::print_last;

use crate::processor::PerCpu;

/// Set in [`WANTED`] if a reader may be there, whether or not it wants events.
const OBSERVED: u32 = 1 << 31;

/// The groups that are noted, and [`OBSERVED`].
static WANTED: AtomicU32 = AtomicU32::new(0);

/// Bytes of a ring.
static RING_BYTES: AtomicU64 = AtomicU64::new(DEFAULT_RING_BYTES);

/// Begins to note what the command line asks for; once, on the boot processor, when there are memory
/// and time and before there are processes and other processors.
pub(crate) fn initialise(command_line: &[u8]) {
    if !crate::boot::may_ask(command_line, COMMAND_WORD.as_bytes()) {
        return;
    }
    let Some(groups) = asked(command_line) else {
        return;
    };
    RING_BYTES.store(ring_bytes(command_line), Ordering::Relaxed);
    WANTED.store(groups.bits() | OBSERVED, Ordering::Relaxed);
    directory::open(groups);
    enter_processor(0, PerCpu::here());
}

/// The value of a word of the command line, empty if it has none.
fn value<'a>(command_line: &'a [u8], name: &str) -> Option<&'a str> {
    command_line.split(|byte| *byte == b' ').find_map(|word| {
        match word.strip_prefix(name.as_bytes())? {
            [] => Some(""),
            rest => core::str::from_utf8(rest.strip_prefix(b"=")?).ok(),
        }
    })
}

/// The groups that are asked for; `None` if tracing is not spoken of.
fn asked(command_line: &[u8]) -> Option<Groups> {
    match value(command_line, COMMAND_WORD)? {
        "" => Some(Groups::all()),
        list => match Groups::parse(list) {
            Ok(groups) => Some(groups),
            Err(name) => {
                crate::error!("{COMMAND_WORD}: there are no events \"{name}\"; all are noted");
                Some(Groups::all())
            }
        },
    }
}

/// The bytes of a ring: a power of two.
fn ring_bytes(command_line: &[u8]) -> u64 {
    value(command_line, RING_WORD)
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(DEFAULT_RING_BYTES, |bytes| {
            bytes.clamp(4096, MOST_RING_BYTES).next_power_of_two()
        })
}

/// The groups that are noted.
fn groups() -> Groups {
    Groups::from_bits_truncate(WANTED.load(Ordering::Relaxed))
}

/// Whether a reader may be there.
fn is_observed() -> bool {
    WANTED.load(Ordering::Relaxed) != 0
}

/// Whether this processor notes events of these groups: a test and a branch.
#[inline(always)]
#[must_use]
pub fn wants<const GROUPS: u32>() -> bool {
    #[cfg(kiln_freestanding)]
    {
        // SAFETY: reads a word of this processor's block.
        unsafe {
            core::arch::asm!(
                "test dword ptr gs:[{place}], {groups}",
                "jnz {yes}",
                place = const core::mem::offset_of!(PerCpu, trace),
                groups = const GROUPS,
                yes = label { return true },
                options(nostack, readonly),
            );
        }
    }
    false
}

/// Notes an event of the running process, or of the processor if it runs none; only where
/// [`wants`] said so.
///
/// This is [`Slot::fill`](kiln_object::trace::ring::Slot::fill) after its place was reserved, in as
/// few instructions as there can be; the processor keeps the order of stores.
#[cfg(kiln_freestanding)]
#[cold]
#[unsafe(naked)]
pub extern "sysv64" fn record(head: u64, a: u64, b: u64) {
    core::arch::naked_asm!(
        "mov r8, gs:[{current}]",
        "mov rcx, rdx",
        "test r8, r8",
        "jz 3f",
        "add r8, {account}",
        "2:",
        "mov r9, [r8 + {position}]",
        "mov r10, r9",
        "inc r9",
        "mov [r8 + {position}], r9",
        "and r10, [r8 + {mask}]",
        "shl r10, {event_shift}",
        "add r10, [r8 + {slots}]",
        "rdtsc",
        "shl rdx, 32",
        "or rax, rdx",
        "mov [r10], rax",
        "mov [r10 + 16], rsi",
        "mov [r10 + 24], rcx",
        "mov r9d, r9d",
        "or r9, rdi",
        "mov [r10 + 8], r9",
        "ret",
        "3:",
        "mov r8, gs:[{own}]",
        "jmp 2b",
        current = const core::mem::offset_of!(PerCpu, current),
        own = const core::mem::offset_of!(PerCpu, own_trace),
        account = const crate::process::dispatcher_offset::ACCOUNT,
        position = const account::offset::POSITION,
        mask = const account::offset::MASK,
        slots = const account::offset::SLOTS,
        event_shift = const EVENT_BYTES.trailing_zeros(),
    )
}

/// There is no processor of the kernel's on the host.
#[cfg(not(kiln_freestanding))]
pub fn record(_head: u64, _a: u64, _b: u64) {}

/// Whether [`object`] is to be told of objects that processes are given.
#[must_use]
pub fn wants_objects() -> bool {
    wants::<{ Kind::Object.group().bits() }>()
}

/// Notes the interface of an object that `owner` was given as `name`.
pub fn object(owner: ProcessId, name: ObjectName, interface: u64) {
    record(head(Kind::Object, holder(owner)), name.raw(), interface);
}

/// Notes the interface of an object that the servers in the kernel, which are `home`, hand out as `name`.
pub fn home_object(home: ProcessId, name: ObjectName, interface: u64) {
    record(head(Kind::HomeObject, holder(home)), name.raw(), interface);
}

/// Notes an event if its group is asked for: `event!(KIND, small)`, and up to two words more. The
/// values are only computed then.
#[macro_export]
macro_rules! event {
    ($kind:ident, $small:expr) => {
        $crate::event!($kind, $small, 0, 0)
    };
    ($kind:ident, $small:expr, $a:expr) => {
        $crate::event!($kind, $small, $a, 0)
    };
    ($kind:ident, $small:expr, $a:expr, $b:expr) => {
        if $crate::trace::wants::<{ $crate::trace::Kind::$kind.group().bits() }>() {
            $crate::trace::record(
                $crate::trace::head($crate::trace::Kind::$kind, $small),
                $a,
                $b,
            );
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_asks() {
        assert_eq!(asked(b"stdin=pipe stdout=pipe"), None);
        assert_eq!(asked(b"trace-ring=4096 tracer"), None);
        assert_eq!(asked(b"stdin=pipe trace"), Some(Groups::all()));
        assert_eq!(asked(b"trace=none"), Some(Groups::empty()));
        assert_eq!(
            asked(b"trace=calls,faults x"),
            Some(Groups::CALLS | Groups::FAULTS)
        );
        assert_eq!(asked(b"trace=cals"), Some(Groups::all()));
    }

    #[test]
    fn a_ring_is_a_power_of_two_within_bounds() {
        assert_eq!(ring_bytes(b"trace"), DEFAULT_RING_BYTES);
        assert_eq!(ring_bytes(b"trace-ring=1"), 4096);
        assert_eq!(ring_bytes(b"trace-ring=5000"), 8192);
        assert_eq!(ring_bytes(b"trace-ring=99999999999999"), MOST_RING_BYTES);
        assert_eq!(ring_bytes(b"trace-ring=many"), DEFAULT_RING_BYTES);
    }
}
