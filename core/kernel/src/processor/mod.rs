//! One processor: its tables, features, per-processor data, and how others are started.
//!
//! Interrupts are off whenever the kernel runs, except inside [`wait_for_interrupt`]; what must
//! differ on an odd platform (halting, mode bits, machine registers) is in this folder.

#[cfg(kiln_freestanding)]
mod alternatives;
pub mod application;
pub mod features;
pub mod per_cpu;
pub mod roster;
pub mod segments;
pub mod syscall;
#[cfg(kiln_freestanding)]
mod trampoline;

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::registers::model_specific::Msr;

pub use features::{Features, features};
pub use per_cpu::PerCpu;
pub use roster::{online, send, wake};

/// IA32_GS_BASE.
const GS_BASE: u32 = 0xc000_0101;
/// IA32_KERNEL_GS_BASE: what SWAPGS exchanges GS_BASE with.
const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// What belongs to the boot processor; the others' is allocated when they start.
#[repr(C, align(4096))]
struct BootProcessors<T>(T);

// SAFETY: only the boot processor uses these: `initialise_boot` hands them to it alone.
unsafe impl<T> Sync for BootProcessors<T> {}

static BOOT_BLOCK: BootProcessors<PerCpu> = BootProcessors(PerCpu::EMPTY);

/// Apart from the block, so that it needs no bytes in the image.
static BOOT_SEPARATE_STACKS: BootProcessors<UnsafeCell<[u8; segments::SEPARATE_STACKS_BYTES]>> =
    BootProcessors(UnsafeCell::new([0; segments::SEPARATE_STACKS_BYTES]));

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Whether GS leads to a block yet (on the boot processor; the others start with theirs).
pub fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

/// Gives the boot processor its block, tables and features.
///
/// # Safety
/// Once, first of all, on the boot processor, on the stack whose top is `stack_top`.
pub(crate) unsafe fn initialise_boot(stack_top: u64) {
    let separate_stacks = BOOT_SEPARATE_STACKS.0.get() as u64;
    // SAFETY: the caller is the boot processor at its start; block and stacks are its own statics.
    unsafe { initialise(&BOOT_BLOCK.0, 0, stack_top, separate_stacks) };
    INITIALISED.store(true, Ordering::Relaxed);
    // SAFETY: the kernel's text is still writable and only this processor runs.
    #[cfg(kiln_freestanding)]
    unsafe {
        alternatives::apply();
    }
}

/// Makes `block` the running processor's and brings the processor to the kernel's ways.
///
/// # Safety
/// `block` must live for ever and belong to this processor alone; stacks as in
/// [`segments::Segments::load`].
pub(crate) unsafe fn initialise(
    block: &PerCpu,
    number: u32,
    kernel_stack_top: u64,
    separate_stacks: u64,
) {
    let address = core::ptr::from_ref(block) as u64;
    block.self_pointer.set(address);
    block.cpu_number.set(number);
    block.kernel_stack_top.set(kernel_stack_top);
    // SAFETY: passed on to the caller; the interrupt table is complete before it is loaded, and
    // GS_BASE leads to the block before anything can use it.
    unsafe {
        block
            .segments
            .load(address, kernel_stack_top, separate_stacks);
        Msr::new(GS_BASE).write(address);
        Msr::new(KERNEL_GS_BASE).write(0);
        crate::interrupt::descriptors::load();
    }
    features::enable();
}

/// User mode's GS base, while the kernel runs.
#[must_use]
pub fn user_gs() -> u64 {
    // SAFETY: the register exists on every 64-bit processor; in the kernel it holds the user's base.
    unsafe { Msr::new(KERNEL_GS_BASE).read() }
}

/// Sets user mode's GS base; `base` was read by [`user_gs`].
pub fn set_user_gs(base: u64) {
    // SAFETY: as above; what was read from it may be written to it.
    unsafe { Msr::new(KERNEL_GS_BASE).write(base) };
}

/// Changes the stack on which the running processor enters the kernel from user mode.
///
/// # Safety
/// `top` must be the 16-byte aligned top of a mapped stack that is this processor's alone.
pub unsafe fn set_kernel_stack(top: u64) {
    let here = PerCpu::here();
    here.kernel_stack_top.set(top);
    // SAFETY: passed on to the caller.
    unsafe { here.segments.set_kernel_stack(top) };
}

/// Makes `stack_top` the running processor's kernel stack and goes on there with `next`.
///
/// # Safety
/// As for [`set_kernel_stack`]; nothing on the stack in use may be needed any more.
pub(crate) unsafe fn continue_on(stack_top: u64, next: extern "sysv64" fn() -> !) -> ! {
    // SAFETY: passed on to the caller. Two zero words end a backtrace and keep the alignment.
    unsafe {
        set_kernel_stack(stack_top);
        asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "push rbp",
            "push rbp",
            "call {next}",
            "ud2",
            stack = in(reg) stack_top,
            next = in(reg) next,
            options(noreturn),
        );
    }
}

/// Waits until an interrupt has been handled; the only place where interrupts are on.
pub fn wait_for_interrupt() {
    // SAFETY: STI takes effect after HLT has begun, so no wake-up is lost. Without `nostack` the
    // compiler keeps nothing below the stack pointer, where the interrupt's frame goes.
    unsafe { asm!("sti", "hlt", "cli") };
}

/// Stops the running processor for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: with interrupts off HLT only returns for events that nobody waits for.
        unsafe { asm!("cli", "hlt") };
    }
}

/// Assembler text for CLAC where there is SMAP and nothing where there is none.
#[macro_export]
macro_rules! clac {
    () => {
        $crate::smap_site!("0xca")
    };
}

/// Assembler text for STAC where there is SMAP and nothing where there is none.
#[macro_export]
macro_rules! stac {
    () => {
        $crate::smap_site!("0xcb")
    };
}

/// Assembler text that empties the low halves of the vector registers: the kernel's Rust uses them as it
/// likes, and nobody else is to find what it left.
#[macro_export]
macro_rules! clear_vector_registers {
    () => {
        concat!(
            "pxor xmm0, xmm0\n",
            "pxor xmm1, xmm1\n",
            "pxor xmm2, xmm2\n",
            "pxor xmm3, xmm3\n",
            "pxor xmm4, xmm4\n",
            "pxor xmm5, xmm5\n",
            "pxor xmm6, xmm6\n",
            "pxor xmm7, xmm7\n",
            "pxor xmm8, xmm8\n",
            "pxor xmm9, xmm9\n",
            "pxor xmm10, xmm10\n",
            "pxor xmm11, xmm11\n",
            "pxor xmm12, xmm12\n",
            "pxor xmm13, xmm13\n",
            "pxor xmm14, xmm14\n",
            "pxor xmm15, xmm15\n",
        )
    };
}

/// A three-byte no-operation, and a record of what belongs there on a processor with SMAP.
#[doc(hidden)]
#[macro_export]
macro_rules! smap_site {
    ($last:literal) => {
        concat!(
            "771: .byte 0x0f, 0x1f, 0x00\n",
            ".pushsection kiln_smap, \"aR\", @progbits\n",
            ".balign 8\n",
            ".quad 771b\n",
            ".byte 0x0f, 0x01, ",
            $last,
            ", 0, 0, 0, 0, 0\n",
            ".popsection\n"
        )
    };
}
