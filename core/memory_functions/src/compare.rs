//! Comparing, and looking for the end of a C string.

use core::arch::naked_asm;

/// The difference of the first bytes that differ, zero if none do.
///
/// # Safety
/// As C's `memcmp`: both ranges are valid.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn compare(left: *const u8, right: *const u8, count: usize) -> i32 {
    naked_asm!(
        "xor ecx, ecx",
        "2: lea r8, [rcx + 16]",
        "cmp r8, rdx",
        "ja 3f",
        "movups xmm0, [rdi + rcx]",
        "movups xmm1, [rsi + rcx]",
        "pcmpeqb xmm0, xmm1",
        "pmovmskb eax, xmm0",
        "xor eax, 0xffff",
        "jnz 5f",
        "mov rcx, r8",
        "jmp 2b",
        // Fewer than 16 are left.
        "3: lea r8, [rcx + 8]",
        "cmp r8, rdx",
        "ja 4f",
        "mov rax, [rdi + rcx]",
        "xor rax, [rsi + rcx]",
        "jnz 6f",
        "mov rcx, r8",
        "4: cmp rcx, rdx",
        "jae 8f",
        "movzx eax, byte ptr [rdi + rcx]",
        "movzx r8d, byte ptr [rsi + rcx]",
        "inc rcx",
        "sub eax, r8d",
        "jz 4b",
        "ret",
        "5: bsf eax, eax",
        "add rcx, rax",
        "jmp 7f",
        "6: bsf rax, rax",
        "shr eax, 3",
        "add rcx, rax",
        "7: movzx eax, byte ptr [rdi + rcx]",
        "movzx r8d, byte ptr [rsi + rcx]",
        "sub eax, r8d",
        "ret",
        "8: xor eax, eax",
        "ret",
    )
}

/// The bytes before the first zero.
///
/// # Safety
/// As C's `strlen`: the string ends.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn length(string: *const u8) -> usize {
    naked_asm!(
        // Aligned blocks never reach into a page that the string does not touch.
        "pxor xmm0, xmm0",
        "mov rax, rdi",
        "and rax, -16",
        "mov ecx, edi",
        "and ecx, 15",
        "movdqa xmm1, [rax]",
        "pcmpeqb xmm1, xmm0",
        "pmovmskb edx, xmm1",
        "shr edx, cl",
        "test edx, edx",
        "jnz 3f",
        "2: add rax, 16",
        "movdqa xmm1, [rax]",
        "pcmpeqb xmm1, xmm0",
        "pmovmskb edx, xmm1",
        "test edx, edx",
        "jz 2b",
        "bsf edx, edx",
        "add rax, rdx",
        "sub rax, rdi",
        "ret",
        "3: bsf eax, edx",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn sign(left: &[u8], right: &[u8]) -> i32 {
        // SAFETY: both slices are as long as the shorter.
        unsafe { compare(left.as_ptr(), right.as_ptr(), left.len().min(right.len())) }.signum()
    }

    #[test]
    fn one_difference_anywhere_is_found_and_none_beyond_the_end() {
        for count in 0..80 {
            let left: Vec<u8> = (0..count + 1).map(|index| index as u8).collect();
            for place in 0..=count {
                let mut right = left.clone();
                right[place] = 0xff;
                let expected = if place < count { -1 } else { 0 };
                assert_eq!(sign(&left[..count], &right[..count]), expected);
                assert_eq!(sign(&right[..count], &left[..count]), -expected);
            }
        }
    }

    #[test]
    fn the_end_of_a_string_is_found_from_any_alignment() {
        for count in 0..70 {
            for start in 0..17 {
                let mut bytes = std::vec![1u8; start + count + 20];
                bytes[start + count] = 0;
                // SAFETY: there is a zero.
                assert_eq!(unsafe { length(bytes.as_ptr().add(start)) }, count);
            }
        }
    }

    proptest! {
        #[test]
        fn it_orders_as_slices_do(
            left in proptest::collection::vec(0u8..3, 0..40),
            right in proptest::collection::vec(0u8..3, 0..40),
        ) {
            let count = left.len().min(right.len());
            let expected = left[..count].cmp(&right[..count]) as i32;
            prop_assert_eq!(sign(&left, &right), expected);
        }
    }
}
