//! Filling with one byte.

use core::arch::naked_asm;

/// Fills `count` bytes with the low byte of `value` and answers `to`.
///
/// # Safety
/// As C's `memset`: the range is valid.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn fill(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "movzx esi, sil",
        "mov rcx, 0x0101010101010101",
        "imul rsi, rcx",
        "cmp rdx, 16",
        "jb 4f",
        "movq xmm0, rsi",
        "punpcklqdq xmm0, xmm0",
        "cmp rdx, 128",
        "ja 8f",
        "movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm0",
        "cmp rdx, 32",
        "jbe 7f",
        "movups [rdi + 16], xmm0",
        "movups [rdi + rdx - 32], xmm0",
        "cmp rdx, 64",
        "jbe 7f",
        "movups [rdi + 32], xmm0",
        "movups [rdi + 48], xmm0",
        "movups [rdi + rdx - 64], xmm0",
        "movups [rdi + rdx - 48], xmm0",
        "ret",
        "4: cmp edx, 8",
        "jb 5f",
        "mov [rdi], rsi",
        "mov [rdi + rdx - 8], rsi",
        "ret",
        "5: cmp edx, 4",
        "jb 6f",
        "mov [rdi], esi",
        "mov [rdi + rdx - 4], esi",
        "ret",
        "6: test edx, edx",
        "jz 7f",
        "mov ecx, edx",
        "shr ecx, 1",
        "mov [rdi], sil",
        "mov [rdi + rcx], sil",
        "mov [rdi + rdx - 1], sil",
        "7: ret",
        // Both ends by unaligned stores, whole aligned words between them.
        "8: movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm0",
        "mov r8, rax",
        "lea rcx, [rdi + rdx]",
        "add rdi, 7",
        "and rdi, -8",
        "sub rcx, rdi",
        "shr rcx, 3",
        "mov rax, rsi",
        "rep stosq",
        "mov rax, r8",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn every_length_at_every_alignment() {
        for count in (0..=300).chain([1000, 4095, 4096, 4097]) {
            for start in 8..24 {
                let mut bytes = std::vec![0xaa_u8; count + 40];
                // SAFETY: the range lies in the vector.
                let answer = unsafe { fill(bytes.as_mut_ptr().add(start), 0x1_5c, count) };
                assert_eq!(answer, bytes.as_mut_ptr().wrapping_add(start));
                let filled = start..start + count;
                assert!(
                    bytes
                        .iter()
                        .enumerate()
                        .all(|(index, byte)| *byte
                            == if filled.contains(&index) { 0x5c } else { 0xaa }),
                    "{count} from {start}"
                );
            }
        }
    }
}
