/* Makes system calls from sites of different forms, with every register known before and seen after. */
    .intel_syntax noprefix
    .bss
    .balign 64
    .globl seen
seen:           .skip 8 * 18        /* rax rbx rcx rdx rsi rdi rbp rsp r8..r15 flags, in this order */
    .globl seen_vectors
seen_vectors:   .skip 32 * 16
    .globl seen_red_zone
seen_red_zone:  .skip 128
saved_stack:    .skip 8
site:           .skip 8
inner_stack:    .skip 8192
inner_top:

    .text
    /* void observe(const struct state *in (rdi), void *site (rsi), int has_avx (edx)) */
    .globl observe
    .type observe, @function
observe:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [rip + saved_stack], rsp
    mov [rip + site], rsi
    mov rax, rdi
    lea rsp, [rip + inner_top]
    /* Fill the red zone: 16 words below the stack pointer. */
    mov rcx, 16
1:  mov rbx, 0x5ed0000000000000
    add rbx, rcx
    neg rcx
    mov [rsp + 8 * rcx], rbx
    neg rcx
    dec rcx
    jnz 1b
    test edx, edx
    jz 2f
    .set n, 0
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu ymm\r, [rax + 144 + 32 * \r]
    .endr
    jmp 3f
2:
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqu xmm\r, [rax + 144 + 32 * \r]
    .endr
3:
    mov [rip + seen + 8 * 17], edx      /* whether AVX is there, until the call is over */
    mov rbx, [rax + 8 * 16]             /* flags: pushed and popped above the red zone's end */
    lea rsp, [rip + inner_top - 1024]
    push rbx
    popfq
    lea rsp, [rip + inner_top]
    mov rbx, [rax + 8 * 1]
    mov rcx, [rax + 8 * 2]
    mov rdx, [rax + 8 * 3]
    mov rsi, [rax + 8 * 4]
    mov rdi, [rax + 8 * 5]
    mov rbp, [rax + 8 * 6]
    mov r8, [rax + 8 * 8]
    mov r9, [rax + 8 * 9]
    mov r10, [rax + 8 * 10]
    mov r11, [rax + 8 * 11]
    mov r12, [rax + 8 * 12]
    mov r13, [rax + 8 * 13]
    mov r14, [rax + 8 * 14]
    mov r15, [rax + 8 * 15]
    mov rax, [rax + 8 * 0]
    jmp [rip + site]

    .globl after_call
after_call:
    mov [rip + seen + 8 * 0], rax
    mov [rip + seen + 8 * 1], rbx
    mov [rip + seen + 8 * 2], rcx
    mov [rip + seen + 8 * 3], rdx
    mov [rip + seen + 8 * 4], rsi
    mov [rip + seen + 8 * 5], rdi
    mov [rip + seen + 8 * 6], rbp
    mov [rip + seen + 8 * 7], rsp
    mov [rip + seen + 8 * 8], r8
    mov [rip + seen + 8 * 9], r9
    mov [rip + seen + 8 * 10], r10
    mov [rip + seen + 8 * 11], r11
    mov [rip + seen + 8 * 12], r12
    mov [rip + seen + 8 * 13], r13
    mov [rip + seen + 8 * 14], r14
    mov [rip + seen + 8 * 15], r15
    lea rsp, [rsp - 1024]
    pushfq
    pop [rip + seen + 8 * 16]
    cld
    mov eax, [rip + seen + 8 * 17]
    lea rdi, [rip + seen_vectors]
    test eax, eax
    jz 2f
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu [rdi + 32 * \r], ymm\r
    .endr
    vzeroupper
    jmp 3f
2:
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqu [rdi + 32 * \r], xmm\r
    .endr
3:
    lea rsi, [rip + inner_top - 128]
    lea rdi, [rip + seen_red_zone]
    mov ecx, 16
    rep movsq
    mov rsp, [rip + saved_stack]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .size observe, . - observe

    /* The sites. Each goes on at after_call. */
    .globl site_immediate, site_immediate_syscall, site_compared, site_bare, site_short
site_immediate:                     /* mov eax, imm32; syscall: getppid whatever rax was */
    mov eax, 110
site_immediate_syscall:             /* also entered right here */
    syscall
    jmp after_call
    .balign 16
site_compared:                      /* the number in a register, a comparison behind, as in glibc's syscall() */
    syscall
    .byte 0x48, 0x3d                /* cmp rax, -4095 */
    .long 0xfffff001
    jmp compared
    .balign 16
site_bare:                          /* nothing behind that is easily moved */
    syscall
    nop
    jmp after_call
    .balign 16
site_short:                         /* a jump right behind */
    syscall
    jmp after_call
    .balign 16
compared:                           /* the comparison must have been made: below means no error */
    jmp after_call

    .section .note.GNU-stack, "", @progbits
