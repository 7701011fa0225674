//! The page that a dispatcher shares with the kernel.
//!
//! The user GS base points at it. The kernel writes it and reads from it only words that it checks:
//! a process can spoil its own page and hurts nobody else.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::attention::Attention;

/// Soft interrupts: bits of [`DispatcherPage::pending`].
pub mod soft_interrupt {
    /// The console has input, or reached its end.
    pub const CONSOLE: u64 = 1 << 0;
    /// The dispatcher's timer expired.
    pub const TIMER: u64 = 1 << 1;
    /// The kernel asks the dispatcher to give way.
    pub const PREEMPT: u64 = 1 << 2;
    /// The console takes bytes again, after it took none from this dispatcher.
    pub const CONSOLE_OUTPUT: u64 = 1 << 3;
    /// The ring of one-way messages is not empty.
    pub const MESSAGE: u64 = 1 << 4;
    /// There may be room where a call or a message of this dispatcher found none.
    pub const RETRY: u64 = 1 << 5;
    /// A call that was posted to another CPU has its answer.
    pub const CALL_DONE: u64 = 1 << 6;
    /// A page that a parked thread waits for has come, or will not: see [`DispatcherPage::faults_done`](super::DispatcherPage::faults_done).
    pub const FAULT_DONE: u64 = 1 << 7;
    /// Another dispatcher of the same process wants attention.
    pub const WAKE: u64 = 1 << 8;
    /// A process has ended: the references that it held are nobody's any more.
    pub const DEATH: u64 = 1 << 9;
}

/// [`TrapFrame::vector`] of a program that was stopped because a soft interrupt is pending; no
/// exception has this number.
///
/// Code in the system's own range of addresses is stopped so only if it said that it can be, by
/// [`DispatcherPage::preemptible`]: else it is as if soft interrupts were disabled there, and it
/// looks at [`DispatcherPage::pending`] before it goes back to the program. The handler clears the
/// bits it has seen to.
pub const SOFT_INTERRUPT_VECTOR: u64 = 256;

/// [`TrapFrame::vector`] of a thread that touched a page which a server has to bring first; no exception
/// has this number. [`TrapFrame::error`] is the number of the wait, whose bit in
/// [`DispatcherPage::faults_done`] says that it is over: then the instruction can be tried again. Only a
/// preemptible dispatcher is told, where it could be stopped; else the dispatcher waits as a whole.
pub const PARKED_FAULT_VECTOR: u64 = 257;

/// General registers of an interrupted context, in the order the kernel saves them.
#[derive(Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct Registers {
    pub r15: AtomicU64,
    pub r14: AtomicU64,
    pub r13: AtomicU64,
    pub r12: AtomicU64,
    pub r11: AtomicU64,
    pub r10: AtomicU64,
    pub r9: AtomicU64,
    pub r8: AtomicU64,
    pub rbp: AtomicU64,
    pub rdi: AtomicU64,
    pub rsi: AtomicU64,
    pub rdx: AtomicU64,
    pub rcx: AtomicU64,
    pub rbx: AtomicU64,
    pub rax: AtomicU64,
    pub rip: AtomicU64,
    pub rflags: AtomicU64,
    pub rsp: AtomicU64,
}

/// What trapped, and the context it trapped in.
#[derive(Debug, Default)]
#[repr(C)]
pub struct TrapFrame {
    /// The registers; `Resume` takes them up again, as the process may have changed them.
    pub registers: Registers,
    /// The processor's exception number, or [`SOFT_INTERRUPT_VECTOR`].
    pub vector: AtomicU64,
    /// The processor's error code, zero where it has none.
    pub error: AtomicU64,
    /// The faulting address of a page fault.
    pub address: AtomicU64,
    /// Why the kernel could not resolve a page fault: see [`fault_cause`].
    pub cause: AtomicU64,
    /// 1 while the trap entry runs: a trap meanwhile ends the process.
    pub active: AtomicU64,
}

/// Values of [`TrapFrame::cause`].
pub mod fault_cause {
    /// Not a page fault.
    pub const NONE: u64 = 0;
    /// Nothing is mapped there.
    pub const UNMAPPED: u64 = 1;
    /// The mapping does not allow the access.
    pub const PROTECTION: u64 = 2;
    /// The page lies beyond the end of the mapped file.
    pub const BEYOND_END: u64 = 3;
    /// There is no memory left for the page.
    pub const NO_MEMORY: u64 = 4;
    /// The server that has the file did not bring the page.
    pub const NOT_BROUGHT: u64 = 5;
}

