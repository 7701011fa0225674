//! One system call of the program: its number, arguments and saved registers.
//!
//! Arguments are bits the program chose: nothing here is checked but the width of an argument.
//! Linux takes the low half of a register for an `int`, so upper halves are cut, never refused.

use core::cell::Cell;

/// The program's general registers as they were at the system call.
///
/// The entry pushes them in this order and takes all of them up again afterwards, so a function
/// that changes them (a signal frame, a return from one) changes where the program goes on.
/// `rax` alone is replaced by the answer unless [`SavedRegisters::keep_rax`] is set.
#[derive(Debug, Default)]
#[repr(C, align(16))]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct SavedRegisters {
    pub rax: Cell<u64>,
    pub rdi: Cell<u64>,
    pub rsi: Cell<u64>,
    pub rdx: Cell<u64>,
    pub r10: Cell<u64>,
    pub r8: Cell<u64>,
    pub r9: Cell<u64>,
    pub rbx: Cell<u64>,
    pub rbp: Cell<u64>,
    pub r12: Cell<u64>,
    pub r13: Cell<u64>,
    pub r14: Cell<u64>,
    pub r15: Cell<u64>,
    pub flags: Cell<u64>,
    /// Where the program goes on: the instruction after `syscall`.
    pub rip: Cell<u64>,
    pub rsp: Cell<u64>,
    /// Not zero: `rax` above is what the program finds, not the call's answer.
    pub keep_rax: Cell<u64>,
    padding: u64,
}

/// A system call in progress.
#[derive(Debug)]
pub struct Call<'a> {
    /// Which one (`__NR_*`).
    pub number: u64,
    /// `rdi rsi rdx r10 r8 r9`.
    pub arguments: [u64; 6],
    /// Everything else of the program.
    pub registers: &'a SavedRegisters,
}

impl<'a> Call<'a> {
    /// The call that `registers` describe.
    #[must_use]
    pub fn new(registers: &'a SavedRegisters) -> Self {
        Self {
            number: registers.rax.get(),
            arguments: [
                registers.rdi.get(),
                registers.rsi.get(),
                registers.rdx.get(),
                registers.r10.get(),
                registers.r8.get(),
                registers.r9.get(),
            ],
            registers,
        }
    }

    /// Argument `n` (0 to 5) as a 64-bit number: an `unsigned long` or a `size_t`.
    #[must_use]
    pub fn long(&self, n: usize) -> u64 {
        self.arguments.get(n).copied().unwrap_or(0)
    }

    /// Argument `n` as an address in the program's memory.
    #[must_use]
    pub fn pointer(&self, n: usize) -> u64 {
        self.long(n)
    }

    /// Argument `n` as a signed 64-bit number: a `long` or an `off_t`.
    #[must_use]
    pub fn offset(&self, n: usize) -> i64 {
        self.long(n) as i64
    }

    /// Argument `n` as an `int`.
    #[must_use]
    pub fn integer(&self, n: usize) -> i32 {
        self.long(n) as i32
    }

    /// Argument `n` as an `unsigned int`: flags, modes, user numbers.
    #[must_use]
    pub fn unsigned(&self, n: usize) -> u32 {
        self.long(n) as u32
    }

    /// Argument `n` as a file descriptor, or `AT_FDCWD`.
    #[must_use]
    pub fn descriptor(&self, n: usize) -> i32 {
        self.integer(n)
    }
}
