/*
 * The entry point of `boot.c`: notes the time stamp counter, then starts the C library.
 * RDTSC is the first of the program's instructions. It changes RDX, where the library looks for a
 * function to be called at the end (System V ABI, 3.4.1): a static program has none.
 */
    .globl  first
first:
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, first_counter(%rip)
    xor     %edx, %edx
    jmp     _start

    .comm   first_counter, 8, 8
    .section .note.GNU-stack, "", @progbits
