//! The memory functions that the compiler calls by name and nobody else provides.
//!
//! They move by quadwords or more: an emulator executes and counts `rep movsb` byte by byte. Only
//! the low sixteen vector registers' low halves and registers that a call may clobber are used.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.memcpy, "ax", @progbits
    .balign 16
    .globl memcpy
    .type memcpy, @function
memcpy:
    mov rax, rdi
    // Up to 32 bytes everything is loaded before anything is stored: memmove relies on it.
    cmp rdx, 16
    jb 3f
    movups xmm1, [rsi + rdx - 16]
    lea r8, [rdi + rdx - 16]
    cmp rdx, 32
    ja 1f
    movups xmm0, [rsi]
    movups [rdi], xmm0
    movups [r8], xmm1
    ret
1:  cmp rdx, 256
    jae 2f
    lea rcx, [rdx - 1]
    shr rcx, 4
11: movups xmm0, [rsi]
    movups [rdi], xmm0
    add rsi, 16
    add rdi, 16
    dec rcx
    jnz 11b
    movups [r8], xmm1
    ret
2:  mov rcx, rdx
    shr rcx, 3
    rep movsq
    movups [r8], xmm1
    ret
3:  cmp edx, 8
    jb 4f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
4:  cmp edx, 4
    jb 5f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
5:  test edx, edx
    jz 6f
    mov r10d, edx
    shr r10d
    movzx ecx, byte ptr [rsi]
    movzx r8d, byte ptr [rsi + r10]
    movzx r9d, byte ptr [rsi + rdx - 1]
    mov [rdi], cl
    mov [rdi + r10], r8b
    mov [rdi + rdx - 1], r9b
6:  ret
    .size memcpy, . - memcpy

    .section .text.memmove, "ax", @progbits
    .balign 16
    .globl memmove
    .type memmove, @function
memmove:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rdx
    jae memcpy
    cmp rdx, 32
    jbe memcpy
    mov rax, rdi
    movups xmm1, [rsi]
    lea rcx, [rdx - 1]
    shr rcx, 4
1:  movups xmm0, [rsi + rdx - 16]
    movups [rdi + rdx - 16], xmm0
    sub rdx, 16
    dec rcx
    jnz 1b
    movups [rax], xmm1
    ret
    .size memmove, . - memmove

    .section .text.memset, "ax", @progbits
    .balign 16
    .globl memset
    .type memset, @function
memset:
    mov r9, rdi
    movzx eax, sil
    movabs rcx, 0x0101010101010101
    imul rax, rcx
    cmp rdx, 8
    jb 1f
    mov [rdi + rdx - 8], rax
    mov rcx, rdx
    shr rcx, 3
    rep stosq
    mov rax, r9
    ret
1:  test edx, edx
    jz 3f
2:  mov [rdi + rdx - 1], al
    dec edx
    jnz 2b
3:  mov rax, r9
    ret
    .size memset, . - memset

    .section .text.memcmp, "ax", @progbits
    .balign 16
    .globl memcmp
    .globl bcmp
    .type memcmp, @function
    .type bcmp, @function
memcmp:
bcmp:
    sub rdx, 8
    jb 2f
1:  mov rax, [rdi]
    mov rcx, [rsi]
    cmp rax, rcx
    jne 4f
    add rdi, 8
    add rsi, 8
    sub rdx, 8
    jae 1b
2:  add rdx, 8
    jz 5f
3:  movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jne 6f
    inc rdi
    inc rsi
    dec rdx
    jnz 3b
    ret
4:  bswap rax
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
5:  xor eax, eax
6:  ret
    .size memcmp, . - memcmp
    .size bcmp, . - bcmp

    .section .text.strlen, "ax", @progbits
    .balign 16
    .globl strlen
    .type strlen, @function
strlen:
    xor eax, eax
1:  cmp byte ptr [rdi + rax], 0
    je 2f
    inc rax
    jmp 1b
2:  ret
    .size strlen, . - strlen
    "#
);
