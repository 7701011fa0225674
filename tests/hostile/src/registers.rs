//! A native call with every register chosen, and every register seen afterwards.
//!
//! What comes back is judged against the convention in `kiln_object::call`: only what it names may
//! be there, the rest is empty or, where the convention keeps it, the caller's own.

use core::sync::atomic::{AtomicU8, Ordering};

use kiln_object::call::{CallWord, ReturnWord};
use kiln_object::{Error, ObjectName, ProcessId};

/// General registers and the vector registers as far as they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub flags: u64,
    pub padding: [u64; 15],
    /// ymm0 to ymm15, or the low halves alone.
    pub vectors: [[u64; 4]; 16],
}

const _: () = assert!(core::mem::offset_of!(Registers, flags) == 128);
const _: () = assert!(core::mem::offset_of!(Registers, vectors) == 256);

/// 1 if there are upper halves (AVX is switched on).
pub static HAS_UPPER_HALVES: AtomicU8 = AtomicU8::new(0);

/// Finds out what the processor and the kernel let user code use.
pub fn look() {
    use core::arch::x86_64::{__cpuid, _xgetbv};
    #[target_feature(enable = "xsave")]
    fn components() -> u64 {
        // SAFETY: the caller saw that the kernel switched XSAVE on.
        unsafe { _xgetbv(0) }
    }
    let features = __cpuid(1).ecx;
    let (enabled, avx) = (features & 1 << 27 != 0, features & 1 << 28 != 0);
    // SAFETY: XSAVE is on.
    if enabled && avx && unsafe { components() } & 0b110 == 0b110 {
        HAS_UPPER_HALVES.store(1, Ordering::Relaxed);
    }
}

/// Whether there are upper halves.
pub fn has_upper_halves() -> bool {
    HAS_UPPER_HALVES.load(Ordering::Relaxed) != 0
}

impl Registers {
    /// A call whose registers that carry nothing hold `mark`s.
    pub fn call(process: ProcessId, object: ObjectName, word: CallWord, mark: u64) -> Self {
        let mut registers = Self::marked(mark);
        registers.rax = word.0;
        registers.rdi = process.raw();
        registers.rsi = object.raw();
        registers
    }

    /// Each register with a mark of its own.
    pub fn marked(mark: u64) -> Self {
        let at = |place: u64| mark ^ place << 8;
        let mut registers = Self {
            rax: at(1),
            rbx: at(2),
            rcx: at(3),
            rdx: at(4),
            rsi: at(5),
            rdi: at(6),
            rbp: at(7),
            r8: at(8),
            r9: at(9),
            r10: at(10),
            r11: at(11),
            r12: at(12),
            r13: at(13),
            r14: at(14),
            r15: at(15),
            ..Self::default()
        };
        for (place, vector) in (16..).step_by(4).zip(&mut registers.vectors) {
            *vector = [at(place), at(place + 1), at(place + 2), at(place + 3)];
        }
        registers
    }

    /// The argument words.
    pub fn set_words(&mut self, words: [u64; 6]) {
        [self.rdx, self.r8, self.r9, self.r10, self.r12, self.r13] = words;
    }

    /// The answer.
    pub fn answer(&self) -> ReturnWord {
        ReturnWord(self.rax)
    }

    /// The result words.
    pub fn results(&self) -> [u64; 4] {
        [self.rdx, self.r8, self.r9, self.r10]
    }

    /// Makes the call; the registers become those that are there afterwards.
    pub fn cross(&mut self) {
        // SAFETY: the routine keeps what the calling convention wants kept, and uses `self` alone;
        // what the kernel does for the call is the test's business.
        unsafe { cross(self) };
    }

