//! The instructions between `syscall` and Rust, and back, where `super::straight_line` is left.
//!
//! A foreign system call (bit 63 of `rax` clear) never reaches Rust: it is turned round to the
//! process's own entry, all registers but `rcx` and `r11` untouched. On the way out of a native
//! call no register keeps anything that the convention does not name.

use core::arch::naked_asm;

/// General registers of a native call; the order is the order of the pushes below.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct CallFrame {
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rax: u64,
    pub rsp: u64,
    pub rip: u64,
    pub rflags: u64,
}

/// Flags with which user code is entered: interrupts on, the bit that is always one.
pub const USER_FLAGS: u64 = 0x202;

/// A foreign system call, at the start of an entry (after SWAPGS, with the user's stack pointer kept):
/// back to the process's own entry.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn foreign() {
    naked_asm!(
        "mov rsp, gs:[0x18]",
        "mov [rsp + 0x08], rcx",
        "mov [rsp + 0x10], r11",
        "mov rcx, gs:[0x20]",
        "mov rsp, gs:[0x08]",
        "test rcx, rcx",
        "jz 4f",
        "mov r11d, {flags}",
        "swapgs",
        "sysretq",
        // A foreign call in a process that takes none.
        "4:",
        "mov rsp, gs:[0x10]",
        "mov rdi, rbp",
        "call {unwanted}",
        "ud2",
        flags = const USER_FLAGS,
        unwanted = sym super::native::unwanted,
    )
}

/// A system call with bit 63 of `rax` set, after SWAPGS, with the user's stack pointer kept: native if the
/// top byte says so. All registers but `rsp`, `rbx`, `rbp` and `r11` are the caller's,
/// and for a call that is not native all but `rsp`.
///
/// Offsets of GS are those of `PerCpu`: 0x08 user stack, 0x10 kernel stack, 0x18 dispatcher page,
/// 0x20 entry for foreign calls, 0x38 user GS base, 0x40 whether FSGSBASE is there.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn general() {
    naked_asm!(
        "mov rsp, gs:[0x10]",
        "push r11",
        "push rcx",
        "push qword ptr gs:[0x08]",
        "push rax",
        "cmp byte ptr [rsp + 7], 0xcb",
        "jne 3f",
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push r10",
        "push r9",
        "push r8",
        "push rdx",
        "push rsi",
        "push rdi",
        "mov rdi, rsp",
        "call {native}",
        "jmp {exit}",
        "3:",
        "mov rsp, gs:[0x08]",
        "jmp {foreign}",
        native = sym super::native::native,
        exit = sym exit_to_user,
        foreign = sym foreign,
    )
}

/// Leaves for user mode with the [`CallFrame`] at the stack pointer.
#[unsafe(naked)]
unsafe extern "sysv64" fn exit_to_user() {
    naked_asm!(
        crate::clear_vector_registers!(),
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r8",
        "pop r9",
        "pop r10",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "pop rax",
        "mov rcx, [rsp + 8]",
        "mov r11, [rsp + 16]",
        "xor ebp, ebp",
        "cmp qword ptr gs:[0x40], 0",
        "je 2f",
        "mov rbx, gs:[0x38]",
        "mov rsp, [rsp]",
        "swapgs",
        "wrgsbase rbx",
        "xor ebx, ebx",
        "sysretq",
        // Without FSGSBASE the base behind SWAPGS is set by its MSR.
        "2:",
        "mov rbx, rax",
        "mov rbp, rdx",
        "push rcx",
        "mov ecx, 0xc0000102",
        "mov eax, gs:[0x38]",
        "mov edx, gs:[0x3c]",
        "wrmsr",
        "pop rcx",
        "mov rax, rbx",
        "mov rdx, rbp",
        "xor ebx, ebx",
        "xor ebp, ebp",
        "mov rsp, [rsp]",
        "swapgs",
        "sysretq",
    )
}

/// Enters user mode for good; the kernel stack is used afresh from its top next time.
///
/// # Safety
/// The current dispatcher and its address space are set, and the frame's `rip` is a user address.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter_user(frame: &CallFrame) -> ! {
    naked_asm!("mov rsp, rdi", "jmp {exit}", exit = sym exit_to_user)
}

/// Enters user mode with every general register of `frame`, by `iretq`.
///
/// # Safety
/// As [`enter_user`]; the selectors in the frame are those of user mode.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn resume_user(frame: &ResumeFrame) -> ! {
    naked_asm!(
        "mov rsp, rdi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        "swapgs",
        "iretq",
    )
}

/// What [`resume_user`] loads, in that order.
#[derive(Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct ResumeFrame {
    pub general: [u64; 15],
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}