/// The shared page. Offsets are used by assembly on both sides.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct DispatcherPage {
    /// The page's own address, for `mov reg, gs:[0]`.
    pub self_address: AtomicU64,
    /// Where the reflected system call returns to; written by the kernel.
    pub reflected_rip: AtomicU64,
    /// The flags of the reflected system call; written by the kernel.
    pub reflected_flags: AtomicU64,
    /// Soft interrupts not yet taken; the kernel sets bits, the runtime clears them.
    pub pending: AtomicU64,
    /// Not zero while code outside the system's range must not be stopped for a soft interrupt.
    pub disabled: AtomicU32,
    /// Which CPU this dispatcher is on.
    pub cpu: AtomicU32,
    /// Waits for pages that are over, by bit: the kernel sets bits, the runtime clears them.
    pub faults_done: AtomicU64,
    /// Counts the system calls that came by reflection.
    pub reflected_calls: AtomicU64,
    /// Not zero if code in the system's range may be stopped for a soft interrupt as well, while
    /// `disabled` is zero: the scheduler of native processes sets it, and saves what it stops.
    pub preemptible: AtomicU64,
    /// Words that belong to the runtime and the personality; the kernel never looks.
    pub runtime: [AtomicU64; 56],
    /// The last trap.
    pub trap: TrapFrame,
    /// Where the process notes events.
    pub trace: UserTrace,
    /// Not zero: the dispatcher waits as a whole for the next page that is to be brought. The kernel
    /// clears it.
    pub waits_whole: AtomicU64,
    /// How long whoever last found no room may wait for it, in ns; zero for ever. The kernel writes it
    /// before it answers that, and reads it never.
    pub room_limit: AtomicU64,
}

/// The process's own ring of events. The kernel fills this in once and reads it never.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct UserTrace {
    /// Groups that are noted, as in [`Groups`](crate::trace::Groups); zero: none.
    pub groups: AtomicU64,
    /// Address of the places.
    pub slots: AtomicU64,
    /// Their number less one; it is a power of two.
    pub mask: AtomicU64,
    /// Events so far.
    pub position: AtomicU64,
}

impl Default for DispatcherPage {
    fn default() -> Self {
        Self {
            self_address: AtomicU64::default(),
            reflected_rip: AtomicU64::default(),
            reflected_flags: AtomicU64::default(),
            pending: AtomicU64::default(),
            disabled: AtomicU32::default(),
            cpu: AtomicU32::default(),
            faults_done: AtomicU64::default(),
            reflected_calls: AtomicU64::default(),
            preemptible: AtomicU64::default(),
            runtime: [const { AtomicU64::new(0) }; 56],
            trap: TrapFrame::default(),
            trace: UserTrace::default(),
            waits_whole: AtomicU64::default(),
            room_limit: AtomicU64::default(),
        }
    }
}

impl DispatcherPage {
    /// The words by which the kernel gets the dispatcher's attention.
    #[inline(always)]
    #[must_use]
    pub fn attention(&self) -> Attention<'_> {
        Attention {
            pending: &self.pending,
            disabled: &self.disabled,
            preemptible: &self.preemptible,
            active: &self.trap.active,
        }
    }
}

/// Offset of [`DispatcherPage::reflected_rip`].
pub const REFLECTED_RIP: usize = 0x08;
/// Offset of [`DispatcherPage::reflected_flags`].
pub const REFLECTED_FLAGS: usize = 0x10;
/// Offset of [`UserTrace::groups`] of [`DispatcherPage::trace`].
pub const TRACE_GROUPS: usize = offset_of!(DispatcherPage, trace) + offset_of!(UserTrace, groups);
/// Offset of [`DispatcherPage::runtime`].
pub const RUNTIME: usize = 0x40;

const _: () = assert!(offset_of!(DispatcherPage, reflected_rip) == REFLECTED_RIP);
const _: () = assert!(offset_of!(DispatcherPage, reflected_flags) == REFLECTED_FLAGS);
const _: () = assert!(offset_of!(DispatcherPage, runtime) == RUNTIME);
const _: () = assert!(size_of::<DispatcherPage>() == 4096);