    /// What is wrong with the registers after a call that came with `before`: the place's name. Where
    /// the convention says that a register is clobbered, it may be zero or still the caller's own.
    pub fn unexpected(&self, before: &Self) -> Option<&'static str> {
        const USER_FLAGS: u64 = 0x202;
        for (name, value, own) in [
            ("rbx", self.rbx, before.rbx),
            ("rbp", self.rbp, before.rbp),
            ("r12", self.r12, before.r12),
            ("r13", self.r13, before.r13),
            ("r14", self.r14, before.r14),
            ("r15", self.r15, before.r15),
        ] {
            if value != 0 && value != own {
                return Some(name);
            }
        }
        for (name, value) in [
            ("rsi", self.rsi),
            ("rdi", self.rdi),
            ("r11", self.r11 ^ USER_FLAGS),
            ("flags", self.flags ^ USER_FLAGS),
            ("rcx", self.rcx ^ return_address()),
            ("rax", beyond_answer(self.rax)),
        ] {
            if value != 0 {
                return Some(name);
            }
        }
        for (vector, before) in self.vectors.iter().zip(&before.vectors) {
            if vector[..2] != [0; 2] && vector[..2] != before[..2] {
                return Some("a low half");
            }
            if has_upper_halves() && vector[2..] != before[2..] {
                return Some("an upper half");
            }
        }
        None
    }
}

/// What a return word holds beyond the status and length that any server can answer: only the kernel says
/// that a call has not begun, and only of a server that was dead before.
fn beyond_answer(word: u64) -> u64 {
    if word == ReturnWord::not_begun(Error::ServerDied) {
        0
    } else {
        word >> 32
    }
}

/// Where the call in [`cross`] returns to.
#[cfg(kiln_freestanding)]
fn return_address() -> u64 {
    unsafe extern "C" {
        safe static kiln_hostile_return: u8;
    }
    (&raw const kiln_hostile_return) as u64
}

#[cfg(not(kiln_freestanding))]
fn return_address() -> u64 {
    0
}

#[cfg(not(kiln_freestanding))]
unsafe fn cross(_registers: &mut Registers) {}

#[cfg(kiln_freestanding)]
use freestanding::cross;

#[cfg(kiln_freestanding)]
mod freestanding {
    use super::{HAS_UPPER_HALVES, Registers};

    /// Loads all registers but the stack pointer, makes the call, stores all.
    #[unsafe(naked)]
    pub unsafe extern "sysv64" fn cross(registers: &mut Registers) {
        core::arch::naked_asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "push rdi",
            "cmp byte ptr [rip + {upper}], 0",
            "je 2f",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "vmovups ymm\\n, [rdi + 256 + 32 * \\n]",
            ".endr",
            "jmp 3f",
            "2:",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movups xmm\\n, [rdi + 256 + 32 * \\n]",
            ".endr",
            "3:",
            "mov rax, [rdi]",
            "mov rbx, [rdi + 8]",
            "mov rdx, [rdi + 24]",
            "mov rsi, [rdi + 32]",
            "mov rbp, [rdi + 48]",
            "mov r8, [rdi + 64]",
            "mov r9, [rdi + 72]",
            "mov r10, [rdi + 80]",
            "mov r12, [rdi + 96]",
            "mov r13, [rdi + 104]",
            "mov r14, [rdi + 112]",
            "mov r15, [rdi + 120]",
            "mov rdi, [rdi + 40]",
            "syscall",
            ".globl kiln_hostile_return",
            "kiln_hostile_return:",
            "xchg rdi, [rsp]",
            "mov [rdi], rax",
            "mov [rdi + 8], rbx",
            "mov [rdi + 16], rcx",
            "mov [rdi + 24], rdx",
            "mov [rdi + 32], rsi",
            "mov [rdi + 48], rbp",
            "mov [rdi + 56], rsp",
            "mov [rdi + 64], r8",
            "mov [rdi + 72], r9",
            "mov [rdi + 80], r10",
            "mov [rdi + 88], r11",
            "mov [rdi + 96], r12",
            "mov [rdi + 104], r13",
            "mov [rdi + 112], r14",
            "mov [rdi + 120], r15",
            "pop rax",
            "mov [rdi + 40], rax",
            "pushfq",
            "pop qword ptr [rdi + 128]",
            "cmp byte ptr [rip + {upper}], 0",
            "je 4f",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "vmovups [rdi + 256 + 32 * \\n], ymm\\n",
            ".endr",
            "vzeroupper",
            "jmp 5f",
            "4:",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movups [rdi + 256 + 32 * \\n], xmm\\n",
            ".endr",
            "5:",
            "cld",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbp",
            "pop rbx",
            "ret",
            upper = sym HAS_UPPER_HALVES,
        )
    }
}
