//! The block of data that belongs to one processor, reached through GS in the kernel.
//!
//! In kernel mode GS_BASE is the address of the running processor's block, except in the first and
//! last instructions of entry code. Only its own processor reads or writes a block, with interrupts
//! off, so plain cells are enough, but for `current`, which the scheduler shows to others; what else
//! they may see of a processor is in [`super::roster`]. Assembly uses the offsets below; the assertions hold them.

use core::arch::asm;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::AtomicPtr;

use super::segments::Segments;

/// One processor's data. The first 256 bytes are known to assembly by offset.
#[repr(C, align(64))]
pub struct PerCpu {
    /// Address of this block: what `gs:[0]` yields.
    pub self_pointer: Cell<u64>,
    /// Where entry code keeps the user's stack pointer before it has a stack.
    pub user_rsp: Cell<u64>,
    /// Top of this processor's one kernel stack; also in the task state segment.
    pub kernel_stack_top: Cell<u64>,
    /// The current user dispatcher's page, by its direct-map address; null if none.
    pub dispatcher_page: Cell<*mut u8>,
    /// User address at which reflected system calls enter; 0 if there is none.
    pub svc_entry: Cell<u64>,
    /// The current dispatcher's kernel structure; null if none. Other processors read it, too.
    pub current: AtomicPtr<u8>,
    /// This processor's number, from 0 and without gaps.
    pub cpu_number: Cell<u32>,
    /// Flags of the scheduler and the call path.
    pub flags: Cell<u32>,
    /// Words of the scheduler and the call path.
    pub scheduler: [Cell<u64>; 25],
    /// Segment descriptors and task state.
    pub(crate) segments: Segments,
    /// Expiry times in nanoseconds of the timer's users; `u64::MAX` when not armed.
    pub(crate) deadlines: [Cell<u64>; crate::time::timer::USERS],
    /// Groups of events that are noted here, as their bits.
    pub(crate) trace: Cell<u32>,
    /// Room for two registers while the straight line of a call notes an event.
    pub(crate) trace_kept: [Cell<u64>; 2],
    /// Where the processor notes events while it runs no process; null if nowhere.
    pub(crate) own_trace: Cell<*const crate::trace::Account>,
    /// Whether the code of a server that lives in the kernel runs here.
    pub(crate) serving: Cell<bool>,
}

const _: () = {
    assert!(offset_of!(PerCpu, self_pointer) == 0x00);
    assert!(offset_of!(PerCpu, user_rsp) == 0x08);
    assert!(offset_of!(PerCpu, kernel_stack_top) == 0x10);
    assert!(offset_of!(PerCpu, dispatcher_page) == 0x18);
    assert!(offset_of!(PerCpu, svc_entry) == 0x20);
    assert!(offset_of!(PerCpu, current) == 0x28);
    assert!(offset_of!(PerCpu, cpu_number) == 0x30);
    assert!(offset_of!(PerCpu, flags) == 0x34);
    assert!(offset_of!(PerCpu, scheduler) == 0x38);
    assert!(offset_of!(PerCpu, segments) == 0x100);
};

impl PerCpu {
    /// A block for a processor that has not been started.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value to copy, never borrowed"
    )]
    pub const EMPTY: Self = Self {
        self_pointer: Cell::new(0),
        user_rsp: Cell::new(0),
        kernel_stack_top: Cell::new(0),
        dispatcher_page: Cell::new(core::ptr::null_mut()),
        svc_entry: Cell::new(0),
        current: AtomicPtr::new(core::ptr::null_mut()),
        cpu_number: Cell::new(0),
        flags: Cell::new(0),
        scheduler: [const { Cell::new(0) }; 25],
        segments: Segments::EMPTY,
        deadlines: [const { Cell::new(u64::MAX) }; crate::time::timer::USERS],
        trace: Cell::new(0),
        trace_kept: [const { Cell::new(0) }; 2],
        own_trace: Cell::new(core::ptr::null()),
        serving: Cell::new(false),
    };

    /// The running processor's block.
    ///
    /// Only for code that runs in the kernel after `super::initialise`. `PerCpu` is not `Sync`,
    /// so the reference cannot be handed to another processor.
    pub fn here() -> &'static Self {
        let address: *const Self;
        // SAFETY: in the kernel GS_BASE is this processor's block, whose first word is its own
        // address and which is never freed.
        unsafe {
            asm!("mov {}, gs:[0]", out(reg) address, options(nostack, pure, readonly, preserves_flags));
            &*address
        }
    }

    /// The running processor's number; 0 also before there is a block.
    pub fn number() -> u32 {
        if super::is_initialised() {
            Self::here().cpu_number.get()
        } else {
            0
        }
    }
}
