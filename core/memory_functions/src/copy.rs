//! Copying, overlapping or not.
//!
//! Up to 128 bytes everything is loaded before anything is stored, so overlap does not matter.

use core::arch::naked_asm;

/// Runs longer than this are copied by a loop.
const LONG: usize = 128;

/// Copies `count` bytes and answers `to`.
///
/// # Safety
/// As C's `memcpy`: both ranges are valid and do not overlap.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn copy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "cmp rdx, {long}",
        "ja 2f",
        "jmp {short}",
        "2: jmp {forward}",
        long = const LONG,
        short = sym short,
        forward = sym forward,
    )
}

/// Copies `count` bytes as if through a buffer, and answers `to`.
///
/// # Safety
/// As C's `memmove`: both ranges are valid.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn copy_overlapping(
    to: *mut u8,
    from: *const u8,
    count: usize,
) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "cmp rdx, {long}",
        "ja 2f",
        "jmp {short}",
        // Going up is right unless `to` lies inside the source.
        "2: mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jb 3f",
        "jmp {forward}",
        "3: jmp {backward}",
        long = const LONG,
        short = sym short,
        forward = sym forward,
        backward = sym backward,
    )
}

/// At most 128 bytes; `rax` is `to` already.
#[unsafe(naked)]
unsafe extern "sysv64" fn short() {
    naked_asm!(
        "cmp rdx, 16",
        "jb 4f",
        "movups xmm0, [rsi]",
        "movups xmm1, [rsi + rdx - 16]",
        "cmp rdx, 32",
        "ja 2f",
        "movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm1",
        "ret",
        "2: movups xmm2, [rsi + 16]",
        "movups xmm3, [rsi + rdx - 32]",
        "cmp rdx, 64",
        "ja 3f",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm2",
        "movups [rdi + rdx - 32], xmm3",
        "movups [rdi + rdx - 16], xmm1",
        "ret",
        "3: movups xmm4, [rsi + 32]",
        "movups xmm5, [rsi + 48]",
        "movups xmm6, [rsi + rdx - 64]",
        "movups xmm7, [rsi + rdx - 48]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm2",
        "movups [rdi + 32], xmm4",
        "movups [rdi + 48], xmm5",
        "movups [rdi + rdx - 64], xmm6",
        "movups [rdi + rdx - 48], xmm7",
        "movups [rdi + rdx - 32], xmm3",
        "movups [rdi + rdx - 16], xmm1",
        "ret",
        "4: cmp edx, 8",
        "jb 5f",
        "mov rcx, [rsi]",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], r8",
        "ret",
        "5: cmp edx, 4",
        "jb 6f",
        "mov ecx, [rsi]",
        "mov r8d, [rsi + rdx - 4]",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], r8d",
        "ret",
        "6: test edx, edx",
        "jz 7f",
        // One to three bytes: the first, the middle, the last.
        "mov r9d, edx",
        "shr r9d, 1",
        "movzx ecx, byte ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "movzx r10d, byte ptr [rsi + r9]",
        "mov [rdi], cl",
        "mov [rdi + r9], r10b",
        "mov [rdi + rdx - 1], r8b",
        "7: ret",
    )
}

/// More than 128 bytes, going up; right also where `to` lies below an overlapping source.
#[unsafe(naked)]
unsafe extern "sysv64" fn forward() {
    naked_asm!(
        // Both ends first, since the words between may overwrite them.
        "movups xmm0, [rsi]",
        "movups xmm1, [rsi + rdx - 16]",
        "lea r10, [rdi + rdx - 16]",
        "mov r8, rdi",
        // Whole words from the first aligned one of the destination.
        "mov rcx, rdi",
        "neg rcx",
        "and ecx, 7",
        "add rdi, rcx",
        "add rsi, rcx",
        "sub rdx, rcx",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep movsq",
        "movups [r8], xmm0",
        "movups [r10], xmm1",
        "ret",
    )
}

/// More than 128 bytes, going down.
#[unsafe(naked)]
unsafe extern "sysv64" fn backward() {
    naked_asm!(
        // What the loop leaves at the front, before it can be overwritten.
        "movups xmm4, [rsi]",
        "movups xmm5, [rsi + 16]",
        "movups xmm6, [rsi + 32]",
        "movups xmm7, [rsi + 48]",
        "2: movups xmm0, [rsi + rdx - 16]",
        "movups xmm1, [rsi + rdx - 32]",
        "movups xmm2, [rsi + rdx - 48]",
        "movups xmm3, [rsi + rdx - 64]",
        "movups [rdi + rdx - 16], xmm0",
        "movups [rdi + rdx - 32], xmm1",
        "movups [rdi + rdx - 48], xmm2",
        "movups [rdi + rdx - 64], xmm3",
        "sub rdx, 64",
        "cmp rdx, 64",
        "ja 2b",
        "movups [rdi], xmm4",
        "movups [rdi + 16], xmm5",
        "movups [rdi + 32], xmm6",
        "movups [rdi + 48], xmm7",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn check(length: usize, from: usize, to: usize, count: usize) {
        let source: Vec<u8> = (0..length)
            .map(|index| (index * 7 + index / 256) as u8)
            .collect();
        let mut expected = source.clone();
        expected.copy_within(from..from + count, to);
        let mut moved = source.clone();
        let base = moved.as_mut_ptr();
        // SAFETY: both ranges lie in the vector.
        let answer = unsafe { copy_overlapping(base.add(to), base.add(from), count) };
        assert_eq!(answer, base.wrapping_add(to));
        assert!(moved == expected, "move {from}->{to} x {count}");
        let mut expected = Vec::from([0xee; 8]);
        expected.resize(8 + to % 8, 0xee);
        let start = expected.len();
        expected.extend_from_slice(&source[from..from + count]);
        expected.extend([0xee; 8]);
        let mut copied = std::vec![0xee; expected.len()];
        // SAFETY: two vectors, with room.
        unsafe {
            copy(
                copied.as_mut_ptr().add(start),
                source.as_ptr().add(from),
                count,
            )
        };
        assert!(copied == expected, "copy of {count}");
    }

    #[test]
    fn every_short_length_at_every_alignment() {
        for count in 0..=300 {
            for shift in 0..17 {
                check(700, 40, 40 + shift, count);
                check(700, 40 + shift, 40, count);
            }
            check(700, 0, 350, count);
            check(700, 350, 0, count);
        }
    }

    proptest! {
        #[test]
        fn any_ranges(from in 0usize..5000, to in 0usize..5000, count in 0usize..5000) {
            check(10_000, from, to, count);
        }
    }
}
