//! Where things lie in every process's address space.
//!
//! The system's own parts fill `0x6000_0000_0000..0x6100_0000_0000`; all else below
//! [`USER_END`] belongs to the program. Each process sees its parts at the same addresses, so that
//! nothing needs relocation and the user GS base is a constant of the CPU.

/// Bytes in a page.
pub const PAGE_BYTES: u64 = 4096;

/// First address that no program may use: the last canonical page is kept unmapped, since a
/// `syscall` instruction at its end would return to a non-canonical address.
pub const USER_END: u64 = 0x7fff_ffff_f000;

/// Lowest address a program may map; below it a null pointer must fault.
pub const USER_START: u64 = 0x1_0000;

/// Start of what belongs to the system in each process.
pub const SYSTEM_START: u64 = COMPONENT_BASE;

/// End of what belongs to the system in each process.
pub const SYSTEM_END: u64 = 0x6100_0000_0000;

/// Where a server or a personality library is linked to run.
pub const COMPONENT_BASE: u64 = 0x6000_0000_0000;

/// The runtime's heap: demand-zero, never a call to grow.
pub const HEAP_BASE: u64 = 0x6010_0000_0000;

/// Bytes of address space for the heap; memory is taken only for pages touched.
pub const HEAP_BYTES: u64 = 0x10_0000_0000;

/// Start of what is small: what a process needs to run on CPU 0 lies in its first 2 MiB, so that one page
/// table is enough for it.
const SMALL_BASE: u64 = 0x6028_0000_0000;

/// The stack on which the component's entry is called.
pub const MAIN_STACK_TOP: u64 = SMALL_BASE + 0x1c_0000;

/// Bytes of the main stack, below which lies a guard.
pub const MAIN_STACK_BYTES: u64 = 256 << 10;

/// The stack for the trap entry on CPU 0; see [`trap_stack_top`].
pub const TRAP_STACK_TOP: u64 = SMALL_BASE + 0x20_0000;

/// Distance from one CPU's trap stack to the next; what is between is a guard.
pub const TRAP_STACK_DISTANCE: u64 = 128 << 10;

/// Bytes of a trap stack.
pub const TRAP_STACK_BYTES: u64 = 64 << 10;

/// Call slots: where served calls have their stack and message, per CPU and depth.
pub const CALL_SLOT_BASE: u64 = 0x6030_0000_0000;

/// Distance from one call slot to the next.
pub const CALL_SLOT_BYTES: u64 = 128 << 10;

/// Call slots of one dispatcher: as many calls can be in progress in it.
pub const CALL_SLOTS: usize = 16;

/// The end of the call slots of the 64 CPUs that a machine may have.
pub const CALL_SLOT_END: u64 = call_slot(64, 0);

/// Offset in a call slot of the top of its stack; below it is 64 KiB of stack, then a guard.
pub const CALL_SLOT_STACK_TOP: u64 = 80 << 10;

/// Bytes of stack in a call slot.
pub const CALL_SLOT_STACK_BYTES: u64 = 64 << 10;

/// Offset in a call slot of two words that the process keeps while it serves the call, the object's name
/// and what `rax` had: the first on the stack. The kernel looks when the process dies, and believes nothing.
pub const CALL_SLOT_NOTE: u64 = CALL_SLOT_STACK_TOP - 16;

/// Offset in a call slot of the page with the bytes in.
pub const CALL_SLOT_INPUT: u64 = 96 << 10;

/// Offset in a call slot of the page for the bytes out.
pub const CALL_SLOT_OUTPUT: u64 = 100 << 10;

/// Dispatcher pages, one per CPU.
pub const DISPATCHER_BASE: u64 = SMALL_BASE;

/// Distance from one dispatcher page to the next.
pub const DISPATCHER_BYTES: u64 = PAGE_BYTES;

/// Read-only: the [`Startup`](crate::startup::Startup) block.
pub const STARTUP_BASE: u64 = SMALL_BASE + 0x8_0000;

/// Read-only: the configuration blob of the image.
pub const CONFIGURATION_BASE: u64 = SMALL_BASE + 0x1000_0000;

/// Read-only, shared by all: [`KernelInformation`](crate::startup::KernelInformation).
pub const KERNEL_INFORMATION_BASE: u64 = SMALL_BASE + 0xc_0000;

/// Rings of the process's own events, one per CPU; only there while events are noted.
pub const TRACE_BASE: u64 = 0x603e_0000_0000;

/// Rings of one-way messages, a page per CPU; mapped from the first message on.
pub const MESSAGES_BASE: u64 = SMALL_BASE + 0x10_0000;

/// Read-only, in the image root's server only: the whole root file system.
pub const ROOT_BASE: u64 = 0x6040_0000_0000;

/// Where the runtime may map what it likes: file windows, detour pages.
pub const WINDOW_BASE: u64 = 0x6080_0000_0000;

// Nothing lies in anything else, for the 64 CPUs that a machine may have, and below each stack is nothing.
const _: () = {
    assert!(dispatcher_page(64) <= STARTUP_BASE && STARTUP_BASE < KERNEL_INFORMATION_BASE);
    assert!(KERNEL_INFORMATION_BASE < MESSAGES_BASE);
    assert!(message_ring(64) < MAIN_STACK_TOP - MAIN_STACK_BYTES);
    assert!(MAIN_STACK_TOP < trap_stack_top(0) - TRAP_STACK_BYTES);
    assert!(trap_stack_top(64) < CONFIGURATION_BASE);
};

/// The top of the stack for the trap entry on CPU `cpu`.
#[must_use]
pub const fn trap_stack_top(cpu: u32) -> u64 {
    TRAP_STACK_TOP + cpu as u64 * TRAP_STACK_DISTANCE
}

/// The address of the call slot `slot` of CPU `cpu`.
#[must_use]
pub const fn call_slot(cpu: u32, slot: usize) -> u64 {
    CALL_SLOT_BASE + (cpu as u64 * CALL_SLOTS as u64 + slot as u64) * CALL_SLOT_BYTES
}

/// The address of the ring of events on CPU `cpu`.
#[must_use]
pub const fn trace_ring(cpu: u32) -> u64 {
    TRACE_BASE + cpu as u64 * crate::trace::USER_RING_BYTES
}

/// The address of the dispatcher page of CPU `cpu`; the user GS base there.
#[must_use]
pub const fn dispatcher_page(cpu: u32) -> u64 {
    DISPATCHER_BASE + cpu as u64 * DISPATCHER_BYTES
}

/// The address of the ring of one-way messages to the dispatcher of CPU `cpu`.
#[must_use]
pub const fn message_ring(cpu: u32) -> u64 {
    MESSAGES_BASE + cpu as u64 * PAGE_BYTES
}
