//! A thread that is stopped finds every register as it was.

use alloc::sync::Arc;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use kiln_runtime::thread::Priority;
use kiln_runtime::time::monotonic_ns;

use crate::report::check;
use crate::scheduling::start;

/// Threads that hold different values in all registers and in the red zone, while they are stopped for
/// each other.
pub fn kept() {
    let stop = Arc::new(AtomicU64::new(0));
    let threads = [0x11u64, 0x2200, 0x33_0000].map(|mark| {
        let stop = stop.clone();
        start(Priority::Normal, move || hold(mark, stop.as_ptr()))
    });
    let end = monotonic_ns() + 150_000_000;
    while monotonic_ns() < end {
        core::hint::spin_loop();
    }
    stop.store(1, SeqCst);
    for thread in threads {
        let (turns, differences) = thread.join();
        check(
            differences == 0,
            format_args!("differences {differences:#x}"),
        );
        check(turns > 0, format_args!("it never ran"));
    }
}

/// Fills the registers from `mark`, waits for `*stop`, and answers how often it looked and in what
/// the registers differ then.
#[cfg(kiln_freestanding)]
fn hold(mark: u64, stop: *mut u64) -> (u64, u64) {
    let (turns, differences);
    // SAFETY: `stop` is valid; what is changed is declared or put back. The red zone is used by the
    // statement alone, which has left what the compiler has there.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "sub rsp, 256",
            // The red zone, and a value in each vector register, the x87 and the rounding mode.
            "mov [rsp - 8], rdi",
            "mov [rsp - 128], rdi",
            "movq xmm0, rdi",
            "punpcklqdq xmm0, xmm0",
            "movdqa xmm1, xmm0",
            "paddq xmm1, xmm0",
            "movdqa xmm7, xmm1",
            "paddq xmm7, xmm0",
            "movdqa xmm15, xmm7",
            "paddq xmm15, xmm0",
            "fninit",
            "mov [rsp + 16], rdi",
            "fild qword ptr [rsp + 16]",
            "mov dword ptr [rsp], 0x5f80",
            "ldmxcsr [rsp]",
            "lea rbx, [rdi + 1]",
            "lea rbp, [rdi + 2]",
            "lea rcx, [rdi + 3]",
            "lea rdx, [rdi + 4]",
            "lea r8, [rdi + 5]",
            "lea r9, [rdi + 6]",
            "lea r10, [rdi + 7]",
            "lea r11, [rdi + 8]",
            "lea r12, [rdi + 9]",
            "lea r13, [rdi + 10]",
            "lea r14, [rdi + 11]",
            "lea r15, [rdi + 12]",
            "xor eax, eax",
            "std",
            "2:",
            "inc rax",
            "cmp qword ptr [rsi], 0",
            "je 2b",
            // The direction flag was kept if the flags say so.
            "pushfq",
            "pop qword ptr [rsp + 24]",
            "cld",
            "stmxcsr [rsp]",
            "mov dword ptr [rsp + 8], 0x1f80",
            "ldmxcsr [rsp + 8]",
            "sub rbx, rdi",
            "sub rbx, 1",
            "sub rbp, rdi",
            "sub rbp, 2",
            "or rbx, rbp",
            "sub rcx, rdi",
            "sub rcx, 3",
            "or rbx, rcx",
            "sub rdx, rdi",
            "sub rdx, 4",
            "or rbx, rdx",
            "sub r8, rdi",
            "sub r8, 5",
            "or rbx, r8",
            "sub r9, rdi",
            "sub r9, 6",
            "or rbx, r9",
            "sub r10, rdi",
            "sub r10, 7",
            "or rbx, r10",
            "sub r11, rdi",
            "sub r11, 8",
            "or rbx, r11",
            "sub r12, rdi",
            "sub r12, 9",
            "or rbx, r12",
            "sub r13, rdi",
            "sub r13, 10",
            "or rbx, r13",
            "sub r14, rdi",
            "sub r14, 11",
            "or rbx, r14",
            "sub r15, rdi",
            "sub r15, 12",
            "or rbx, r15",
            "mov rcx, [rsp - 128]",
            "sub rcx, rdi",
            "or rbx, rcx",
            "movq rcx, xmm0",
            "sub rcx, rdi",
            "or rbx, rcx",
            "movhlps xmm15, xmm15",
            "movq rcx, xmm15",
            "lea rdx, [rdi * 4]",
            "sub rcx, rdx",
            "or rbx, rcx",
            "movq rcx, xmm7",
            "lea rdx, [rdi + rdi * 2]",
            "sub rcx, rdx",
            "or rbx, rcx",
            "fistp qword ptr [rsp + 16]",
            "mov rcx, [rsp + 16]",
            "sub rcx, rdi",
            "or rbx, rcx",
            "mov ecx, [rsp]",
            "and ecx, 0xffc0",
            "sub ecx, 0x5f80",
            "or rbx, rcx",
            "mov rcx, [rsp + 24]",
            "and ecx, 0x400",
            "sub ecx, 0x400",
            "or rbx, rcx",
            "mov rcx, rbx",
            "add rsp, 256",
            "pop rbp",
            "pop rbx",
            inout("rdi") mark => _,
            inout("rsi") stop => _,
            out("rax") turns,
            out("rcx") differences,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
    (turns, differences)
}

#[cfg(not(kiln_freestanding))]
fn hold(_mark: u64, _stop: *mut u64) -> (u64, u64) {
    (1, 0)
}
