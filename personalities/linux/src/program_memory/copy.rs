//! The loops that touch the program's memory, and where each goes on after a fault.
//!
//! A fault at one of the four string instructions below resumes at that instruction's fixup with
//! its registers as they are; the fixup computes the bytes not done. `rep movsq` keeps a copy of a
//! page at few instructions on emulated processors, which run `rep movsb` byte by byte.

use core::arch::global_asm;

global_asm!(
    // rdi: to, rsi: from, rdx: bytes. Answers the bytes not copied.
    ".pushsection .text.kiln_linux_copy, \"ax\", @progbits",
    ".p2align 4",
    ".globl kiln_linux_copy",
    ".type kiln_linux_copy, @function",
    "kiln_linux_copy:",
    "mov rcx, rdx",
    "shr rcx, 3",
    "and edx, 7",
    ".globl kiln_linux_copy_words",
    "kiln_linux_copy_words:",
    "rep movsq",
    "mov ecx, edx",
    ".globl kiln_linux_copy_bytes",
    "kiln_linux_copy_bytes:",
    "rep movsb",
    "xor eax, eax",
    "ret",
    ".globl kiln_linux_copy_words_fixup",
    "kiln_linux_copy_words_fixup:",
    // The words that are left may be partly accessible: a page can end inside the first of them.
    "lea rcx, [rdx + rcx * 8]",
    "jmp kiln_linux_copy_bytes",
    ".globl kiln_linux_copy_bytes_fixup",
    "kiln_linux_copy_bytes_fixup:",
    "mov rax, rcx",
    "ret",
    ".size kiln_linux_copy, . - kiln_linux_copy",
    // rdi: to, rsi: bytes. Answers the bytes not cleared.
    ".p2align 4",
    ".globl kiln_linux_zero",
    ".type kiln_linux_zero, @function",
    "kiln_linux_zero:",
    "mov rcx, rsi",
    "shr rcx, 3",
    "and esi, 7",
    "xor eax, eax",
    ".globl kiln_linux_zero_words",
    "kiln_linux_zero_words:",
    "rep stosq",
    "mov ecx, esi",
    ".globl kiln_linux_zero_bytes",
    "kiln_linux_zero_bytes:",
    "rep stosb",
    "ret",
    ".globl kiln_linux_zero_words_fixup",
    "kiln_linux_zero_words_fixup:",
    "lea rcx, [rsi + rcx * 8]",
    "jmp kiln_linux_zero_bytes",
    ".globl kiln_linux_zero_bytes_fixup",
    "kiln_linux_zero_bytes_fixup:",
    "mov rax, rcx",
    "ret",
    ".size kiln_linux_zero, . - kiln_linux_zero",
    ".popsection",
);

unsafe extern "sysv64" {
    fn kiln_linux_copy(to: *mut u8, from: *const u8, bytes: usize) -> usize;
    fn kiln_linux_copy_words();
    fn kiln_linux_copy_words_fixup();
    fn kiln_linux_copy_bytes();
    fn kiln_linux_copy_bytes_fixup();
    fn kiln_linux_zero(to: *mut u8, bytes: usize) -> usize;
    fn kiln_linux_zero_words();
    fn kiln_linux_zero_words_fixup();
    fn kiln_linux_zero_bytes();
    fn kiln_linux_zero_bytes_fixup();
}

/// Where a fault at `rip` goes on, if `rip` is in one of the copy loops.
#[must_use]
pub fn fixup(rip: u64) -> Option<u64> {
    let table: [(unsafe extern "sysv64" fn(), unsafe extern "sysv64" fn()); 4] = [
        (kiln_linux_copy_words, kiln_linux_copy_words_fixup),
        (kiln_linux_copy_bytes, kiln_linux_copy_bytes_fixup),
        (kiln_linux_zero_words, kiln_linux_zero_words_fixup),
        (kiln_linux_zero_bytes, kiln_linux_zero_bytes_fixup),
    ];
    table
        .iter()
        .find(|(at, _)| *at as usize as u64 == rip)
        .map(|(_, fixup)| *fixup as usize as u64)
}

/// Copies from `address`; answers how many bytes at the end of `bytes` were not filled.
pub(super) fn from_program(address: u64, bytes: &mut [u8]) -> usize {
    // SAFETY: `bytes` is ours to write for its whole length. The caller checked that `address` is
    // outside the system's range, so that reading there touches no Rust object of this library, and
    // a fault there is caught by the fixup.
    unsafe { kiln_linux_copy(bytes.as_mut_ptr(), address as *const u8, bytes.len()) }
}

/// Copies to `address`; answers how many bytes at the end of `bytes` were not stored.
pub(super) fn to_program(address: u64, bytes: &[u8]) -> usize {
    // SAFETY: `bytes` may be read for its whole length. The caller checked that `address` is outside
    // the system's range, so that the store changes no Rust object of this library, and a fault
    // there is caught by the fixup.
    unsafe { kiln_linux_copy(address as *mut u8, bytes.as_ptr(), bytes.len()) }
}

/// Clears `length` bytes at `address`; answers how many were not cleared.
pub(super) fn zero(address: u64, length: u64) -> usize {
    // SAFETY: as for `to_program`.
    unsafe { kiln_linux_zero(address as *mut u8, length as usize) }
}
