//! Segment descriptors and task state of one processor.
//!
//! Long mode leaves segments three uses: privilege levels, the kernel stack on entry from user
//! mode, and separate stacks for the exceptions that must not trust the current one. The selector
//! order is what SYSCALL and SYSRET compute with (AMD64 manual volume 2, section 6.1.1).

use core::arch::asm;
use core::cell::UnsafeCell;

use x86_64::VirtAddr;
use x86_64::structures::gdt::DescriptorFlags;
use x86_64::structures::tss::TaskStateSegment;

/// Kernel code selector.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel stack selector.
pub const KERNEL_STACK: u16 = 0x10;
/// What would be the user code selector for compatibility mode: for SYSRET's arithmetic only. Its
/// descriptor is empty, since SYSCALL in that mode enters the kernel at another address (IA32_CSTAR).
pub const USER_CODE_32: u16 = 0x18 | 3;
/// User data and stack selector.
pub const USER_DATA: u16 = 0x20 | 3;
/// User code selector.
pub const USER_CODE: u16 = 0x28 | 3;
/// Task state selector.
pub const TASK_STATE: u16 = 0x30;

/// Stack numbers in the task state (1 to 7), as an interrupt gate names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SeparateStack {
    /// Non-maskable interrupts.
    NonMaskable = 1,
    /// Double faults.
    DoubleFault = 2,
    /// Machine checks.
    MachineCheck = 3,
}

/// Bytes of each separate stack: enough for a panic's formatting.
pub const SEPARATE_STACK_BYTES: usize = 8 * 1024;

/// Bytes that a processor needs for all its separate stacks together.
pub const SEPARATE_STACKS_BYTES: usize = 3 * SEPARATE_STACK_BYTES;

/// Where separate-stack entry code finds the address of its processor's block: at the frame's top.
const PARKED_POINTER_BYTES: u64 = 16;

/// The tables that the processor itself reads.
#[repr(C)]
pub(crate) struct Segments {
    descriptors: UnsafeCell<[u64; 8]>,
    task_state: UnsafeCell<TaskStateSegment>,
}

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

impl Segments {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value to copy, never borrowed"
    )]
    pub(crate) const EMPTY: Self = Self {
        descriptors: UnsafeCell::new([
            0,
            DescriptorFlags::KERNEL_CODE64.bits(),
            DescriptorFlags::KERNEL_DATA.bits(),
            0,
            DescriptorFlags::USER_DATA.bits(),
            DescriptorFlags::USER_CODE64.bits(),
            // The task state's, which is where it is.
            0,
            0,
        ]),
        task_state: UnsafeCell::new(TaskStateSegment::new()),
    };

    /// Fills the tables and makes the running processor use them.
    ///
    /// `block` is the address of the block that contains them.
    ///
    /// # Safety
    /// `self` must be the running processor's and live for ever; the stacks must be its own,
    /// mapped and 16-byte aligned, `separate_stacks` being the lowest address of
    /// [`SEPARATE_STACKS_BYTES`] bytes. GS_BASE is undefined afterwards.
    pub(crate) unsafe fn load(&self, block: u64, kernel_stack_top: u64, separate_stacks: u64) {
        let task_state = self.task_state.get();
        let base = task_state as u64;
        let limit = size_of::<TaskStateSegment>() as u64 - 1;
        // SAFETY: the caller owns the tables and stacks, whose addresses are the kernel's; nobody else
        // refers to them yet.
        unsafe {
            (*task_state).privilege_stack_table[0] = VirtAddr::new_unsafe(kernel_stack_top);
            for stack in 0..3_u64 {
                let top = separate_stacks + (stack + 1) * SEPARATE_STACK_BYTES as u64
                    - PARKED_POINTER_BYTES;
                (top as *mut u64).write(block);
                let index = stack as usize;
                (*task_state).interrupt_stack_table[index] = VirtAddr::new_unsafe(top);
            }
            let [.., low, high] = &mut *self.descriptors.get();
            // Type 9, an available 64-bit task state segment.
            *low = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
            *high = base >> 32;
            let pointer = TablePointer {
                limit: 8 * 8 - 1,
                base: self.descriptors.get() as u64,
            };
            asm!(
                "lgdt [{pointer}]",
                "push {code}",
                "lea {scratch}, [rip + 2f]",
                "push {scratch}",
                "retfq",
                "2:",
                "mov ss, {stack:e}",
                "mov ds, {zero:e}",
                "mov es, {zero:e}",
                "mov fs, {zero:e}",
                "mov gs, {zero:e}",
                "ltr {task:x}",
                pointer = in(reg) &pointer,
                code = const KERNEL_CODE,
                scratch = out(reg) _,
                stack = in(reg) u32::from(KERNEL_STACK),
                zero = in(reg) 0,
                task = in(reg) TASK_STATE,
            );
        }
    }

    /// Sets the stack on which this processor enters the kernel from user mode.
    ///
    /// # Safety
    /// `top` must be the 16-byte aligned top of a mapped stack that is this processor's alone.
    pub(crate) unsafe fn set_kernel_stack(&self, top: u64) {
        // SAFETY: only the owning processor writes its task state, interrupts being off; the address
        // is the kernel's.
        unsafe {
            (*self.task_state.get()).privilege_stack_table[0] = VirtAddr::new_unsafe(top);
        }
    }
}
