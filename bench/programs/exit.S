/*
 * A kernel that says what the time stamp counter was when it was entered, and ends the machine.
 *
 * Entered in 32-bit protected mode by QEMU (PVH, as the note asks for). Writes the counter to the
 * debug console as sixteen hexadecimal digits, then 0 to the exit device.
 */
    .section .note.pvh, "ax", @note
    .balign 4
    .long   4, 4, 18            /* name, description, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz  "Xen"
    .long   entry

    .text
    .code32
    .globl  entry
entry:
    rdtsc
    mov     $0x80000, %esp
    mov     %eax, %ebx
    call    show                /* the high half */
    mov     %ebx, %edx
    call    show
    xor     %eax, %eax
    mov     $0xf4, %dx
    outl    %eax, %dx
1:  hlt
    jmp     1b

/* Shows EDX; uses EAX, ECX, ESI. */
show:
    mov     $8, %ecx
    mov     %edx, %esi
2:  rol     $4, %esi
    mov     %esi, %eax
    and     $15, %eax
    movb    digits(%eax), %al
    outb    %al, $0xe9
    dec     %ecx
    jnz     2b
    ret

digits: .ascii "0123456789abcdef"
    .section .note.GNU-stack, "", @progbits
